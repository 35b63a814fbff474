/**
 * What the engine needs of a store. Every method is one transaction: whole or not at all, durable when it resolves.
 * `testing/describe-vault.ts` is the contract in code; SQLite passes it and PostgreSQL will have to.
 *
 * `save…(record, expectedVersion)` is compare-and-set: the record is written with version `expectedVersion + 1` only
 * if the stored version equals `expectedVersion` (0 = it must not exist yet). The new record is returned, or
 * undefined when somebody else was faster.
 *
 * Errors: `vault-busy` after 10 s of another writer's lock, `vault-full`, `vault-corrupt`; never a driver's own.
 */

import type {
  Account,
  AccountRef,
  ApiKey,
  App,
  Breaker,
  Delivery,
  Destination,
  Grant,
  Intent,
  Lease,
  LedgerEvent,
  LoginAttempt,
  LoginRequest,
  NewEvent,
  NewGrant,
  Person,
  Session,
  Slot,
} from './model.ts'
import type { Instant } from './time.ts'

/** Sees one tenant's records and can name no other's. Account ids below are this tenant's. */
export interface TenantVault {
  readonly tenantId: string

  listApps(): Promise<App[]>
  loadApp(id: string): Promise<App | undefined>
  /** Throws `app-key-taken` when another app of any tenant has the same fingerprint. */
  saveApp(app: App, expectedVersion: number): Promise<App | undefined>
  /** Throws `still-in-use` while an account refers to it. */
  removeApp(id: string): Promise<void>

  listAccounts(): Promise<Account[]>
  loadAccount(id: string): Promise<Account | undefined>
  saveAccount(account: Account, expectedVersion: number): Promise<Account | undefined>
  /** Removes its sessions, grants, intents, logins and deliveries as well; its events stay. */
  removeAccount(id: string): Promise<void>

  listPeople(): Promise<Person[]>
  savePerson(person: Person, expectedVersion: number): Promise<Person | undefined>

  listDestinations(): Promise<Destination[]>
  loadDestination(id: string): Promise<Destination | undefined>
  saveDestination(destination: Destination, expectedVersion: number): Promise<Destination | undefined>
  /** Throws `still-in-use` while an account is attached to it. */
  removeDestination(id: string): Promise<void>

  loadIntent(accountId: string, key: string): Promise<Intent | undefined>
  /** Newest first. */
  listIntents(accountId: string): Promise<Intent[]>
  /**
   * Compare-and-set. With `lease`, also requires that the lease is still held by that holder and fence on the store's
   * clock, in the same transaction: this is the last gate before a spend.
   */
  saveIntent(intent: Intent, expectedVersion: number, lease?: Lease): Promise<Intent | undefined>

  /**
   * Appends grants, gives each the account's next generation, and marks the intent (if any) `answered` with them,
   * whatever its state, holder or version: an answer is never refused. A grant whose id is there already is returned as stored.
   * The session of each new grant's slot becomes due, so that a running keeper takes it into use if we do not live to.
   */
  recordGrants(grants: readonly NewGrant[], intentKey?: string): Promise<Grant[]>
  loadGrant(accountId: string, generation: number): Promise<Grant | undefined>
  /** Newest first. */
  listGrants(accountId: string, query?: { slot?: Slot; limit?: number }): Promise<Grant[]>

  listSessions(): Promise<Session[]>
  loadSession(accountId: string, slot: Slot): Promise<Session | undefined>
  /** Compare-and-set; also undefined when `session.fence` is lower than the stored one. */
  saveSession(session: Session, expectedVersion: number): Promise<Session | undefined>

  /** Returns the open request if there is one, so that many callers make one. */
  openLoginRequest(request: LoginRequest): Promise<{ request: LoginRequest; opened: boolean }>
  loadOpenLoginRequest(accountId: string): Promise<LoginRequest | undefined>
  satisfyLoginRequests(accountId: string, at: Instant): Promise<void>
  saveLoginAttempt(attempt: LoginAttempt): Promise<void>

  listDeliveries(accountId?: string): Promise<Delivery[]>
  loadDelivery(accountId: string, slot: Slot, destinationId: string): Promise<Delivery | undefined>
  saveDelivery(delivery: Delivery, expectedVersion: number): Promise<Delivery | undefined>
  removeDelivery(accountId: string, slot: Slot, destinationId: string): Promise<void>
}

export type TakenAttempt =
  | { outcome: 'taken'; attempt: LoginAttempt }
  | { outcome: 'used' | 'expired'; attempt: LoginAttempt }
  /** It belongs to another account than the one named, and stays as it is. */
  | { outcome: 'foreign' }
  | { outcome: 'unknown' }

export interface Vault {
  /** The store's clock: what leases and intent deadlines are measured by, the same for every process. */
  now(): Promise<Instant>
  forTenant(tenantId: string): TenantVault
  listTenants(): Promise<string[]>

  /** Sessions of accounts that are not paused with `dueAt` at or before `at`, earliest first. */
  due(at: Instant, limit: number): Promise<{ ref: AccountRef; slot: Slot; dueAt: Instant }[]>
  nextDue(): Promise<Instant | undefined>

  /** Undefined while another holder's term runs. Taking it again as its holder extends it under the same fence. */
  takeLease(name: string, holder: string, termMs: number): Promise<Lease | undefined>
  /** Undefined when it was lost. */
  extendLease(lease: Lease, termMs: number): Promise<Lease | undefined>
  /** Does nothing when it is not ours any more. The fence survives. */
  dropLease(lease: Lease): Promise<void>
  readLease(name: string): Promise<Lease | undefined>

  /** Finds the attempt by the hash of its state, over all tenants, and marks it used: once, whoever asks. */
  takeLoginAttempt(stateHash: string, at: Instant, only?: AccountRef): Promise<TakenAttempt>

  loadBreaker(key: string): Promise<Breaker | undefined>
  saveBreaker(breaker: Breaker, expectedVersion: number): Promise<Breaker | undefined>

  /** Writes and takes back as much as an answer needs. Throws `vault-full` or `vault-busy` before anything is spent. */
  proveWritable(): Promise<void>

  /** Optional ability: calls back soon after another process changed something. Returns how to stop. */
  onChange?(listener: () => void): () => void
  close(): Promise<void>
}

export interface EventQuery {
  tenantId: string
  accountId?: string
  afterSeq?: number
  /** Newest `limit` of what matches, oldest first. */
  limit: number
}

/** What is kept to look back at, and who may look. */
export interface Ledger {
  appendEvents(events: readonly NewEvent[]): Promise<LedgerEvent[]>
  listEvents(query: EventQuery): Promise<LedgerEvent[]>
  /** The first event whose hash does not fit, or undefined when the chain is whole. */
  firstBrokenEvent(): Promise<LedgerEvent | undefined>

  saveKey(key: ApiKey): Promise<void>
  findKey(digest: string): Promise<ApiKey | undefined>
  listKeys(tenantId: string): Promise<ApiKey[]>
  revokeKey(tenantId: string, id: string, at: Instant): Promise<void>
}

export type Store = Vault & Ledger
