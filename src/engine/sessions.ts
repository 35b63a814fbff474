/**
 * What this process knows of every session, so that a read is a look-up and never waits. The store is the truth;
 * `reload` follows it.
 */

import type { Broker } from '../core/broker.ts'
import { OpenbellError } from '../core/errors.ts'
import type { ReadySession } from '../core/keeper.ts'
import type { Account, AccountRef, App, Grant, Session, Slot } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import type { Instant } from '../core/time.ts'
import { instant, plus } from '../core/time.ts'
import type { EngineDeps } from './deps.ts'
import type { BrokerTime } from './offset.ts'

/** What the account's programs need. */
export function slotOf(account: Account): Slot {
  return account.slot ?? 'trading'
}

export interface Known {
  account: Account
  app: App
  broker: Broker
  session: Session
  /** The promoted grant. */
  grant: Grant | undefined
  /** Ready to hand out; undefined when there is nothing to hand out whatever the time. */
  ready: ReadySession | undefined
}

export class Sessions {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #known = new Map<string, Known>()
  /** The account's own slot, by account. */
  readonly #slots = new Map<string, Slot>()
  readonly #listeners = new Set<() => void>()

  constructor(deps: EngineDeps, time: BrokerTime) {
    this.#deps = deps
    this.#time = time
  }

  /** No I/O. Undefined when nothing is known, or it may not be served or not for that long. */
  ready(ref: AccountRef, asked?: Slot, minValidMs = 0): ReadySession | undefined {
    const slot = asked ?? this.#slots.get(keyOf(ref))
    const known = slot && this.#known.get(keyOf(ref, slot))
    if (!known?.ready || known.account.paused) return undefined
    return known.ready.expiry.at > plus(this.#time.now(known.broker.id), minValidMs) ? known.ready : undefined
  }

  /** From the store, remembered; the account's own slot when none is asked for. Throws `unknown-account`. */
  async load(ref: AccountRef, asked?: Slot): Promise<Known> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const account = await vault.loadAccount(ref.accountId)
    const app = account && (await vault.loadApp(account.appId))
    if (!account || !app) {
      this.forget(ref)
      throw new OpenbellError('unknown-account', `There is no account called "${ref.accountId}".`, {
        field: 'account',
        accountId: ref.accountId,
      })
    }
    const slot = asked ?? slotOf(account)
    const session = (await vault.loadSession(ref.accountId, slot)) ?? emptySession(ref, slot)
    const before = this.#known.get(keyOf(ref, slot))
    const grant =
      session.generation === 0
        ? undefined
        : (grantIn(before, account, session) ?? (await vault.loadGrant(ref.accountId, session.generation)))
    return this.remember(account, app, session, grant)
  }

  remember(account: Account, app: App, session: Session, grant: Grant | undefined): Known {
    const broker = this.brokerOf(app)
    const known: Known = { account, app, broker, session, grant, ready: undefined }
    known.ready = readyFrom(known, this.#time.now(broker.id))
    const key = keyOf(session.ref, session.slot)
    const before = this.#known.get(key)
    this.#known.set(key, known)
    this.#slots.set(keyOf(session.ref), slotOf(account))
    // A mere look is no change: whoever listens would look again, for ever.
    const same =
      before?.session.version === session.version &&
      before.account.version === account.version &&
      before.app.version === app.version
    if (!same) this.changed()
    return known
  }

  /** Every session of every tenant that has changed; also forgets what is gone. */
  async reloadAll(): Promise<void> {
    const seen = new Set<string>()
    for (const tenantId of await this.#deps.store.listTenants()) {
      const vault = this.#deps.store.forTenant(tenantId)
      const accounts = new Map((await vault.listAccounts()).map((account) => [account.id, account]))
      for (const session of await vault.listSessions()) {
        const account = accounts.get(session.ref.accountId)
        if (!account) continue
        const key = keyOf(session.ref, session.slot)
        seen.add(key)
        const before = this.#known.get(key)
        // Whoever edits an app saves the session too, so the app need not be unsealed to see that it is the same.
        if (before?.session.version === session.version && before.account.version === account.version)
          continue
        const app = await vault.loadApp(account.appId)
        if (!app || !this.#deps.brokers.some((broker) => broker.id === app.brokerId)) continue
        const grant =
          session.generation === 0
            ? undefined
            : (grantIn(before, account, session) ?? (await vault.loadGrant(account.id, session.generation)))
        this.remember(account, app, session, grant)
      }
    }
    const gone = [...this.#known.keys()].filter((key) => !seen.has(key))
    for (const key of gone) this.#known.delete(key)
    if (gone.length > 0) this.changed()
  }

  forget(ref: AccountRef): void {
    for (const [key, known] of this.#known) {
      if (known.account.id === ref.accountId && known.account.tenantId === ref.tenantId)
        this.#known.delete(key)
    }
    this.changed()
  }

  brokerOf(app: App): Broker {
    const broker = this.#deps.brokers.find(({ id }) => id === app.brokerId)
    if (!broker) {
      throw new OpenbellError('unknown-broker', `No adapter for the broker "${app.brokerId}" is installed.`, {
        field: 'broker',
      })
    }
    return broker
  }

  /**
   * Reads, changes and saves until nobody else was in between. `mutate` may be called several times, and returns
   * undefined to leave everything as it is. `fence` is the lease's, where one is held; without, the stored one stays.
   * Returns undefined when `mutate` did, or when a newer holder has been at it.
   */
  async update(
    ref: AccountRef,
    slot: Slot | undefined,
    mutate: (known: Known) => Session | undefined,
    fence?: number,
  ): Promise<Known | undefined> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    for (;;) {
      const known = await this.load(ref, slot)
      const changed = mutate(known)
      if (!changed) return undefined
      if (fence !== undefined && known.session.fence > fence) return undefined
      const saved = await vault.saveSession(
        { ...changed, fence: fence ?? known.session.fence },
        known.session.version,
      )
      if (!saved) continue
      const grant =
        saved.generation === known.grant?.generation
          ? known.grant
          : await vault.loadGrant(ref.accountId, saved.generation)
      return this.remember(known.account, known.app, saved, grant)
    }
  }

  all(): Iterable<Known> {
    return this.#known.values()
  }

  /** What is alive in memory, for the log's last filter. */
  *secrets(): Iterable<Secret> {
    for (const { app, grant } of this.#known.values()) {
      yield* Object.values(app.credentials)
      if (grant) yield grant.accessToken
      if (grant?.refresh) yield grant.refresh.token
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** A grant never changes, so the one in memory will do; but an account that was removed and added again starts anew. */
function grantIn(before: Known | undefined, account: Account, session: Session): Grant | undefined {
  if (before?.account.createdAt !== account.createdAt) return undefined
  return before.grant?.generation === session.generation ? before.grant : undefined
}

export function emptySession(ref: AccountRef, slot: Slot): Session {
  return {
    ref,
    slot,
    version: 0,
    fence: 0,
    generation: 0,
    token: 'none',
    work: { state: 'idle' },
    dueAt: instant(0),
  }
}

export function keyOf(ref: AccountRef, slot: Slot | '' = ''): string {
  return `${ref.tenantId}/${ref.accountId}/${slot}`
}

function readyFrom({ session, grant, app, broker }: Known, now: Instant): ReadySession | undefined {
  const { token, expiry, ref, slot, generation } = session
  if (token === 'dead' || token === 'none' || !grant || !expiry) return undefined
  const appKey = app.credentials[broker.appKey]
  return {
    ref,
    slot,
    generation,
    token,
    accessToken: grant.accessToken,
    ...(appKey && broker.env.appKey ? { appKey } : {}),
    headers: broker.authorize({ app, origins: originsOf(app, broker), now, accessToken: grant.accessToken }),
    expiry,
  }
}

export function originsOf(app: App, broker: Broker): Readonly<Record<string, string>> {
  const origins = app.environment === 'simulator' ? app.origins : broker.environments[app.environment]
  if (!origins) {
    throw new OpenbellError('not-supported', `${broker.name} has no ${app.environment} environment.`, {
      field: 'environment',
    })
  }
  return origins
}
