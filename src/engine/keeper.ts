/** The keeper: wires the engine's parts together, watches what falls due, and answers callers. */

import { OpenbellError, problemError } from '../core/errors.ts'
import type {
  AccountChanges,
  AccountStatus,
  BegunLogin,
  BrokerInfo,
  DeliveryView,
  FinishLogin,
  Keeper,
  LoginResult,
  LogoutResult,
  NewAccount,
  ReadySession,
  Step,
} from '../core/keeper.ts'
import type { AccountRef, Destination, LedgerEvent, NewGrant, Session, Slot } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import { earliest, type Instant, instant, minuteMs, plus, secondMs } from '../core/time.ts'
import { Accounts } from './accounts.ts'
import { Breakers } from './breaker.ts'
import { Deliverer } from './deliver.ts'
import type { EngineDeps } from './deps.ts'
import { planInput, withDue } from './due.ts'
import { Journal } from './journal.ts'
import { accountLease, withLeaseInTurn } from './lease.ts'
import { Logins } from './login.ts'
import { Logouts } from './logout.ts'
import { BrokerTime } from './offset.ts'
import { plan } from './plan.ts'
import { Prober } from './probe.ts'
import { type By, loginNeeded, Renewer } from './renew.ts'
import { type Known, keyOf, Sessions, slotOf } from './sessions.ts'
import { Settler } from './settle.ts'
import { SingleFlight } from './single-flight.ts'
import { Spender } from './spend.ts'
import { viewBroker, viewStatus } from './status.ts'

/** Even with nothing due the loop looks this often: a clock may have been stepped, a laptop may have slept. */
const longestSleepMs = minuteMs
const atOnce = 64
/** Far below every back-off: what really failed has a time of its own in the store. */
const pauseAfterFailureMs = secondMs

export interface EngineKeeper extends Keeper {
  /** Broker minus local clock in ms, per broker heard in this process. */
  clockOffsets(): Record<string, number>
  /** What is alive in memory, for the log's last filter. */
  secrets(): Iterable<Secret>
}

export function createKeeper(deps: EngineDeps): EngineKeeper {
  return new EngineKeeperImpl(deps)
}

class EngineKeeperImpl implements EngineKeeper {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #sessions: Sessions
  readonly #renewer: Renewer
  readonly #settler: Settler
  readonly #deliverer: Deliverer
  readonly #logins: Logins
  readonly #accounts: Accounts
  readonly #logouts: Logouts
  readonly #journal: Journal
  readonly #acting = new SingleFlight<void>()
  readonly #confirming = new SingleFlight<Known>()
  #running: { stop: AbortController; wake: AbortController; loop: Promise<void> } | undefined
  #starting: Promise<void> | undefined
  #reloading: Promise<void> | undefined
  #reloadAgain = false
  /** Steps that did not succeed, and until when they rest. */
  readonly #failed = new Map<string, Instant>()
  #unwatch: (() => void) | undefined
  /** As the loop last saw it. */
  #nextDue: Instant | undefined

  constructor(deps: EngineDeps) {
    this.#deps = deps
    this.#time = new BrokerTime(deps.clock)
    this.#sessions = new Sessions(deps, this.#time)
    const breakers = new Breakers(deps)
    const prober = new Prober(deps, this.#time, breakers)
    this.#journal = new Journal(deps)
    this.#deliverer = new Deliverer(
      deps,
      this.#time,
      this.#sessions,
      prober,
      this.#journal,
      (known, token, userId, where) => this.#adopt(known, token, userId, where),
    )
    this.#settler = new Settler(deps, this.#time, this.#sessions, prober, this.#journal, (ref, slot) =>
      this.#deliverSoon(ref, slot),
    )
    const spender = new Spender(deps, this.#time, breakers)
    this.#renewer = new Renewer(deps, this.#time, this.#sessions, spender, this.#settler)
    this.#logins = new Logins(deps, this.#sessions, spender, this.#settler, this.#renewer, this.#journal)
    this.#logouts = new Logouts(deps, this.#time, this.#sessions, this.#deliverer, this.#journal)
    this.#accounts = new Accounts(deps, this.#time, this.#sessions, this.#journal, this.#deliverer)
    // Whatever changes a session here may also change what is due next.
    this.#sessions.onChange(() => this.#running?.wake.abort())
  }

  start(): Promise<void> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = undefined
      throw error
    })
    return this.#starting
  }

  async stop(): Promise<void> {
    await this.#starting?.catch(() => undefined)
    const running = this.#running
    this.#running = undefined
    this.#starting = undefined
    this.#unwatch?.()
    this.#unwatch = undefined
    if (running) {
      running.stop.abort()
      running.wake.abort()
      await running.loop
    }
    // A spend in flight is recorded before the store may close under it.
    await this.#acting.idle()
    await this.#renewer.idle()
    await this.#confirming.idle()
    await this.#deliverer.idle()
  }

  brokers(): readonly BrokerInfo[] {
    return this.#deps.brokers.map(viewBroker)
  }

  clockOffsets(): Record<string, number> {
    return this.#time.offsets()
  }

  secrets(): Iterable<Secret> {
    return this.#sessions.secrets()
  }

  async addAccount(input: NewAccount): Promise<AccountStatus> {
    return this.#view(await this.#accounts.add(input))
  }

  async editAccount(ref: AccountRef, changes: AccountChanges): Promise<AccountStatus> {
    const known = await this.#accounts.edit(ref, changes)
    if (changes.destinations) await this.#deliverer.deliver(ref, known.session.slot)
    return this.statusOf(ref)
  }

  async pauseAccount(ref: AccountRef): Promise<AccountStatus> {
    return this.#view(await this.#accounts.setPaused(ref, true))
  }

  async resumeAccount(ref: AccountRef): Promise<AccountStatus> {
    return this.#view(await this.#accounts.setPaused(ref, false))
  }

  async removeAccount(ref: AccountRef): Promise<void> {
    await this.#accounts.remove(ref)
  }

  async status(tenantId: string): Promise<AccountStatus[]> {
    const accounts = await this.#deps.store.forTenant(tenantId).listAccounts()
    const views: AccountStatus[] = []
    const sessions = await this.#deps.store.forTenant(tenantId).listSessions()
    for (const account of accounts) {
      const ref = { tenantId, accountId: account.id }
      views.push(await this.statusOf(ref))
      for (const { ref: owner, slot, generation } of sessions) {
        if (owner.accountId !== account.id || slot === slotOf(account) || generation === 0) continue
        views.push(await this.#view(await this.#sessions.load(ref, slot)))
      }
    }
    return views
  }

  async statusOf(ref: AccountRef): Promise<AccountStatus> {
    return this.#view(await this.#sessions.load(ref))
  }

  async check(ref: AccountRef): Promise<AccountStatus> {
    const { session } = await this.#sessions.load(ref)
    await this.#confirm(ref, session.slot)
    await this.#deliverer.deliver(ref, session.slot)
    return this.statusOf(ref)
  }

  async plan(ref: AccountRef): Promise<Step[]> {
    const known = await this.#sessions.load(ref)
    return plan(planInput(this.#deps, this.#time, known, known.session, known.grant))
  }

  session(ref: AccountRef, slot?: Slot): ReadySession | undefined {
    return this.#sessions.ready(ref, slot)
  }

  async token(
    ref: AccountRef,
    options: { slot?: Slot; minValidMs?: number; waitMs?: number } = {},
  ): Promise<ReadySession> {
    const { minValidMs = 0, waitMs = this.#deps.timings.callerWaitMs } = options
    const enough = () => this.#sessions.ready(ref, options.slot, minValidMs)
    const atHand = enough()
    if (atHand) return atHand
    const known = await this.#sessions.load(ref, options.slot)
    const { slot } = known.session
    const loaded = enough()
    if (loaded) return loaded
    if (known.account.paused) {
      throw new OpenbellError(
        'account-paused',
        `${ref.accountId} is paused; run \`openbell resume ${ref.accountId}\`.`,
        { accountId: ref.accountId },
      )
    }
    try {
      await this.#inTime(this.#renewer.renew(ref, slot, { who: 'caller', minValidMs }), waitMs, ref)
    } catch (error) {
      // Less time than was asked for is better than nothing while the broker still accepts it.
      const rest = this.#sessions.ready(ref, slot)
      if (rest) return rest
      throw error
    }
    const ready = this.#sessions.ready(ref, slot)
    if (ready) return ready
    const now = await this.#sessions.load(ref, slot)
    throw problemError(
      'problem' in now.session.work ? now.session.work.problem : loginNeeded(now),
      ref.accountId,
    )
  }

  async renew(ref: AccountRef, by: 'plan' | 'caller' | 'person'): Promise<AccountStatus> {
    const how: By = by === 'caller' ? { who: 'caller', minValidMs: 0 } : { who: by }
    const { session } = await this.#sessions.load(ref)
    return this.#view(await this.#renewer.renew(ref, session.slot, how))
  }

  async reportRejected(ref: AccountRef, generation: number, asked?: Slot): Promise<void> {
    const known = await this.#sessions.load(ref, asked)
    const { session, broker } = known
    const { slot } = session
    // Only a complaint about the token in use says anything.
    if (session.generation !== generation || !this.#sessions.ready(ref, slot)) return
    const now = this.#time.now(broker.id)
    const { probeEveryMs } = broker.rules.limits
    // Where the clocks were set meanwhile, "since the last one" may lie ahead.
    const lastAt = earliest(session.acceptedAt ?? known.grant?.receivedAt ?? now, now)
    const budgetAt = plus(lastAt, probeEveryMs)
    const suspected = await this.#sessions.update(ref, slot, (current) => {
      if (current.session.generation !== generation || current.session.token === 'suspect') return undefined
      const probe = {
        attempt: 0,
        nextAt: budgetAt > now ? budgetAt : now,
        why: 'a program reports that the broker refused the token',
      }
      return withDue(
        this.#deps,
        this.#time,
        current,
        { ...current.session, token: 'suspect', probe },
        current.grant,
      )
    })
    if (suspected)
      await this.#journal.write(
        ref,
        'suspect',
        'A program reports that the broker refused the token.',
        generation,
      )
    if (budgetAt <= now) await this.#confirm(ref, slot)
  }

  async beginLogin(ref: AccountRef, options: { replace?: boolean } = {}): Promise<BegunLogin> {
    return this.#logins.begin(ref, options.replace ?? false)
  }

  async finishLogin(input: FinishLogin): Promise<LoginResult> {
    const { known, exchanged } = await this.#logins.finish(input)
    const { ref, slot } = known.session
    await this.#deliverer.deliver(ref, slot)
    return { status: await this.statusOf(ref), exchanged }
  }

  async logout(ref: AccountRef): Promise<LogoutResult> {
    const { session } = await this.#sessions.load(ref)
    const atBroker = await this.#underLease(ref, (lease) => this.#logouts.logOut(ref, session.slot, lease))
    return { status: await this.statusOf(ref), atBroker }
  }

  async importToken(ref: AccountRef, accessToken: Secret, slot?: Slot): Promise<AccountStatus> {
    const known = await this.#sessions.load(ref, slot)
    const { broker, session } = known
    if (!broker.adopt) {
      throw new OpenbellError(
        'not-supported',
        `A bare token of ${broker.name} does not say when it ends, so it cannot be taken over; run \`openbell login ${ref.accountId}\`.`,
        { accountId: ref.accountId },
      )
    }
    const taken = await this.#takeOver(known, accessToken, undefined)
    if (taken.session.token === 'dead' || taken.session.token === 'none') {
      const { work } = taken.session
      if ('problem' in work) throw problemError(work.problem, ref.accountId)
    }
    await this.#deliverer.deliver(ref, session.slot)
    return this.#view(await this.#sessions.load(ref, session.slot))
  }

  destinationKinds(): ReturnType<Keeper['destinationKinds']> {
    return this.#deps.publishers.map(({ kind, settings }) => ({ kind, settings }))
  }

  async addDestination(input: Omit<Destination, 'version'>): Promise<Destination> {
    return this.#accounts.addDestination(input)
  }

  async listDestinations(tenantId: string): Promise<Destination[]> {
    return this.#deps.store.forTenant(tenantId).listDestinations()
  }

  async testDestination(tenantId: string, id: string): Promise<DeliveryView[]> {
    const vault = this.#deps.store.forTenant(tenantId)
    const destination = await vault.loadDestination(id)
    if (!destination) {
      throw new OpenbellError('unknown-destination', `There is no destination called "${id}".`, {
        field: 'destination',
      })
    }
    await this.#deliverer.publisherOf(destination).check(destination)
    const views: DeliveryView[] = []
    for (const account of await vault.listAccounts()) {
      if (!account.destinations.includes(id)) continue
      const ref = { tenantId, accountId: account.id }
      await this.#deliverer.deliverTo(ref, slotOf(account), id)
      views.push(await this.#deliverer.view(ref, slotOf(account), id))
    }
    return views
  }

  async removeDestination(tenantId: string, id: string): Promise<void> {
    await this.#accounts.removeDestination(tenantId, id)
  }

  async events(query: {
    tenantId: string
    accountId?: string
    afterSeq?: number
    limit?: number
  }): Promise<LedgerEvent[]> {
    return this.#deps.store.listEvents({ limit: 100, ...query })
  }

  onChange(listener: () => void): () => void {
    this.#watch()
    return this.#sessions.onChange(listener)
  }

  async #start(): Promise<void> {
    await this.#sessions.reloadAll()
    this.#watch()
    const stop = new AbortController()
    this.#running = { stop, wake: new AbortController(), loop: Promise.resolve() }
    this.#running.loop = this.#loop(stop.signal)
  }

  async #hasUnused(session: Session): Promise<boolean> {
    const { ref, slot } = session
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const [newest] = await vault.listGrants(ref.accountId, { slot, limit: 1 })
    return newest !== undefined && this.#settler.hasUnused(session, newest.generation)
  }

  #watch(): void {
    this.#unwatch ??= this.#deps.store.onChange?.(() => this.#reload())
  }

  /** Another process has written: follow, at most one reload at a time. */
  #reload(): void {
    if (this.#reloading !== undefined) {
      this.#reloadAgain = true
      return
    }
    this.#reloading = this.#sessions
      .reloadAll()
      .then(() => this.#wakeWhenDue())
      .catch((error: unknown) =>
        this.#deps.log.warn(
          { error: error instanceof Error ? error.message : 'unknown' },
          'could not follow the vault',
        ),
      )
      .finally(() => {
        this.#reloading = undefined
        if (!this.#reloadAgain) return
        this.#reloadAgain = false
        this.#reload()
      })
  }

  /** What another process recorded may have made something due although no session changed. */
  async #wakeWhenDue(): Promise<void> {
    if ((await this.#deps.store.nextDue()) !== this.#nextDue) this.#running?.wake.abort()
  }

  async #loop(stopped: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps
    while (!stopped.aborted) {
      const running = this.#running
      if (!running) return
      running.wake = new AbortController()
      const next = await this.#round().catch((error: unknown) => {
        log.error(
          { error: error instanceof Error ? error.message : 'unknown' },
          'the keeper could not look at what is due',
        )
        return plus(clock.now(), pauseAfterFailureMs)
      })
      const sleepMs = Math.min(Math.max(next - clock.now(), 1), longestSleepMs)
      if (!stopped.aborted && !running.wake.signal.aborted) await clock.sleep(sleepMs, running.wake.signal)
    }
  }

  /** Starts what is due and returns when to look again. */
  async #round(): Promise<Instant> {
    const { store, clock } = this.#deps
    const now = clock.now()
    for (const [key, until] of this.#failed) if (until <= now) this.#failed.delete(key)
    // What is being worked on, or has just failed, is still due and must not stand in the others' way.
    const due = await store.due(now, atOnce + this.#acting.size + this.#failed.size)
    for (const { ref, slot } of due) {
      const key = keyOf(ref, slot)
      if (!this.#acting.isRunning(key) && !this.#failed.has(key)) void this.#act(ref, slot)
    }
    const deliveryAt = await this.#deliverer.catchUp(now, (session) =>
      this.#renewer.isRenewing(session.ref, session.slot),
    )
    this.#nextDue = await store.nextDue()
    const later = [...this.#failed.values(), deliveryAt, plus(now, longestSleepMs)]
    if (this.#nextDue !== undefined && this.#nextDue > now) later.push(this.#nextDue)
    // Nothing before the second one is known to be due: the end of what is being worked on wakes the loop.
    else if (due.length > 0) later.push(plus(now, pauseAfterFailureMs))
    return instant(Math.min(...later))
  }

  #act(ref: AccountRef, slot: Slot): Promise<void> {
    return this.#acting.run(keyOf(ref, slot), async () => {
      try {
        await this.#actOn(await this.#sessions.load(ref, slot))
        this.#sessions.changed()
      } catch (error) {
        // Nobody is woken: a step that fails at once must not be tried again at once.
        this.#failed.set(keyOf(ref, slot), plus(this.#deps.clock.now(), pauseAfterFailureMs))
        const expected = error instanceof OpenbellError
        this.#deps.log[expected ? 'info' : 'error'](
          {
            account: ref.accountId,
            code: expected ? error.code : 'internal',
            error: error instanceof Error ? error.message : 'unknown',
          },
          'a due step did not succeed',
        )
        if (!expected) await this.#settler.setProblem(ref, slot, unexpected()).catch(() => undefined)
      }
    })
  }

  /** Decide, then act: the plan's head is the decision. */
  async #actOn(known: Known): Promise<void> {
    const { session } = known
    const { ref, slot } = session
    if (await this.#hasUnused(session)) {
      await this.#underLease(ref, async (lease) =>
        this.#settler.adoptRecorded(await this.#sessions.load(ref, slot), lease),
      )
    }
    const here = await this.#sessions.load(ref, slot)
    const input = planInput(this.#deps, this.#time, here, here.session, here.grant)
    const head = plan(input)[0]
    if (!head || head.at > input.now) {
      await this.#replan(ref, slot)
      return
    }
    switch (head.action) {
      case 'refresh':
      case 'retry':
        await this.#renewer.renew(ref, slot, { who: 'plan' })
        return
      case 'probe':
        await this.#confirm(ref, slot)
        return
      case 'end':
        await this.#underLease(ref, (lease) => this.#settler.end(ref, slot, lease))
        return
      case 'ask':
        await this.#underLease(ref, async (lease) => {
          // Nobody is asked for what somebody has just done.
          const now = await this.#sessions.load(ref, slot)
          if (now.session.version === here.session.version)
            await this.#settler.setProblem(ref, slot, loginNeeded(now), lease)
        })
        return
    }
  }

  async #replan(ref: AccountRef, slot: Slot): Promise<void> {
    await this.#sessions.update(ref, slot, (current) =>
      withDue(this.#deps, this.#time, current, current.session, current.grant),
    )
  }

  #confirm(ref: AccountRef, slot: Slot): Promise<Known> {
    return this.#confirming.run(keyOf(ref, slot), () =>
      this.#underLease(ref, (lease) => this.#settler.confirm(ref, slot, lease)),
    )
  }

  async #underLease<T>(ref: AccountRef, work: Parameters<typeof withLeaseInTurn<T>>[3]): Promise<T> {
    const { timings } = this.#deps
    const done = await withLeaseInTurn(
      this.#deps,
      accountLease(ref.tenantId, ref.accountId),
      timings.leaseTermMs + timings.spendDeadlineMs,
      work,
    )
    if (done) return done.value
    throw new OpenbellError(
      'token-not-ready',
      `Another process is working on ${ref.accountId}; ask again in a few seconds.`,
      {
        accountId: ref.accountId,
      },
    )
  }

  #deliverSoon(ref: AccountRef, slot: Slot): void {
    this.#deliverer.deliver(ref, slot).catch((error: unknown) => {
      this.#deps.log.error(
        { account: ref.accountId, error: error instanceof Error ? error.message : 'unknown' },
        'a delivery did not end well',
      )
    })
  }

  /** A person put a token into a destination that the broker accepts as this account's: it becomes a grant like any other. */
  async #adopt(
    known: Known,
    accessToken: Secret,
    userId: string | undefined,
    destinationId: string,
  ): Promise<void> {
    const { session } = await this.#takeOver(known, accessToken, userId)
    await this.#journal.write(
      known.session.ref,
      'destination-adopted',
      `A token found in ${destinationId} is accepted by ${known.broker.name} and was taken over.`,
      session.generation,
    )
  }

  /** Records a bare token and proves it like any other grant. */
  async #takeOver(known: Known, accessToken: Secret, userId: string | undefined): Promise<Known> {
    const { broker, app, session } = known
    const { store, clock, randomToken } = this.#deps
    const { ref, slot } = session
    const draft = broker.adopt?.({ accessToken, now: this.#time.now(broker.id), slot })
    if (!draft) return known
    const { also: _, ...fields } = draft
    const grant: NewGrant = {
      ...fields,
      ...(userId === undefined ? {} : { brokerUserId: userId }),
      id: randomToken(),
      ref,
      origin: 'import',
      sentAt: clock.now(),
      receivedAt: clock.now(),
      appVersion: app.version,
    }
    const recorded = await store.forTenant(ref.tenantId).recordGrants([grant])
    return this.#underLease(ref, async (lease) => {
      for (const one of recorded) await this.#settler.settle(one, lease)
      return this.#sessions.load(ref, slot)
    })
  }

  async #view(known: Known): Promise<AccountStatus> {
    const { account, session, broker } = known
    const { store } = this.#deps
    const deliveries: DeliveryView[] = []
    for (const id of account.destinations) {
      deliveries.push(await this.#deliverer.view(session.ref, session.slot, id))
    }
    const now = this.#time.now(broker.id)
    const next = plan(planInput(this.#deps, this.#time, known, session, known.grant))[0]
    const lease = await store.readLease(accountLease(account.tenantId, account.id))
    const renewing =
      this.#renewer.isRenewing(session.ref, session.slot) ||
      (lease !== undefined && lease.until > (await store.now()))
    const clockWrongByMs = this.#time.isWrong(broker.id) ? this.#time.offset(broker.id) : undefined
    return viewStatus(known, deliveries, next, renewing, now, clockWrongByMs)
  }

  async #inTime<T>(work: Promise<T>, waitMs: number, ref: AccountRef): Promise<T> {
    const done = new AbortController()
    // The work goes on when the waiter leaves; its failure is then nobody's.
    work.catch(() => undefined)
    try {
      return await Promise.race([
        work,
        this.#deps.clock.sleep(waitMs, done.signal).then(() => {
          throw new OpenbellError(
            'token-not-ready',
            `The renewal of ${ref.accountId} takes longer than you wanted to wait; it goes on, ask again in a few seconds.`,
            {
              accountId: ref.accountId,
            },
          )
        }),
      ])
    } finally {
      done.abort()
    }
  }
}

function unexpected(): { remedy: 'retry'; code: 'internal'; message: string } {
  return {
    remedy: 'retry',
    code: 'internal',
    message: 'Something failed inside Openbell that nobody expected; see the log.',
  }
}
