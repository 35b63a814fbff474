/** The only two ways in which the API answers with JSON. */

import type { z } from 'zod'
import { type ErrorCode, isOpenbellError, OpenbellError } from '../core/errors.ts'
import { httpStatus, type ProblemDocument, problemDocument } from './contract.ts'

/** Tokens and states are true for a moment only, and for nobody else. */
const always = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

export const jsonHeaders = { ...always, 'content-type': 'application/json' }

export function respond<Schema extends z.ZodType>(schema: Schema, value: z.input<Schema>): Response {
  return respondText(textOf(schema, value))
}

/** Parses before it writes, so that a field which the contract does not name never leaves the house. */
export function textOf<Schema extends z.ZodType>(schema: Schema, value: z.input<Schema>): string {
  return JSON.stringify(schema.parse(value))
}

/** Of what `textOf` wrote. */
export function respondText(text: string): Response {
  // Plain string and plain headers: the server then writes them as they are, three times as fast as from a whole Response.
  return new Response(text, { headers: jsonHeaders })
}

interface ProblemMore {
  /** Where HTTP knows better than the code. */
  status?: number
  account?: string
  retryAfterSeconds?: number
  headers?: Readonly<Record<string, string>>
}

/** A problem document for whatever was thrown. */
export function respondProblem(error: unknown, more: ProblemMore = {}): Response {
  const told = tellable(error)
  const status = more.status ?? httpStatus[told.code]
  const account = more.account ?? told.accountId
  const body: ProblemDocument = {
    type: `/errors/${told.code}`,
    title: titleOf(told.code),
    status,
    detail: told.message,
    code: told.code,
    remedy: told.remedy,
    ...(told.field !== undefined && { field: told.field }),
    ...(account !== undefined && { account }),
    ...(told.remedy === 'login' &&
      account !== undefined && { login: { command: `openbell login ${account}` } }),
  }
  const headers = new Headers({ ...always, ...more.headers, 'content-type': 'application/problem+json' })
  if (status === 401) headers.set('www-authenticate', 'Bearer realm="openbell"')
  if (status === 503) headers.set('retry-after', String(retryAfter(more.retryAfterSeconds)))
  return new Response(JSON.stringify(problemDocument.parse(body)), { status, headers })
}

/** Seconds: soon where nobody knows when it passes, and never so late that nobody looks again. */
function retryAfter(known = 5): number {
  return Math.min(Math.max(known, 1), 3_600)
}

/** What is wrong inside the house, such as a path or a driver's words, is for its log and not for callers. */
export function tellable(error: unknown): OpenbellError {
  if (!isOpenbellError(error))
    return new OpenbellError('internal', 'Something went wrong inside Openbell: its log says what.')
  if (/^vault-|^key-(missing|file-open)$|^invalid-config$/.test(error.code))
    return new OpenbellError(
      error.code,
      'Openbell cannot use its vault now: its log and `openbell doctor` say why.',
    )
  return error
}

/** `login-needed` -> `Login needed`. */
function titleOf(code: ErrorCode): string {
  return code.charAt(0).toUpperCase() + code.slice(1).replaceAll('-', ' ')
}
