/** What the CLI, the HTTP API and an embedding program can ask of a keeper. Implemented by `engine/keeper.ts`. */

import type { CredentialField } from './broker.ts'
import type { Problem } from './errors.ts'
import type { AccountRef, Destination, Environment, Expiry, LedgerEvent, Slot, TokenState } from './model.ts'
import type { Secret } from './secret.ts'
import type { Instant, Zone } from './time.ts'
import type { Text } from './wire.ts'

export type StepAction = 'refresh' | 'probe' | 'ask' | 'retry' | 'end'

/** One coming step and why. Every step carries its reason, so that log, alert and screen agree. */
export interface Step {
  at: Instant
  action: StepAction
  reason: string
}

export interface WorkView {
  state: 'idle' | 'renewing' | 'retrying' | 'waiting-for-person' | 'blocked' | 'needs-fixing' | 'paused'
  /** When the next try is due, for `retrying` and `blocked`. */
  until?: Instant
  problem?: Problem
}

export interface DeliveryView {
  accountId: string
  destinationId: string
  kind: string
  /** Where, for people: a path. */
  where: string
  desired: number
  delivered: number
  /** Took this generation, and nothing can be read back there. */
  taken?: number
  verifiedAt?: Instant
  problem?: Problem
}

export interface AccountStatus {
  ref: AccountRef
  label: string
  brokerId: string
  brokerName: string
  environment: Environment
  brokerUserId?: string
  slot: Slot
  /** Where the broker sends the browser after a login, for brokers that do. */
  redirectUri?: string
  /** No person needed between logins. */
  unattended: boolean
  generation: number
  token: TokenState
  expiry?: Expiry
  /** One sentence: `Zerodha Kite accepted profile at 08:59 (IST)`. How the end is known stands in `expiry.source`. */
  evidence: string
  acceptedAt?: Instant
  renewedAt?: Instant
  work: WorkView
  delivered: { n: number; m: number }
  /** One for each destination of the account, in its order. */
  deliveries: readonly DeliveryView[]
  /** `unknown` until calendars are built in; never guessed. */
  bell: 'ready' | 'at-risk' | 'no' | 'unknown' | 'not-needed'
  next?: Step
}

/** What a program gets. */
export interface ReadySession {
  ref: AccountRef
  slot: Slot
  generation: number
  /** Never `dead` or `none`. */
  token: Exclude<TokenState, 'dead' | 'none'>
  accessToken: Secret
  /** The app's public key, where programs of this broker need it beside the token. */
  appKey?: Secret
  /** Send these with every call to the broker. */
  headers: Readonly<Record<string, Text>>
  expiry: Expiry
}

export interface BrokerInfo {
  id: string
  name: string
  docs: string
  /** The broker's day; times are shown in it. */
  zone: Zone
  credentials: Readonly<Record<string, CredentialField>>
  /** Roles that a simulator account needs an origin for. */
  originRoles: readonly string[]
  login: 'redirect' | 'paste-grant'
  /** For paste-grant: where to get it. */
  steps: readonly string[]
  grantField?: CredentialField
  environments: readonly Environment[]
  unattended: boolean
  env: Readonly<{ accessToken: string; refreshToken?: string; appKey?: string }>
}

export interface NewAccount {
  ref: AccountRef
  brokerId: string
  environment: Environment
  credentials: Readonly<Record<string, Secret>>
  label?: string
  /** What its programs need; default `trading`. */
  slot?: Slot
  redirectUri?: string
  /** Only for `simulator`. */
  origins?: Readonly<Record<string, string>>
  destinations?: readonly string[]
  /** Use an app that is there already instead of `credentials`. */
  appId?: string
}

export interface AccountChanges {
  label?: string
  /** Only the named ones change. Changing any releases a brake. */
  credentials?: Readonly<Record<string, Secret>>
  redirectUri?: string
  destinations?: readonly string[]
}

export type BegunLogin =
  | {
      kind: 'redirect'
      url: string
      /** Openbell must be listening exactly there, or the person pastes the URL they end up on. */
      redirectUri: string
      state: Secret
      expiresAt: Instant
    }
  | {
      kind: 'paste-grant'
      steps: readonly string[]
      field: CredentialField
      expiresAt: Instant
      state: Secret
    }

export type FinishLogin =
  /** From the redirect, or a pasted URL: its whole query. `by` is who vouches when the query carries no state. */
  | { query: URLSearchParams; ref?: AccountRef; by: 'browser' | 'signed-in'; replace?: boolean }
  /** A bare code or a pasted grant, by somebody who is signed in. */
  | { code: Secret; ref: AccountRef; by: 'signed-in'; replace?: boolean }

export interface LoginResult {
  status: AccountStatus
  /** False when a verified session was kept instead: say "already live". */
  exchanged: boolean
}

export interface LogoutResult {
  status: AccountStatus
  /** `refused`: it may live on at the broker until its end; so may a token that cannot be ended there (`not-possible`). */
  atBroker: 'ended' | 'refused' | 'not-possible' | 'nothing-there'
}

export interface Keeper {
  /** Starts keeping: idempotent, shared by concurrent calls, retryable after a failure. */
  start(): Promise<void>
  /** Lets spends in flight finish recording, then lets go of everything. */
  stop(): Promise<void>

  brokers(): readonly BrokerInfo[]

  addAccount(input: NewAccount): Promise<AccountStatus>
  editAccount(ref: AccountRef, changes: AccountChanges): Promise<AccountStatus>
  pauseAccount(ref: AccountRef): Promise<AccountStatus>
  resumeAccount(ref: AccountRef): Promise<AccountStatus>
  removeAccount(ref: AccountRef): Promise<void>

  /** One per account, and one more for each further slot that holds a token. */
  status(tenantId: string): Promise<AccountStatus[]>
  statusOf(ref: AccountRef): Promise<AccountStatus>
  /** Asks the broker now (within its probe budget) and says what it said. */
  check(ref: AccountRef): Promise<AccountStatus>
  plan(ref: AccountRef): Promise<Step[]>

  /** From memory: no I/O, never throws. Undefined when there is nothing that may be served. */
  session(ref: AccountRef, slot?: Slot): ReadySession | undefined
  /**
   * Serves the session, after renewing it first where that needs no person.
   * Throws `login-needed`, `token-not-ready`, `settings-refused`, `session-superseded`, `account-paused`, `broker-…`.
   */
  token(
    ref: AccountRef,
    options?: { slot?: Slot; minValidMs?: number; waitMs?: number },
  ): Promise<ReadySession>
  /** `person` = "try once more": releases a brake. */
  renew(ref: AccountRef, by: 'plan' | 'caller' | 'person'): Promise<AccountStatus>
  /** A caller saw the broker refuse that generation. One shared, budgeted probe decides. */
  reportRejected(ref: AccountRef, generation: number, slot?: Slot): Promise<void>

  beginLogin(ref: AccountRef, options?: { replace?: boolean }): Promise<BegunLogin>
  finishLogin(input: FinishLogin): Promise<LoginResult>

  /** Ends the session at the broker where possible, takes it out of its destinations, and asks nobody to log in again. */
  logout(ref: AccountRef): Promise<LogoutResult>

  /**
   * Takes over a token that a program of the user's own obtained, or that the broker's page shows. It is proven like any
   * other. Throws `not-supported` where a bare token cannot be dated, `invalid-field`, `login-other-user`, `login-refused`.
   */
  importToken(ref: AccountRef, accessToken: Secret, slot?: Slot): Promise<AccountStatus>

  destinationKinds(): readonly {
    kind: string
    settings: Readonly<Record<string, { label: string; optional?: boolean; help: string }>>
  }[]
  /** Operator only. Checks that it can be written before saving it. */
  addDestination(input: {
    id: string
    tenantId: string
    kind: string
    settings: Readonly<Record<string, string>>
  }): Promise<Destination>
  listDestinations(tenantId: string): Promise<Destination[]>
  /** Reads it back and compares with what should be there, for each account attached. */
  testDestination(tenantId: string, id: string): Promise<DeliveryView[]>
  removeDestination(tenantId: string, id: string): Promise<void>

  events(query: {
    tenantId: string
    accountId?: string
    afterSeq?: number
    limit?: number
  }): Promise<LedgerEvent[]>
  /** Called soon after anything that `status` shows has changed. Returns how to stop. */
  onChange(listener: () => void): () => void
}
