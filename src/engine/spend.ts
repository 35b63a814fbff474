/**
 * Sending a secret that a broker may accept only once, and keeping what comes back: steps 5 to 8 of a renewal, and
 * the exchange of a login. The permit is written before the socket opens and the answer before anything else happens.
 */

import type { Exchange, ExchangeInput } from '../core/broker.ts'
import { isProblem } from '../core/broker.ts'
import { isOpenbellError, OpenbellError, type Problem } from '../core/errors.ts'
import type { Grant, GrantDraft, GrantOrigin, Intent, NewGrant } from '../core/model.ts'
import type { Instant } from '../core/time.ts'
import { plus } from '../core/time.ts'
import type { NoAnswer, Outcome } from '../core/wire.ts'
import { backoffMs } from './backoff.ts'
import type { Breakers } from './breaker.ts'
import type { EngineDeps, StepName } from './deps.ts'
import { permission } from './intent.ts'
import type { HeldLease } from './lease.ts'
import type { BrokerTime } from './offset.ts'
import { type Known, originsOf } from './sessions.ts'

export interface Spend<Input extends ExchangeInput> {
  known: Known
  kind: Intent['kind']
  /** Names the secret that is spent: one permit each. */
  key: string
  exchange: Exchange<Input>
  input: Omit<Input, keyof ExchangeInput>
  origin: GrantOrigin
  /** Goes on when the answer brings no refresh token. */
  refresh?: Grant['refresh']
}

export type Spent =
  | { kind: 'recorded'; generations: readonly number[] }
  /** `final`: the secret is burnt. Otherwise it may be sent again when the problem's remedy allows. */
  | { kind: 'problem'; problem: Problem; final: boolean }
  /** Another holder may still have it in flight; the store's clock. */
  | { kind: 'wait'; until: Instant }
  | { kind: 'lease-lost' }

export class Spender {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #breakers: Breakers

  constructor(deps: EngineDeps, time: BrokerTime, breakers: Breakers) {
    this.#deps = deps
    this.#time = time
    this.#breakers = breakers
  }

  /** Runs under the account's lease. Not bounded by any waiter's deadline; see `Timings.spendHardLimitMs`. */
  async spend<Input extends ExchangeInput>(spend: Spend<Input>, lease: HeldLease): Promise<Spent> {
    const { store, timings, send } = this.#deps
    const { known, exchange, key } = spend
    const { account, broker, app } = known
    const vault = store.forTenant(account.tenantId)

    const found = await vault.loadIntent(account.id, key)
    const storeNow = await store.now()
    const allowed = permission(found, storeNow)
    if (allowed.kind === 'recorded') return { kind: 'recorded', generations: allowed.generations }
    if (allowed.kind === 'wait') return allowed
    if (allowed.kind === 'lost') {
      if (found && found.state !== 'unknown')
        await vault.saveIntent({ ...found, state: 'unknown' }, found.version)
      return { kind: 'problem', problem: unknownProblem(broker.name, spend.kind), final: true }
    }
    if (allowed.kind === 'refused') {
      return {
        kind: 'problem',
        problem: found?.problem ?? unknownProblem(broker.name, spend.kind),
        final: true,
      }
    }

    const forbidden = await this.#breakers.forbids(broker, account.brokerUserId, this.#time.now(broker.id))
    if (forbidden) return { kind: 'problem', problem: forbidden, final: false }
    await store.proveWritable()

    await this.#step('prepared', 'before', account.id)
    const prepared = await vault.saveIntent(
      {
        ref: known.session.ref,
        key,
        version: 0,
        kind: spend.kind,
        spend: exchange.spend,
        state: 'prepared',
        holder: lease.current().holder,
        fence: lease.current().fence,
        preparedAt: storeNow,
        deadline: plus(storeNow, timings.spendDeadlineMs),
        sends: found?.sends ?? 0,
        grants: [],
      },
      found?.version ?? 0,
      lease.current(),
    )
    if (!prepared) return { kind: 'lease-lost' }
    await this.#step('prepared', 'after', account.id)
    await this.#breakers.countSpend(broker, account.brokerUserId, this.#time.now(broker.id))

    // Everything that can fail before the socket is done before the permit says `sending`.
    const sentAt = this.#time.local()
    const input = {
      ...spend.input,
      app,
      origins: originsOf(app, broker),
      now: this.#time.now(broker.id),
    } as Input
    const request = exchange.request(input)

    await this.#step('sending', 'before', account.id)
    const sendingAt = await store.now()
    const sending = await vault.saveIntent(
      {
        ...prepared,
        state: 'sending',
        sentAt: sendingAt,
        deadline: plus(sendingAt, timings.spendDeadlineMs),
        sends: prepared.sends + 1,
      },
      prepared.version,
      lease.current(),
    )
    if (!sending) return { kind: 'lease-lost' }
    await this.#step('sending', 'after', account.id)

    const outcome = await send(request, { deadlineMs: timings.spendHardLimitMs })
    this.#time.learn(broker.id, outcome, sentAt)
    await this.#step('answer', 'after', account.id)

    // Now the broker's time is known better than when the request was built.
    const sentAtBroker = plus(sentAt, this.#time.offset(broker.id))
    const read = this.#read(spend, { ...input, now: sentAtBroker }, outcome)
    if ('draft' in read) {
      await this.#step('record', 'before', account.id)
      const generations = await this.#record(spend, read.draft, sentAt)
      await this.#step('record', 'after', account.id)
      await this.#breakers.clearTimeouts(broker, this.#time.now(broker.id))
      return { kind: 'recorded', generations }
    }
    return this.#failed(spend, sending, outcome, read.problem)
  }

  #read<Input extends ExchangeInput>(
    { known: { broker }, exchange, kind }: Spend<Input>,
    input: Input,
    outcome: Outcome,
  ): { draft: GrantDraft } | { problem: Problem } {
    const verdict = broker.judge(outcome, kind)
    if (isProblem(verdict)) return { problem: this.#time.inBrokerTime(broker.id, verdict) }
    const unclear: Problem = {
      remedy: 'retry',
      code: 'answer-not-understood',
      message: `${broker.name} answered in a way that proves neither yes nor no (${outcome.kind === 'answer' ? outcome : outcome.cause}).`,
    }
    if (verdict !== 'ok' || outcome.kind !== 'answer') return { problem: unclear }
    try {
      return { draft: exchange.read(outcome, input) }
    } catch (cause) {
      // The adapter's message may quote the answer, so only its place in the log is kept.
      this.#deps.log.warn(
        { broker: broker.id, error: cause instanceof Error ? cause.name : 'unknown' },
        'answer not readable',
      )
      return { problem: unclear }
    }
  }

  /** A grant is never discarded: while the store cannot take it, we hold it and keep trying. */
  async #record<Input extends ExchangeInput>(
    spend: Spend<Input>,
    draft: GrantDraft,
    sentAt: Instant,
  ): Promise<readonly number[]> {
    const { store, clock, log, random, timings } = this.#deps
    const { account, app, session } = spend.known
    const receivedAt = this.#time.local()
    const grants = [draft, ...(draft.also ?? [])].map(({ also: _, ...one }): NewGrant => {
      const refresh = one.refresh ?? (one === draft || one.slot === draft.slot ? spend.refresh : undefined)
      return {
        ...one,
        ...(refresh ? { refresh } : {}),
        id: this.#deps.randomToken(),
        ref: session.ref,
        origin: spend.origin,
        sentAt,
        receivedAt,
        appVersion: app.version,
      }
    })
    for (let attempt = 1, waited = 0; ; attempt++) {
      try {
        const recorded = await store.forTenant(account.tenantId).recordGrants(grants, spend.key)
        return recorded.map(({ generation }) => generation)
      } catch (error) {
        if (!isOpenbellError(error) || waited > timings.spendHardLimitMs) throw error
        const wait = Math.min(backoffMs(attempt, random), timings.leaseExtendMs)
        waited += wait
        log.error(
          { account: account.id, code: error.code, nextInMs: wait },
          'an answer is held in memory: the vault cannot take it',
        )
        await clock.sleep(wait)
      }
    }
  }

  async #failed<Input extends ExchangeInput>(
    { known, exchange, kind }: Spend<Input>,
    sending: Intent,
    outcome: Outcome,
    problem: Problem,
  ): Promise<Spent> {
    const { account, broker } = known
    const vault = this.#deps.store.forTenant(account.tenantId)
    const now = this.#time.now(broker.id)
    const unsent = outcome.kind === 'no-answer' && outcome.sent === 'unsent'
    const saidNo = problem.remedy === 'login' || problem.remedy === 'fix-settings'
    const state = unsent ? 'prepared' : saidNo && outcome.kind === 'answer' ? 'refused' : 'unknown'
    // A successor may have settled this permit meanwhile; then its word stands.
    await vault.saveIntent(
      { ...sending, state, problem, ...(unsent ? { sends: sending.sends - 1 } : {}) },
      sending.version,
    )
    if (state === 'refused') await this.#breakers.countFailure(broker, 'refused', now)
    if (isTimeout(outcome)) await this.#breakers.countFailure(broker, 'timeout', now)
    else if (outcome.kind === 'answer') await this.#breakers.clearTimeouts(broker, now)

    const burnt = exchange.spend === 'single-use' && !unsent
    if (burnt && state === 'unknown') {
      return {
        kind: 'problem',
        problem: { ...unknownProblem(broker.name, kind), brokerCode: problem.brokerCode ?? problem.code },
        final: true,
      }
    }
    return { kind: 'problem', problem, final: burnt || state === 'refused' }
  }

  async #step(step: StepName, moment: 'before' | 'after', accountId: string): Promise<void> {
    await this.#deps.onStep?.(step, moment, accountId)
  }
}

function isTimeout(outcome: Outcome): outcome is NoAnswer {
  return outcome.kind === 'no-answer' && outcome.cause === 'timeout'
}

function unknownProblem(brokerName: string, kind: Intent['kind']): Problem {
  const secret = kind === 'code' ? 'login code' : 'refresh token'
  return {
    remedy: 'login',
    code: 'spend-unknown',
    message: `The ${secret} was sent to ${brokerName} once and no answer could be kept; it may not be sent again, so a person must log in.`,
  }
}

/** The problem that a failing store means for an account. */
export function storeProblem(error: unknown): Problem {
  if (error instanceof OpenbellError)
    return { remedy: error.remedy, code: error.code, message: error.message }
  throw error
}
