/**
 * What a keeper may do, as far as promises 1 to 5 say: a small model that hears what reaches the broker and what
 * people do, and says what was wrong with it. It knows nothing of how the engine works.
 */

import { hourMs, type Instant, instant, minuteMs, plus, secondMs } from '../../src/core/time.ts'
import type { Arrival } from './issuer.ts'

/** The table that people are told, in order of failures without anything good in between. */
const stepsMs = [5 * secondMs, 15 * secondMs, 45 * secondMs, 2 * minuteMs, 5 * minuteMs, 10 * minuteMs]

/** The keeper waits by the broker's time, which it knows in whole seconds. */
const roundingMs = 2 * secondMs

/** Far above what any plan needs and far below what a broker would call a flood. */
const renewalsAnHour = 30

/** While a permit is open, a successor waits this long for the answer. */
const answerMs = 15 * secondMs

export class Model {
  readonly wrongs: string[] = []
  /** Token requests may be refused to the last: after this nothing goes out until somebody does something. */
  #personNeeded: string | undefined
  #notBefore: Instant = instant(0)
  #failures = 0
  /** Presses of "try again" that have not ended. */
  #presses = 0
  /** Codes and grants that a person handed over, while that login has not ended. */
  readonly #handedOver = new Map<string, number>()
  readonly #spent = new Set<string>()
  readonly #open = new Map<string, Arrival>()
  readonly #logins = new Set<Arrival>()
  readonly #renewals: Instant[] = []
  /** Access tokens of which the broker was heard to say so. */
  readonly #accepted = new Set<string>()
  readonly #refused = new Set<string>()
  /** Handed over, and not probed with success since. */
  readonly #granted = new Set<string>()
  #lastRefused: string | undefined
  /** Access tokens that must be in the vault for ever. */
  readonly #mustBeKept = new Set<string>()
  readonly #singleUse: boolean
  readonly #codesLast: boolean
  /** The broker's clock was wrong once, so what is early or late is a matter of opinion. */
  timeIsRelative = false

  constructor(refreshTokens: 'rotate' | 'stay' | 'none', codesLast: boolean) {
    this.#singleUse = refreshTokens !== 'stay'
    this.#codesLast = codesLast
  }

  wrong(what: string): void {
    this.wrongs.push(what)
  }

  get kept(): ReadonlySet<string> {
    return this.#mustBeKept
  }

  wasAccepted(access: string): boolean {
    return this.#accepted.has(access)
  }

  wasRefused(access: string): boolean {
    return this.#refused.has(access)
  }

  get personNeeded(): string | undefined {
    return this.#personNeeded
  }

  /** Twice per arrival: when it reaches the broker, and when the keeper gets the answer. */
  heard(arrival: Arrival): void {
    if (arrival.to === 'me') {
      if (arrival.deliveredAt !== undefined) this.#probed(arrival)
    } else if (arrival.deliveredAt === undefined) this.#sent(arrival)
    else this.#answered(arrival)
  }

  #sent(arrival: Arrival): void {
    const { secret, at, how } = arrival
    const handedOver = (this.#handedOver.get(secret) ?? 0) > 0
    const login = how === 'code' || handedOver
    if (login) this.#logins.add(arrival)
    if (login && !handedOver) this.wrong('a code was sent that nobody handed over')

    const open = this.#open.get(secret)
    if (open && open.process === arrival.process)
      this.wrong('a secret was sent while its answer was still to come')
    this.#open.set(secret, arrival)

    if (login) return
    if (this.#presses > 0) return
    if (this.#personNeeded !== undefined)
      this.wrong(`a renewal was sent although a person is needed: ${this.#personNeeded}`)
    if (at < this.#notBefore - roundingMs && !this.timeIsRelative) {
      this.wrong(`a renewal was sent ${(this.#notBefore - at) / 1000} s before its back-off ended`)
    }
    this.#renewals.push(at)
    const lately = this.#renewals.filter((one) => one > at - hourMs)
    if (lately.length > renewalsAnHour) this.wrong(`${lately.length} renewals were sent within an hour`)
  }

  #answered(arrival: Arrival): void {
    const { secret, outcome, token, deliveredAt: now = arrival.at } = arrival
    this.#open.delete(secret)
    const login = this.#logins.has(arrival)
    const isSingleUse = arrival.how === 'code' ? !this.#codesLast : this.#singleUse
    if (outcome !== 'unsent' && isSingleUse) {
      if (this.#spent.has(secret)) this.wrong('a secret that may be used once reached the broker twice')
      this.#spent.add(secret)
    }
    if (outcome === 'granted' && token) {
      this.#mustBeKept.delete(token.access)
      this.#mustBeKept.add(token.access)
      this.#granted.add(token.access)
      // Handed over anew by the broker itself: what it says now counts.
      if (token.refresh === undefined) this.#spent.delete(secret)
      else this.#spent.delete(token.refresh)
      if (login) this.released()
      return
    }
    if (login) return
    switch (outcome) {
      case 'refused':
        this.#personNeeded = 'the broker refused'
        return
      case 'trouble':
        if (isSingleUse) this.#personNeeded = 'nobody knows what came of the last one'
        else this.#backOff(now)
        return
      case 'throttled':
        if (isSingleUse) this.#personNeeded = 'nobody knows what came of the last one'
        this.#failures = 0
        this.#notBefore = plus(now, Math.max(stepsMs[0] ?? 0, Math.min(arrival.retryAfterMs ?? 0, hourMs)))
        return
      case 'unsent':
        this.#backOff(now)
    }
  }

  #backOff(now: Instant): void {
    this.#failures++
    this.#notBefore = plus(now, stepsMs[Math.min(this.#failures, stepsMs.length) - 1] ?? 0)
  }

  #probed({ secret: access, outcome }: Arrival): void {
    if (outcome === 'accepted') this.#accepted.add(access)
    // That an old token is still good says nothing about renewing it.
    if (outcome === 'accepted' && this.#granted.delete(access)) {
      this.#failures = 0
      this.#notBefore = instant(0)
    }
    this.#lastRefused = outcome === 'refused' ? access : undefined
    if (outcome === 'refused') this.#refused.add(access)
  }

  /** The process is gone; `unrecorded` when it had an answer in its hands. */
  died(process: number, unrecorded: boolean): void {
    this.#presses = 0
    this.#handedOver.clear()
    for (const [secret, arrival] of this.#open) {
      if (arrival.process !== process) continue
      this.#open.delete(secret)
      const login = this.#logins.has(arrival)
      const isSingleUse = arrival.how === 'code' ? !this.#codesLast : this.#singleUse
      if (isSingleUse && arrival.outcome !== 'unsent') this.#spent.add(secret)
      if (login) continue
      if (isSingleUse && arrival.outcome !== 'unsent')
        this.#personNeeded = 'the one who sent the last one has died'
      else this.#notBefore = plus(arrival.at, answerMs)
    }
    if (unrecorded && this.#singleUse) this.#personNeeded = 'an answer was lost with its process'
  }

  /** A refusal that was heard and not yet written down is forgotten with the process. */
  forgetRefusal(): void {
    if (this.#lastRefused !== undefined) this.#refused.delete(this.#lastRefused)
  }

  /** That answer was in the hands of a process that died. */
  excuse(access: string): void {
    this.#mustBeKept.delete(access)
  }

  handOver(code: string): () => void {
    this.#handedOver.set(code, (this.#handedOver.get(code) ?? 0) + 1)
    return () => this.#handedOver.set(code, Math.max((this.#handedOver.get(code) ?? 0) - 1, 0))
  }

  press(): () => void {
    this.#presses++
    this.released()
    return () => {
      this.#presses = Math.max(this.#presses - 1, 0)
    }
  }

  /** A person did something that may change matters. */
  released(): void {
    this.#personNeeded = undefined
    this.#notBefore = instant(0)
    this.#failures = 0
  }
}
