/** Time that passes only when a test says so. */

import { type Clock, type Instant, instant, plus } from '../../src/core/time.ts'

interface Sleeper {
  at: Instant
  wake(): void
}

export interface VirtualClock extends Clock {
  /** Lets that much time pass; whoever sleeps wakes in order, and gets to run before the next. */
  advance(ms: number): Promise<void>
  /** Steps the clock as an operator would: nobody wakes because of it. */
  step(ms: number): void
  sleepers(): number
}

/** `rest` resolves when nothing runs any more that does not wait for time. */
export function virtualClock(from: string, rest: () => Promise<void> = settled): VirtualClock {
  let now = instant(Date.parse(from))
  const sleeping = new Set<Sleeper>()

  return {
    now: () => now,
    sleepers: () => sleeping.size,

    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve()
        const sleeper: Sleeper = {
          at: plus(now, Math.max(ms, 1)),
          wake() {
            sleeping.delete(sleeper)
            signal?.removeEventListener('abort', sleeper.wake)
            resolve()
          },
        }
        signal?.addEventListener('abort', sleeper.wake, { once: true })
        sleeping.add(sleeper)
      }),

    async advance(ms) {
      const until = plus(now, ms)
      await rest()
      for (;;) {
        const next = [...sleeping].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
        if (!next) break
        now = instant(Math.max(now, next.at))
        next.wake()
        await rest()
      }
      now = until
      await rest()
    },

    step(ms) {
      now = plus(now, ms)
      for (const sleeper of sleeping) sleeper.at = plus(sleeper.at, ms)
    },
  }
}

/** Lets everything run that does not wait for time. A commit takes a turn of the event loop, a login some thirty. */
export async function settled(): Promise<void> {
  for (let round = 0; round < 50; round++) await new Promise((resolve) => setImmediate(resolve))
}
