/** The log: JSON lines on stderr, through a filter that knows which secrets are alive. */

import { type DestinationStream, type Logger, pino } from 'pino'
import { Secret } from '../core/secret.ts'

const shown = String(new Secret(''))

export interface LogSettings {
  level: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** Every secret value that is alive now; asked again for each line. */
  knownSecrets: () => Iterable<string>
  /** Default: stderr, because stdout belongs to what a command answers. */
  stream?: DestinationStream
}

/**
 * A pino logger. Three nets hold secrets back: `Secret` prints as nothing, fields with telling names are redacted, and
 * the stream replaces every known value wherever it stands.
 */
export function createLog({ level, knownSecrets, stream = process.stderr }: LogSettings): Logger {
  const names = [
    'authorization',
    'access_token',
    'refresh_token',
    'accessToken',
    'refreshToken',
    'pin',
    'password',
  ]
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: names.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: shown },
    },
    guardStream(knownSecrets, stream),
  )
}

/**
 * The last line of defence: writes each line to `stream` with every known secret replaced, also where it stands percent-
 * encoded or escaped within JSON. A line that was JSON stays JSON.
 */
export function guardStream(
  knownSecrets: () => Iterable<string>,
  stream: DestinationStream,
): DestinationStream {
  return {
    write(line) {
      const found = secretsIn(line, knownSecrets())
      stream.write(found.length === 0 ? line : cleaned(line, found))
    },
  }
}

/** Long enough to be rare by accident, short enough that every token has it. */
const startLength = 8

/** Each form in which a known secret stands in the line, longest first. */
function secretsIn(line: string, known: Iterable<string>): string[] {
  // One look-up per secret instead of one search: ten thousand accounts must not make logging slow.
  const starts = new Set<string>()
  for (let at = 0; at <= line.length - startLength; at++) starts.add(line.slice(at, at + startLength))

  const found = new Set<string>()
  for (const secret of known) {
    for (const form of formsOf(secret)) {
      const mayBeThere = form.length < startLength || starts.has(form.slice(0, startLength))
      if (mayBeThere && form !== '' && line.includes(form))
        for (const each of formsOf(secret)) found.add(each)
    }
  }
  return [...found].sort((a, b) => b.length - a.length)
}

function formsOf(secret: string): string[] {
  if (/^[\w.~-]*$/.test(secret)) return [secret]
  const escaped = JSON.stringify(secret).slice(1, -1)
  const twice = JSON.stringify(escaped).slice(1, -1)
  return [
    secret,
    encodeURIComponent(secret.toWellFormed()),
    new URLSearchParams([['', secret]]).toString().slice(1),
    escaped,
    twice,
  ]
}

function cleaned(line: string, secrets: readonly string[]): string {
  const clean = (text: string) => secrets.reduce((left, secret) => left.replaceAll(secret, shown), text)
  let entry: unknown
  try {
    entry = JSON.parse(line)
  } catch {
    return clean(line)
  }
  return `${JSON.stringify(mapTexts(entry, clean))}\n`
}

/** Numbers count as texts when they change: a PIN may have been logged as one. */
function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (typeof value === 'number') return change(String(value)) === shown ? shown : value
  if (Array.isArray(value)) return value.map((each) => mapTexts(each, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [change(name), mapTexts(each, change)]),
  )
}
