/** When to try again. A table, so that a person who asks "when is the next try?" can read it. */

import { minuteMs, secondMs } from '../core/time.ts'

/**
 * Most network trouble clears within seconds; a broker's outage takes minutes. The last entry repeats: ten minutes is
 * short enough to be live soon after an outage ends and long enough to stay far below every broker's limits.
 */
const waitsMs = [5 * secondMs, 15 * secondMs, 45 * secondMs, 2 * minuteMs, 5 * minuteMs, 10 * minuteMs]

/** `attempt` counts failures so far, from 1. Plus or minus a fifth, so that many accounts do not return together. */
export function backoffMs(attempt: number, random: () => number): number {
  const index = Math.min(Math.max(attempt, 1), waitsMs.length) - 1
  return Math.round((waitsMs[index] as number) * (0.8 + 0.4 * random()))
}
