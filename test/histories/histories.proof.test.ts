import { randomInt } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { kinds } from './dialects.ts'
import { runHistories } from './run.ts'

const minutesEach = 3

describe('whatever happens, in any order, promises 1 to 5 hold', () => {
  it.each(kinds)('for a broker that is $name', { timeout: (minutesEach + 2) * 60_000 }, async (kind) => {
    const seed = randomInt(2 ** 31)
    console.log(`seed ${seed} (${kind.name})`)
    const ran = await runHistories(kind, { seed, runs: 100_000, commands: 40, limitMs: minutesEach * 60_000 })
    console.log(`${ran} histories of up to 40 events (${kind.name})`)
    expect(ran).toBeGreaterThan(100)
  })
})
