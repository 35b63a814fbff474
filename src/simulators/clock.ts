// The simulators' time: one controllable clock for all of them, the rules of the Indian day they need, and
// the only real timers they use.
import { setTimeout as sleep } from 'node:timers/promises'

/** Epoch milliseconds that a person or a test can move. */
export interface SimulatedClock {
  now(): number
  /** How many simulated seconds pass in one second of the source; 0 is a frozen clock. */
  readonly scale: number
  /** Jumps to an instant (epoch ms) and runs on from there at the same pace. */
  set(at: number): void
  /** Jumps by `ms`, also backwards. */
  advance(ms: number): void
  /** Changes the pace from now on; `run(180)` passes a day in eight minutes. */
  run(scale: number): void
  /** Shows the source's own time again, at its own pace. */
  follow(): void
}

export interface ClockOptions {
  /** Where time comes from, epoch ms. Tests pass a function here. */
  source?: () => number
  /** Where to begin, epoch ms; the source's time when left out. */
  at?: number
  scale?: number
}

export function createClock({ source = Date.now, at, scale = 1 }: ClockOptions = {}): SimulatedClock {
  let pace = scale
  let sourceThen = source()
  let then = at ?? sourceThen
  const now = () => Math.round(then + (source() - sourceThen) * pace)
  const restart = (from: number) => {
    sourceThen = source()
    then = from
  }
  return {
    now,
    get scale() {
      return pace
    },
    set: restart,
    advance: (ms) => restart(now() + ms),
    run(next) {
      restart(now())
      pace = next
    },
    follow() {
      pace = 1
      restart(source())
    },
  }
}

/** Real milliseconds since some fixed moment: for what a broker counts whatever day we pretend it is. */
export const realElapsed = (): number => performance.now()

/** Waits real milliseconds; an aborted wait ends at once, without an error. */
export async function realWait(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return
  await sleep(ms, undefined, signal ? { signal } : undefined).catch((error: unknown) => {
    if (!signal?.aborted) throw error
  })
}

/** Aborts after real milliseconds. */
export const realDeadline = (ms: number): AbortSignal => AbortSignal.timeout(ms)

const DAY_MS = 24 * 60 * 60_000
/** India keeps one offset all year: UTC+05:30. */
const INDIA_OFFSET_MS = 5.5 * 60 * 60_000

/** The first `HH:MM` in Asia/Kolkata strictly after an instant, both epoch ms. */
export function nextIndianTime(time: string, after: number): number {
  const match = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(time)
  if (!match) throw new RangeError(`"${time}" is not a time of day such as 06:00`)
  const intoDay = (Number(match[1]) * 60 + Number(match[2])) * 60_000
  const midnight = Math.floor((after + INDIA_OFFSET_MS) / DAY_MS) * DAY_MS - INDIA_OFFSET_MS
  const today = midnight + intoDay
  return today > after ? today : today + DAY_MS
}

/** `YYYY-MM-DD HH:MM:SS` in Asia/Kolkata, without a zone, as Indian brokers print it. */
export function indianStamp(at: number): string {
  return new Date(at + INDIA_OFFSET_MS).toISOString().slice(0, 19).replace('T', ' ')
}
