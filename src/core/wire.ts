/** Requests as adapters build them and answers as they read them. Adapters never send; the engine does. */

import type { Secret } from './secret.ts'
import type { Instant } from './time.ts'

export type Text = string | Secret

export interface WireRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Absolute, without query: this much may be logged. */
  url: string
  query?: Readonly<Record<string, Text>>
  headers: Readonly<Record<string, Text>>
  /** Already encoded; its media type stands in `headers`. */
  body?: Text
}

/** Something came back. Its body may hold tokens, so printing an answer shows the status alone. */
export class Answer {
  readonly kind = 'answer'
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Parsed JSON, or undefined when the body was not JSON (HTML, empty, cut off). */
  readonly body: unknown
  /** Local time, uncorrected. */
  readonly receivedAt: Instant

  constructor(fields: {
    status: number
    headers: Readonly<Record<string, string>>
    body: unknown
    receivedAt: Instant
  }) {
    this.status = fields.status
    this.headers = fields.headers
    this.body = fields.body
    this.receivedAt = fields.receivedAt
  }

  toString(): string {
    return `HTTP ${this.status}`
  }

  toJSON(): { status: number } {
    return { status: this.status }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** Nothing came back that could be read. */
export interface NoAnswer {
  kind: 'no-answer'
  /** `unsent`: proof that not one byte of the request left this machine. `maybe-sent`: the broker may have acted on it. */
  sent: 'unsent' | 'maybe-sent'
  cause: 'unreachable' | 'timeout' | 'reset' | 'truncated' | 'too-large' | 'refused-by-policy'
  /** One sentence without secrets. */
  message: string
}

export type Outcome = Answer | NoAnswer

/**
 * Puts a request on the wire. Never follows redirects, never retries, never throws for what the network does.
 * `deadlineMs` is real time; the promise settles by then at the latest.
 */
export type Send = (request: WireRequest, options: { deadlineMs: number }) => Promise<Outcome>
