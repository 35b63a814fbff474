/** The only file that reads the machine's clock. */

import { type Clock, type Instant, instant, minuteMs, plus } from '../core/time.ts'

/**
 * The machine's own time. `sleep` ends when `ms` have passed by the wall clock or by the monotonic clock, whichever says
 * so first: the wall clock runs on while a laptop sleeps, the monotonic one does not care who sets the time. A waiter
 * therefore looks again at its due time when it wakes. The process stays alive while it sleeps; abort to let go.
 */
export const systemClock: Clock = {
  now: () => instant(Date.now()),
  sleep,
}

/**
 * Time for the demo: starts at `from` and runs `scale` times faster than real time; `sleep(ms)` takes `ms / scale` of
 * real time.
 */
export function scaledClock({ from, scale }: { from: Instant; scale: number }): Clock {
  if (!(scale > 0 && Number.isFinite(scale))) throw new RangeError('scale must be a number above 0')
  const startedAt = Date.now()
  return {
    now: () => plus(from, Math.floor((Date.now() - startedAt) * scale)),
    sleep: (ms, signal) => sleep(ms / scale, signal),
  }
}

/**
 * One timer is at most this long: a timer that spans a suspended night fires late by that night, and Node turns
 * one of more than 24.8 days into one of 1 ms.
 */
const longestTimerMs = minuteMs

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wall = Date.now()
    const steady = performance.now()
    let timer: NodeJS.Timeout | undefined

    const finish = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const look = () => {
      const passed = Math.max(Date.now() - wall, performance.now() - steady)
      const left = ms - passed
      if (!(left > 0) || signal?.aborted) finish()
      else timer = setTimeout(look, Math.min(Math.ceil(left), longestTimerMs))
    }

    signal?.addEventListener('abort', finish, { once: true })
    look()
  })
}
