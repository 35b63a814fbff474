/** Reading a broker's credentials from a person or a pipe, and checking their shape before anything is stored. */

import type { CredentialField } from '../core/broker.ts'
import { OpenbellError } from '../core/errors.ts'
import type { BrokerInfo } from '../core/keeper.ts'
import { Secret } from '../core/secret.ts'
import type { Io } from './command.ts'
import { suggestion } from './nearest.ts'

export type Credentials = Record<string, Secret>

/** What is wrong with a value, in one sentence that does not quote it. */
export function shapeProblem(field: CredentialField, value: string): string | undefined {
  if (value.trim() === '') return field.optional ? undefined : `${field.label} is empty. ${field.help}`
  if (field.pattern && !new RegExp(`^(?:${field.pattern.source})$`, field.pattern.flags).test(value.trim())) {
    return `${field.label} must be ${field.shape ?? 'of another shape'}. ${field.help}`
  }
  return undefined
}

/** Asks for every field. With `keep`, an empty answer leaves the stored value as it is. */
export async function askCredentials(info: BrokerInfo, io: Io, { keep = false } = {}): Promise<Credentials> {
  const credentials: Credentials = {}
  for (const [name, field] of Object.entries(info.credentials)) {
    const mayBeEmpty = keep || field.optional === true
    io.err(field.help)
    const question = `${field.label}${keep ? ' (empty keeps it)' : field.optional ? ' (optional)' : ''}`
    const validate = (value: string) =>
      mayBeEmpty && value.trim() === '' ? undefined : shapeProblem(field, value)
    const value = field.secret
      ? await io.askSecret(question, { validate })
      : new Secret((await io.ask(question, { validate })).trim())
    if (!value.isEmpty) credentials[name] = value
  }
  return credentials
}

/**
 * Credentials from `KEY=VALUE` lines or one JSON object. Keys are field names in any of their usual spellings:
 * `apiSecret`, `api_secret`, `API_SECRET`. Throws `invalid-field`. With `partial`, fields may be missing.
 */
export function readCredentials(info: BrokerInfo, text: string, { partial = false } = {}): Credentials {
  const names = Object.keys(info.credentials)
  const credentials: Credentials = {}
  for (const [key, value] of parsePairs(text)) {
    const name = names.find((each) => plain(each) === plain(key))
    if (name === undefined) {
      throw invalid(key, `${info.name} has no credential "${key}".${suggestion(key, names, 'It has')}`)
    }
    if (Object.hasOwn(credentials, name))
      throw invalid(name, `${name} is given twice: leave one of them out.`)
    const problem = shapeProblem(info.credentials[name] as CredentialField, value)
    if (problem !== undefined) throw invalid(name, `${name}: ${problem}`)
    if (value.trim() !== '') credentials[name] = new Secret(value.trim())
  }
  for (const [name, field] of Object.entries(info.credentials)) {
    if (partial || field.optional || Object.hasOwn(credentials, name)) continue
    throw invalid(name, `${name} is missing: add a line ${name}=… to what is piped in. ${field.help}`)
  }
  if (Object.keys(credentials).length === 0) {
    throw invalid('secrets', `Nothing was piped in: send lines such as ${names[0]}=… to --secrets -.`)
  }
  return credentials
}

/** `--secrets` takes `-` and nothing else, for a value there would be in the shell's history. */
export function isFromStdin(option: string | undefined, name: 'secrets' | 'code' | 'token'): boolean {
  if (option === undefined) return false
  if (option === '-') return true
  throw invalid(
    name,
    `--${name} takes only \`-\`, which reads stdin: a secret on the command line is seen by other users and kept in the shell's history.`,
  )
}

function parsePairs(text: string): [string, string][] {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) return parseJson(trimmed)
  const pairs: [string, string][] = []
  trimmed.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() === '' || line.trim().startsWith('#')) return
    const found = /^\s*(?:export\s+)?([A-Za-z_][\w-]*)\s*=\s*(.*?)\s*$/.exec(line)
    if (!found)
      throw invalid('secrets', `Line ${index + 1} of stdin is not KEY=VALUE: write one credential per line.`)
    const [, key = '', value = ''] = found
    pairs.push([key, /^(["']).*\1$/.test(value) ? value.slice(1, -1) : value])
  })
  return pairs
}

function parseJson(text: string): [string, string][] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // The parser's own message quotes what it read.
    throw invalid(
      'secrets',
      'Stdin begins like JSON and is not: send one object of texts, or KEY=VALUE lines.',
    )
  }
  return Object.entries(parsed as object).map(([key, value]) => {
    if (typeof value !== 'string') throw invalid(key, `${key} on stdin is not a text: put it in quotes.`)
    return [key, value]
  })
}

function plain(name: string): string {
  return name.replace(/[-_]/g, '').toLowerCase()
}

function invalid(field: string, message: string): OpenbellError {
  return new OpenbellError('invalid-field', message, { field })
}
