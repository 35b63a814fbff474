/**
 * How the usual programs read a .env file. They agree on every plain line and on little else, so whoever edits such
 * a file asks them all, before and after.
 */

import { parseEnv } from 'node:util'

/** A place that npm's `dotenv` takes for an assignment. Offsets into the text. */
export interface Assignment {
  key: string
  value: string
  exported: boolean
  /** False where the value begins, or would begin, on a line below the key. */
  onOneLine: boolean
  /** Right behind `=`. */
  separatorEnd: number
  /** The value as it stands, quotes included and white space around it not. Empty when there is none. */
  from: number
  to: number
}

/**
 * The grammar of npm's `dotenv` 18, which differs from a line-by-line reading in four ways: quoted values run over line
 * ends, `KEY: value` assigns as well, a quoted value may begin on the line after `=`, and what is behind a closing quote
 * must be a comment or nothing, or else the quotes do not count.
 */
const anyQuoted = ["'", '"', '`']
  .map((quote) => `\\s*${quote}(?:\\\\${quote}|[^${quote}])*${quote}`)
  .join('|')
const assignment = new RegExp(
  `^\\s*(?<exported>export\\s+)?(?<key>[\\w.-]+)(?<separator>\\s*=|:(?:\\r\\n|\\s))(?<raw>${anyQuoted}|[^#\\r\\n]+)?\\s*(?:#.*)?$`,
  'dgm',
)

export function assignmentsIn(text: string): Assignment[] {
  return Array.from(text.matchAll(assignment), ({ groups = {}, indices }) => {
    const { exported, key = '', raw = '' } = groups
    const separatorEnd = indices?.groups?.separator?.[1] ?? 0
    const from = separatorEnd + raw.length - raw.trimStart().length
    const to = from + raw.trim().length
    const onOneLine = !/[\r\n]/.test(text.slice(indices?.groups?.key?.[1], from))
    const value = unquoted(raw.trim())
    return { key, value, exported: exported !== undefined, onOneLine, separatorEnd, from, to }
  })
}

function unquoted(raw: string): string {
  const value = raw.replace(/\r\n?/g, '\n').replace(/^(["'`])(.*)\1$/gms, '$2')
  return raw.startsWith('"') ? value.replaceAll('\\n', '\n').replaceAll('\\r', '\r') : value
}

type Reader = (text: string) => ReadonlyMap<string, string>

/** npm's `dotenv`. */
const readLikeDotenv: Reader = (text) => new Map(assignmentsIn(text).map(({ key, value }) => [key, value]))

/** `node --env-file`, `process.loadEnvFile`. It also finds names that no program asks for, such as `export A`. */
const readLikeNode: Reader = (text) =>
  new Map(Object.entries(parseEnv(text) as Record<string, string>).filter(([name]) => /^[\w.-]+$/.test(name)))

/** What a shell makes of a file cannot be asked without running it; see `quotings` in lines.ts. */
export const readers: readonly Reader[] = [readLikeDotenv, readLikeNode]
