/**
 * What a broker is to the engine: a set of pure functions that build requests and read answers. The engine never
 * knows a broker by name; it asks which optional members are there. To add one, copy `brokers/tastytrade.ts`.
 */

import type { Problem } from './errors.ts'
import type { App, Environment, GrantDraft, Slot } from './model.ts'
import type { Secret } from './secret.ts'
import type { Instant, TimeOfDay, Zone } from './time.ts'
import type { Answer, Outcome, Text, WireRequest } from './wire.ts'

export interface CredentialField {
  /** As the broker's own page calls it. */
  label: string
  /** Typed without echo, never shown again. */
  secret: boolean
  optional?: boolean
  /** Where to find it: one sentence. */
  help: string
  /** The whole value must match. */
  pattern?: RegExp
  /** What `pattern` means, in words: `32 letters and digits`. */
  shape?: string
}

/** Role (`api`, `login`) -> origin (`https://api.kite.trade`). */
export type Origins = Readonly<Record<string, string>>

export interface ExchangeInput {
  app: App
  origins: Origins
  now: Instant
}

export interface CodeInput extends ExchangeInput {
  /** The code from the redirect, or the grant the person pasted. */
  code: Secret
}

export interface TokenInput extends ExchangeInput {
  accessToken: Secret
}

export interface RefreshInput extends ExchangeInput {
  refreshToken: Secret
}

/** A request and the reading of its answer. `read` runs only after `judge` said `ok`; it throws on what it cannot read. */
export interface Exchange<Input> {
  /** `single-use`: what is sent is burnt by sending. `repeatable`: sending it again does no harm. */
  spend: 'single-use' | 'repeatable'
  request(input: Input): WireRequest
  read(answer: Answer, input: Input): GrantDraft
}

/**
 * A renewal without a person. Brokers that officially retired theirs set `onTrial`: it is tried only where the account
 * holds all it needs, believed only after real calls succeed, and given up for the app at the first refusal.
 */
export interface RefreshExchange extends Exchange<RefreshInput> {
  onTrial?: boolean
  /** Optional credentials without which it is not tried, e.g. FYERS' PIN. */
  needs?: readonly string[]
}

/** The broker asks the person in its own app, and sends the token to a webhook. */
export interface Push {
  /** Asks the broker to ask. */
  request(input: ExchangeInput): WireRequest
  /** Until when the person may approve, from an accepted answer. */
  read(answer: Answer): { expiresAt: Instant }
  /** What a delivery to the webhook says, before anything of it is believed. Never throws, whatever the body is. */
  receive(body: unknown, input: ExchangeInput): PushDelivery
}

export type PushDelivery =
  /** For this app by its own words; the engine still proves the token. */
  | { kind: 'token'; draft: GrantDraft; issuedAt: Instant }
  /** Not for this app, stale, or not a delivery at all: one sentence without secrets. */
  | { kind: 'foreign'; message: string }

/** What came back with the browser. */
export type Callback =
  | { kind: 'code'; code: Secret; state?: string }
  /** The person said no, or the broker did. */
  | { kind: 'refused'; problem: Problem; state?: string }
  /** The URL belongs to something else. */
  | { kind: 'foreign'; message: string }

export interface RedirectLogin {
  kind: 'redirect'
  /** The page on which the person logs in. */
  url(input: { app: App; origins: Origins; state: string }): string
  /** Reads the query of the redirect. */
  callback(query: URLSearchParams): Callback
  exchange: Exchange<CodeInput>
}

export interface PasteGrantLogin {
  kind: 'paste-grant'
  /** Where the person gets the grant: numbered steps, one per line. */
  steps: readonly string[]
  field: CredentialField
  exchange: Exchange<CodeInput>
}

/** A call that proves a token. */
export interface Probe {
  /** `profile`; shown as evidence: "accepted by profile at 08:59". */
  id: string
  /** Which tokens it proves; absent = those for trading. */
  slots?: readonly Slot[]
  request(input: TokenInput): WireRequest
  /** Positive proof in the body of this probe, where `judge` asks for that of another. It can only turn `unclear` into `ok`. */
  proves?(answer: Answer): boolean
  /** The broker's user id in an accepted answer. */
  userId?(answer: Answer): string | undefined
}

/** What the request was for. The same answer means different things to a probe and to a spend. */
export type During = 'code' | 'refresh' | 'push' | 'probe' | 'revoke' | 'read'

/** `ok` needs positive proof in the body; what proves neither is `unclear`. */
export type Verdict = 'ok' | 'unclear' | Problem

export interface Limits {
  /** Refused authentications from one egress address within `perMs` before we stop by ourselves for `pauseMs`. */
  failedAuth: { max: number; perMs: number; pauseMs: number; why: string }
  /** Unanswered requests in a row that mean a silent block, where the broker has one. */
  silentBlock?: { timeouts: number; pauseMs: number; why: string }
  /** Logins and refreshes per broker user and day in `zone`. */
  spendsPerDay: number
  /** Probes that callers' complaints may cause, per account. */
  probeEveryMs: number
}

export interface BrokerRules {
  /** The broker's day. */
  zone: Zone
  /** Renew this long before the end. */
  marginMs: number
  /** A person is not asked before this time of day; a token obtained earlier is in doubt until then. */
  mintFrom?: { time: TimeOfDay; why: string }
  limits: Limits
}

export interface Broker {
  /** Lower case, stable: `kite`. */
  id: string
  name: string
  /** The broker's own documentation. */
  docs: string
  credentials: Readonly<Record<string, CredentialField>>
  /** Which credential makes an app the same app. */
  appKey: string
  /** Fixed origins per environment. `simulator` has none: its origins come with the app. */
  environments: Readonly<Partial<Record<Exclude<Environment, 'simulator'>, Origins>>>
  /** Usual names in programs' environments, for dotenv and `run`. */
  env: Readonly<{ accessToken: string; refreshToken?: string; appKey?: string }>
  rules: BrokerRules
  login: RedirectLogin | PasteGrantLogin
  refresh?: RefreshExchange
  push?: Push
  /**
   * What is known of a token that arrived bare, from a program of the user's own or from the broker's page. `slot` is what
   * the person says it is for (default `trading`). Throws `invalid-field` when it cannot be such a token. Absent: a bare
   * token cannot be dated.
   */
  adopt?(input: { accessToken: Secret; now: Instant; slot?: Slot }): GrantDraft
  /** Ends a token at the broker. */
  revoke?(input: TokenInput): WireRequest
  /** All of a slot's must accept for "live". The first is the cheapest. */
  probes: readonly [Probe, ...Probe[]]
  /** Headers that a program sends with its calls. */
  authorize(input: TokenInput): Readonly<Record<string, Text>>
  judge(outcome: Outcome, during: During): Verdict
}

/** Keeps the literal types of `credentials` while checking the shape. */
export function defineBroker<const B extends Broker>(broker: B): B {
  return broker
}

export function isProblem(verdict: Verdict): verdict is Problem {
  return typeof verdict === 'object'
}
