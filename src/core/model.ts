/** The nouns of design and store. Plain data, no behaviour. Words are explained in ARCHITECTURE.md. */

import type { Problem } from './errors.ts'
import type { Secret } from './secret.ts'
import type { Instant, Zone } from './time.ts'

/** `live` spends real money; `sandbox` is the broker's own rehearsal stage; `simulator` is ours, on loopback only. */
export type Environment = 'live' | 'sandbox' | 'simulator'

/** What a token is for. An account has at most one session per slot. */
export type Slot = 'trading' | 'read' | 'market-data'

export interface AccountRef {
  readonly tenantId: string
  readonly accountId: string
}

/** What a broker issued to a developer. May serve several accounts. */
export interface App {
  id: string
  tenantId: string
  /** Rises with every save; the store compares it. */
  version: number
  brokerId: string
  environment: Environment
  /** Keys are `Broker.credentials` names. */
  credentials: Readonly<Record<string, Secret>>
  /** SHA-256 of broker, environment and app key: unique in the store, so that one key has one keeper. */
  fingerprint: string
  /** Where the broker sends the browser after a login, exactly as registered there. Absent for paste-grant brokers. */
  redirectUri?: string
  /** Role -> origin; only for `simulator`, where they must be loopback. */
  origins?: Readonly<Record<string, string>>
  /** `retired`: the broker refused to refresh; never tried again for this app until its credentials change. */
  refresh: { state: 'auto' } | { state: 'retired'; reason: string; at: Instant }
}

/** One broker user under one app. */
export interface Account {
  /** Chosen by its owner, unique within the tenant: `kite-main`. */
  id: string
  tenantId: string
  version: number
  appId: string
  personId: string
  /** Pinned at the first verified login; a login by anybody else is refused. */
  brokerUserId?: string
  label: string
  /** What its programs need; absent = `trading`. Sessions in other slots are kept while they live, and nobody is asked for them. */
  slot?: Slot
  markets: readonly string[]
  /** Time of day in the market's zone by which the account must be ready; default: the pre-open. */
  readyBy?: string
  destinations: readonly string[]
  paused: boolean
  createdAt: Instant
}

/** Who taps. */
export interface Person {
  id: string
  tenantId: string
  version: number
  name: string
  zone: Zone
  language: string
  deputyId?: string
}

export interface Expiry {
  at: Instant
  /** `jwt`: the token says so; `declared`: the answer said so; `broker-rule`: computed; `rejected`: the broker refused it. */
  source: 'jwt' | 'declared' | 'broker-rule' | 'rejected'
  /** Until then the broker may end it early although it looks good (Kite's morning flush). */
  doubtUntil?: Instant
}

export type GrantOrigin = 'login' | 'refresh' | 'push' | 'import'

/** What an adapter reads out of an answer. */
export interface GrantDraft {
  slot: Slot
  accessToken: Secret
  /** Absent in an answer to a refresh means: the old one goes on. */
  refresh?: { token: Secret; expiry?: Expiry }
  scopes: readonly string[]
  expiry: Expiry
  /** The broker's own id of the person who logged in, where the answer names it. */
  brokerUserId?: string
  /** Further tokens of the same answer, for other slots. */
  also?: readonly GrantDraft[]
}

/** One immutable token set. Written once, never changed, never deleted but with its account. */
export interface Grant extends Omit<GrantDraft, 'also'> {
  /** Random; binds the sealed fields to their record. */
  id: string
  ref: AccountRef
  /** 1, 2, 3 … per account, given by the store. */
  generation: number
  origin: GrantOrigin
  sentAt: Instant
  receivedAt: Instant
  /** The app's version whose credentials obtained it. */
  appVersion: number
}

export type NewGrant = Omit<Grant, 'generation'>

/**
 * The permit to spend, and its record. One per (account, key): `refresh:<generation>` or `code:<SHA-256 of the code>`.
 *
 *     prepared -> sending -> answered   a grant was recorded
 *                         -> refused    the broker said no
 *                         -> unknown    nobody knows; see `engine/intent.ts` for what follows
 *     sending  -> prepared              proof that nothing left this machine
 */
export interface Intent {
  ref: AccountRef
  key: string
  version: number
  kind: 'refresh' | 'code'
  /** `single-use` is sent at most once, ever. */
  spend: 'repeatable' | 'single-use'
  state: 'prepared' | 'sending' | 'answered' | 'refused' | 'unknown'
  holder: string
  fence: number
  /** The store's clock. */
  preparedAt: Instant
  sentAt?: Instant
  /** The store's clock: until then others wait for the answer. */
  deadline: Instant
  /** How often it was sent. Above 1 only for `repeatable`. */
  sends: number
  /** Generations of the grants in the answer. */
  grants: readonly number[]
  problem?: Problem
}

export interface Lease {
  name: string
  holder: string
  /** Rises with every change of hands; never falls. */
  fence: number
  /** The store's clock. */
  until: Instant
}

export type TokenState = 'live' | 'unproven' | 'suspect' | 'dead' | 'none'

export type Work =
  | { state: 'idle' }
  | { state: 'retrying'; attempt: number; nextAt: Instant; problem: Problem }
  | { state: 'blocked'; until: Instant; problem: Problem }
  /** Nothing is sent until a person logs in, presses try-again, or the app's credentials change. */
  | { state: 'waiting-for-person'; since: Instant; problem: Problem; appVersion: number }
  | { state: 'needs-fixing'; since: Instant; problem: Problem; appVersion: number }

/** The account's current grant in one slot, and what is known of it. */
export interface Session {
  ref: AccountRef
  slot: Slot
  /** Compared and set at every save. */
  version: number
  /** Fence of the last writer that held the lease; a lower one may not save. */
  fence: number
  /** The promoted grant; 0 = none yet. Never falls except when a newer one was rejected and an older still lives. */
  generation: number
  token: TokenState
  /** Copied from the grant, or tightened by a rejection. */
  expiry?: Expiry
  /** When the broker last accepted this generation, and by which call. */
  acceptedAt?: Instant
  acceptedBy?: string
  rejectedAt?: Instant
  /** A newer grant that the broker has not accepted yet, while the older one still serves. */
  candidate?: number
  /** Generations that the broker refused, newest last, at most 20: never served again. */
  rejected?: readonly number[]
  probe?: { attempt: number; nextAt: Instant; why: string }
  work: Work
  /** Deaths before their time on one day in the broker's zone. */
  takeovers?: { day: string; count: number }
  renewedAt?: Instant
  /** When the engine looks again; what `Vault.due` sorts by. */
  dueAt: Instant
}

export interface LoginRequest {
  id: string
  ref: AccountRef
  openedAt: Instant
  reason: string
  satisfiedAt?: Instant
}

/** One press of the button: ten minutes, one use. */
export interface LoginAttempt {
  id: string
  ref: AccountRef
  requestId?: string
  /** SHA-256 of the `state` in the link. */
  stateHash: string
  redirectUri: string
  /** Exchange even though a verified session is live. */
  replace: boolean
  startedAt: Instant
  expiresAt: Instant
  usedAt?: Instant
}

/** Where programs read a token. Defined by the operator on the host, never over HTTP. */
export interface Destination {
  id: string
  tenantId: string
  version: number
  /** A publisher's kind: `dotenv`, `json-file`. */
  kind: string
  /** Keys are `Publisher.settings` names. */
  settings: Readonly<Record<string, string>>
}

export interface Delivery {
  ref: AccountRef
  slot: Slot
  destinationId: string
  version: number
  /** Generation that should be there; 0 = should be withdrawn. */
  desired: number
  /** Generation last read back there; 0 = none. */
  delivered: number
  /** Generation that a destination without read-back took last. */
  taken?: number
  /** SHA-256 of a foreign value already reported, so that it is reported once. */
  reportedDigest?: string
  /** SHA-256 of the access token we last wrote, to tell a foreign edit from our own old value. */
  writtenDigest?: string
  verifiedAt?: Instant
  attempt: number
  nextAt?: Instant
  problem?: Problem
}

export interface Breaker {
  /** `egress:<broker>:<address>` or `user:<broker>:<broker user>:<day>`. */
  key: string
  version: number
  failures: number
  windowStart: Instant
  openUntil?: Instant
  reason?: string
}

/** A local or remote caller's key. Only its digest is stored. */
export interface ApiKey {
  id: string
  tenantId: string
  digest: string
  label: string
  scopes: readonly string[]
  createdAt: Instant
  revokedAt?: Instant
}

export type EventKind =
  | 'account-added'
  | 'account-changed'
  | 'account-paused'
  | 'account-resumed'
  | 'account-removed'
  | 'app-changed'
  | 'login-asked'
  | 'login-started'
  | 'login-finished'
  | 'login-refused'
  | 'renewed'
  | 'renewal-failed'
  | 'refresh-retired'
  | 'late-answer'
  | 'spend-unknown'
  | 'accepted'
  | 'rejected'
  | 'unproven'
  | 'suspect'
  | 'superseded'
  | 'ended'
  | 'logged-out'
  | 'restored'
  | 'delivered'
  | 'delivery-failed'
  | 'destination-adopted'
  | 'destination-differs'
  | 'destination-added'
  | 'destination-removed'

export interface NewEvent {
  at: Instant
  tenantId: string
  accountId?: string
  kind: EventKind
  /** A sentence that a trader understands, without secrets. */
  text: string
  generation?: number
}

/** Hash-chained: `hash` covers `previousHash` and every other field. */
export interface LedgerEvent extends NewEvent {
  seq: number
  previousHash: string
  hash: string
}
