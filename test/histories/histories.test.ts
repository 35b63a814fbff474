import { describe, expect, it } from 'vitest'
import { kindOf } from './dialects.ts'
import { runHistories } from './run.ts'

// A fixed seed, so that a red run is red again; the proof beside this draws its own.
const seed = 20_261_121

describe('whatever happens, in any order, promises 1 to 5 hold', () => {
  it.each([
    { name: 'rotating', runs: 60 },
    { name: 'repeatable', runs: 25 },
    { name: 'login-only', runs: 60 },
  ] as const)('for a broker that is $name', { timeout: 120_000 }, async ({ name, runs }) => {
    expect(await runHistories(kindOf(name), { seed, runs, commands: 30 })).toBe(runs)
  })
})
