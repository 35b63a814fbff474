/** The life of a renewal: ARCHITECTURE.md tells its twelve steps, this file is their order. */

import { OpenbellError, type Problem, problemError } from '../core/errors.ts'
import type { AccountRef, Grant, Slot } from '../core/model.ts'
import { plus } from '../core/time.ts'
import type { EngineDeps } from './deps.ts'
import { halfLife, planInput } from './due.ts'
import { accountLease, type HeldLease, withLeaseInTurn } from './lease.ts'
import type { BrokerTime } from './offset.ts'
import { canRefresh, plan } from './plan.ts'
import type { Known, Sessions } from './sessions.ts'
import { keyOf } from './sessions.ts'
import type { Settler } from './settle.ts'
import { SingleFlight } from './single-flight.ts'
import type { Spender, Spent } from './spend.ts'

export type By =
  | { who: 'plan' }
  /** A program that wants a token valid for at least this long. */
  | { who: 'caller'; minValidMs: number }
  /** "Try once more": releases a brake. */
  | { who: 'person' }

export class Renewer {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #sessions: Sessions
  readonly #spender: Spender
  readonly #settler: Settler
  readonly #flight = new SingleFlight<Known>()

  constructor(deps: EngineDeps, time: BrokerTime, sessions: Sessions, spender: Spender, settler: Settler) {
    this.#deps = deps
    this.#time = time
    this.#sessions = sessions
    this.#spender = spender
    this.#settler = settler
  }

  /**
   * Joins a renewal that is already running, here or in another process. Resolves with the session as it is then;
   * throws when it cannot be made to serve. Not bounded in time: callers race it against their own patience.
   */
  renew(ref: AccountRef, slot: Slot, by: By): Promise<Known> {
    // A person's press is a run of its own: joining one that only finds the brake on would swallow it.
    const key = keyOf(ref, slot) + (by.who === 'person' ? '/person' : '')
    return this.#flight.run(key, () => this.#inTurn(ref, slot, by))
  }

  isRenewing(ref: AccountRef, slot: Slot): boolean {
    return this.#flight.isRunning(keyOf(ref, slot)) || this.#flight.isRunning(`${keyOf(ref, slot)}/person`)
  }

  async idle(): Promise<void> {
    await this.#flight.idle()
  }

  async #inTurn(ref: AccountRef, slot: Slot, by: By): Promise<Known> {
    const { timings } = this.#deps
    const waitMs = timings.leaseTermMs + timings.spendDeadlineMs
    for (let turn = 0; turn < 3; turn++) {
      const done = await withLeaseInTurn(
        this.#deps,
        accountLease(ref.tenantId, ref.accountId),
        waitMs,
        (lease) => this.#underLease(ref, slot, by, lease),
        async () => this.#stillNeeded(await this.#sessions.load(ref, slot), by),
      )
      if (!done) {
        const known = await this.#sessions.load(ref, slot)
        if (!this.#stillNeeded(known, by)) return known
        break
      }
      if (done.value !== 'again') return done.value
    }
    throw new OpenbellError(
      'token-not-ready',
      `Another process is renewing ${ref.accountId}; ask again in a few seconds.`,
      {
        accountId: ref.accountId,
      },
    )
  }

  async #underLease(ref: AccountRef, slot: Slot, by: By, lease: HeldLease): Promise<Known | 'again'> {
    await this.#deps.onStep?.('lease', 'after', ref.accountId)
    let known = await this.#sessions.load(ref, slot)
    await this.#deps.onStep?.('load', 'after', ref.accountId)
    if (known.account.paused) {
      throw new OpenbellError(
        'account-paused',
        `${ref.accountId} is paused; run \`openbell resume ${ref.accountId}\`.`,
        {
          accountId: ref.accountId,
        },
      )
    }
    known = await this.#settler.adoptRecorded(known, lease)
    if (!this.#stillNeeded(known, by)) return known
    const braked = this.#brake(known, by)
    if (braked) throw problemError(braked, ref.accountId)

    const { broker, app, session } = known
    const now = this.#time.now(broker.id)
    const exchange = broker.refresh
    const grant = await this.#unspent(known)
    if (!exchange || !grant?.refresh || !canRefresh({ app, session, grant, broker, now })) {
      // What was being retried cannot be any more: whoever looks sees that a person is needed.
      if (session.work.state === 'retrying' || session.work.state === 'blocked') {
        await this.#settler.setProblem(ref, slot, loginNeeded(known), lease)
      }
      throw problemError(loginNeeded(known), ref.accountId)
    }
    const spent = await this.#spender.spend(
      {
        known,
        kind: 'refresh',
        key: refreshKey(grant),
        exchange,
        input: { refreshToken: grant.refresh.token },
        origin: 'refresh',
        refresh: grant.refresh,
      },
      lease,
    )
    return this.#after(known, spent, lease)
  }

  /**
   * The grant whose refresh token comes next. Where one is used up by using it, that of the current grant may be spent
   * although its access token serves on: the answer brought a token that the broker then refused. What came with that
   * answer is all that is left of the family.
   */
  async #unspent({ account, broker, session, grant }: Known): Promise<Grant | undefined> {
    if (broker.refresh?.spend !== 'single-use') return grant
    const vault = this.#deps.store.forTenant(account.tenantId)
    let heir = grant
    while (heir) {
      const intent = await vault.loadIntent(account.id, refreshKey(heir))
      const generation = intent?.state === 'answered' ? intent.grants.at(-1) : undefined
      if (generation === undefined || !session.rejected?.includes(generation)) return heir
      heir = await vault.loadGrant(account.id, generation)
    }
    return undefined
  }

  async #after(known: Known, spent: Spent, lease: HeldLease): Promise<Known | 'again'> {
    const { ref, slot } = known.session
    switch (spent.kind) {
      case 'lease-lost':
        return 'again'
      case 'wait': {
        // The holder that sent it is gone or asleep; its answer may still come until the deadline.
        const storeNow = await this.#deps.store.now()
        await this.#deps.clock.sleep(
          Math.min(Math.max(spent.until - storeNow, 0) + 1, this.#deps.timings.spendDeadlineMs),
        )
        return 'again'
      }
      case 'problem': {
        const { remedy } = spent.problem
        // A wrong PIN is not sent again either: brokers count them.
        if (remedy === 'login' || remedy === 'fix-settings')
          await this.#settler.retireRefresh(known, spent.problem.message)
        await this.#settler.setProblem(ref, slot, spent.problem, lease)
        throw problemError(spent.problem, ref.accountId)
      }
      case 'recorded': {
        const taken = await this.take(known, spent.generations, lease)
        const refused = spent.generations.some((generation) => taken.session.rejected?.includes(generation))
        if (!refused || !known.broker.refresh?.onTrial) return taken
        // It looked like a renewal and the broker does not know the token: the refusal in another form.
        await this.#settler.retireRefresh(taken, 'it handed over a token that it does not accept')
        if (this.#sessions.ready(ref, slot)) return this.#sessions.load(ref, slot)
        const needed = loginNeeded(await this.#sessions.load(ref, slot))
        return this.#settler.setProblem(ref, slot, needed, lease)
      }
    }
  }

  /** Takes recorded grants into use, under this lease or, when it was lost meanwhile, under a new one. */
  async take(known: Known, generations: readonly number[], lease: HeldLease): Promise<Known> {
    const { ref, slot } = known.session
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const use = async (held: HeldLease): Promise<Known> => {
      for (const generation of generations) {
        const grant = await vault.loadGrant(ref.accountId, generation)
        if (grant) await this.#settler.settle(grant, held)
      }
      return this.#sessions.load(ref, slot)
    }
    try {
      return await use(lease)
    } catch (error) {
      if (!(error instanceof OpenbellError) || error.code !== 'conflict') throw error
    }
    const done = await withLeaseInTurn(
      this.#deps,
      accountLease(ref.tenantId, ref.accountId),
      this.#deps.timings.leaseTermMs * 2,
      async (held) => this.#settler.adoptRecorded(await this.#sessions.load(ref, slot), held),
    )
    return done ? done.value : this.#sessions.load(ref, slot)
  }

  #stillNeeded(known: Known, by: By): boolean {
    const { session, broker } = known
    const serves = this.#sessions.ready(session.ref, session.slot) !== undefined
    switch (by.who) {
      case 'person':
        return true
      case 'caller': {
        if (!serves || !session.expiry || session.token === 'suspect') return true
        const now = this.#time.now(broker.id)
        // A caller may want more than any token has.
        if (now < halfLife(this.#time, broker.id, session, known.grant)) return false
        return session.expiry.at < plus(now, by.minValidMs)
      }
      case 'plan': {
        const input = planInput(this.#deps, this.#time, known, session, known.grant)
        return plan(input).some(
          ({ action, at }) => (action === 'refresh' || action === 'retry') && at <= input.now,
        )
      }
    }
  }

  /** Why nothing may be sent although a token is wanted. */
  #brake({ session, app, broker }: Known, by: By): Problem | undefined {
    const { work } = session
    if (by.who === 'person') return undefined
    switch (work.state) {
      case 'idle':
        return undefined
      case 'waiting-for-person':
      case 'needs-fixing':
        return work.appVersion === app.version ? work.problem : undefined
      case 'retrying':
        return work.nextAt > this.#time.now(broker.id) ? { ...work.problem, until: work.nextAt } : undefined
      case 'blocked':
        return work.until > this.#time.now(broker.id) ? { ...work.problem, until: work.until } : undefined
    }
  }
}

function refreshKey({ generation }: Grant): string {
  return `refresh:${generation}`
}

export function loginNeeded({ account, broker, session }: Known): Problem {
  const why =
    session.generation === 0 ? 'has not been logged in yet' : 'has no living token, and a person must log in'
  return {
    remedy: 'login',
    code: 'login-needed',
    message: `${account.id} (${broker.name}) ${why}: run \`openbell login ${account.id}\`.`,
  }
}
