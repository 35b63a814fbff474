// Call limits. They count real time: a limit does not scale with the simulated day.
import { realElapsed } from './clock.ts'

/** Says of one more call of a key whether it is within the limit; a call that is not is not counted. */
export type Limit = (key: string) => boolean

/** Lets through so many calls of one key in any window of so many real milliseconds. */
export function limit(most: number, withinMs: number): Limit {
  const recent = new Map<string, number[]>()
  return (key) => {
    const now = realElapsed()
    const within = (recent.get(key) ?? []).filter((at) => now - at < withinMs)
    const allowed = within.length < most
    if (allowed) within.push(now)
    recent.set(key, within)
    return allowed
  }
}
