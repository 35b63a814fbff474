/** What a failed command says and the code it ends with. */

import { type ErrorCode, isOpenbellError } from '../core/errors.ts'
import { type ExitCode, Interrupted, type Io, UsageError } from './command.ts'
import { wrap } from './text-layout.ts'

/** What a person typed or set: mended by typing it differently. */
const badInput: ReadonlySet<ErrorCode> = new Set([
  'invalid-field',
  'invalid-name',
  'invalid-config',
  'unknown-broker',
  'unknown-account',
  'unknown-destination',
  'unknown-app',
  'name-taken',
  'app-key-taken',
  'not-supported',
])

export interface Failure {
  code: string
  message: string
  field?: string
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Interrupted) return 130
  if (error instanceof UsageError) return 2
  if (!isOpenbellError(error)) return 1
  if (badInput.has(error.code)) return 2
  // Both end only when a person logs in again.
  return error.remedy === 'login' || error.remedy === 'superseded' ? 3 : 1
}

export function failureOf(error: unknown): Failure {
  if (isOpenbellError(error)) {
    const { code, message, field } = error
    return { code, message, ...(field === undefined ? {} : { field }) }
  }
  if (error instanceof Interrupted) return { code: 'interrupted', message: error.message }
  if (error instanceof UsageError) return { code: 'usage', message: error.message }
  if (isSystemError(error)) return { code: 'internal', message: `${error.message}.` }
  return { code: 'internal', message: `This is a fault in Openbell; please report it:\n${trace(error)}` }
}

export function printFailure(error: unknown, io: Io, json: boolean): void {
  const failure = failureOf(error)
  const { field, message } = failure
  const named = field === undefined || message.toLowerCase().includes(field.toLowerCase())
  const sentence = `openbell: ${named ? '' : `${field}: `}${message}`
  // Broken between words for a person; one line for whoever reads a pipe.
  if (json) io.err(JSON.stringify({ error: failure }))
  else io.err(io.canAsk && !message.includes('\n') ? wrap(sentence, io.width) : sentence)
  if (!json && isOpenbellError(error) && error.accountId !== undefined && exitCodeOf(error) === 3) {
    if (!message.includes('openbell login')) io.err(`Log in with \`openbell login ${error.accountId}\`.`)
  }
}

/** `ENOSPC: no space left on device, write`: names a path or an address, never what was written there. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error && typeof error.syscall === 'string'
}

/** Without the message: nobody knows what an unexpected error quotes. */
function trace(error: unknown): string {
  if (!(error instanceof Error)) return `  a thrown ${typeof error}`
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '))
  return [`  ${error.name}`, ...frames.slice(0, 8)].join('\n')
}
