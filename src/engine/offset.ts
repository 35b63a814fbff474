/** The broker's time, learned from its `Date` headers. A wrong local clock must not bring a dead token to a bot. */

import type { Problem } from '../core/errors.ts'
import type { Clock, Instant } from '../core/time.ts'
import { instant, minuteMs, secondMs } from '../core/time.ts'
import type { Outcome } from '../core/wire.ts'

/** Beyond this the host's clock is reported as wrong. */
export const clockToleranceMs = minuteMs

const samplesKept = 5

/** What took longer says too little: its time may lie anywhere in between. */
const longestTripMs = 10 * secondMs

export class BrokerTime {
  readonly #clock: Clock
  readonly #samples = new Map<string, number[]>()
  /** The medians; every read of a token asks for one. */
  readonly #offsets = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Local time. */
  local(): Instant {
    return this.#clock.now()
  }

  learn(brokerId: string, outcome: Outcome, sentAt: Instant): void {
    if (outcome.kind !== 'answer' || outcome.receivedAt - sentAt > longestTripMs) return
    const shown = Date.parse(outcome.headers.date ?? '')
    if (Number.isNaN(shown)) return
    // The header has whole seconds, cut off: half a second is the fair middle. The answer left the broker about half-way.
    const offset = shown + 500 - (sentAt + outcome.receivedAt) / 2
    const samples = this.#samples.get(brokerId) ?? []
    samples.push(offset)
    if (samples.length > samplesKept) samples.shift()
    this.#samples.set(brokerId, samples)
    const sorted = [...samples].sort((a, b) => a - b)
    this.#offsets.set(brokerId, Math.round(sorted[Math.floor((sorted.length - 1) / 2)] as number))
  }

  /** Broker minus local in ms; the median, so that one lying header changes nothing for long. */
  offset(brokerId: string): number {
    return this.#offsets.get(brokerId) ?? 0
  }

  /** Undefined until the broker was heard. */
  offsets(): Record<string, number> {
    return Object.fromEntries(this.#offsets)
  }

  /** Adapters count a wait from the moment an answer arrived here; all that the engine plans is in the broker's time. */
  inBrokerTime(brokerId: string, problem: Problem): Problem {
    const { until } = problem
    return until === undefined ? problem : { ...problem, until: until + this.offset(brokerId) }
  }

  isWrong(brokerId: string): boolean {
    return Math.abs(this.offset(brokerId)) > clockToleranceMs
  }

  /** The broker's time: what decides whether a token is still valid. */
  now(brokerId: string): Instant {
    return instant(this.#clock.now() + this.offset(brokerId))
  }

  /** For renewing: while the two clocks disagree badly, the later one, so that renewal is early rather than late. */
  cautious(brokerId: string): Instant {
    const here = this.#clock.now()
    return this.isWrong(brokerId) ? instant(Math.max(here, here + this.offset(brokerId))) : this.now(brokerId)
  }
}
