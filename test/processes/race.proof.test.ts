import { expect, it, onTestFinished } from 'vitest'
import { House } from './house.ts'
import { type Raced, race, raceTimings } from './race.ts'

const regimes = [
  { latencyMs: 0, rounds: 100 },
  { latencyMs: 50, rounds: 100 },
  { latencyMs: 3_000, rounds: 10 },
]

it.for(regimes)(
  '$rounds rounds of 4 processes x 100 callers, answered after $latencyMs ms, make one request each',
  async ({ latencyMs, rounds }) => {
    const house = await House.open('single-use', raceTimings)
    onTestFinished(() => house.close())
    house.issuer.delayAnswers(latencyMs)
    const children = await Promise.all(Array.from({ length: 4 }, () => house.child()))
    const raced: Raced[] = []
    for (let round = 1; round <= rounds; round++) {
      raced.push(await race(house, children, `a${round}`, { patient: 100, hurried: 0 }))
    }
    const served = raced.reduce((sum, { patient }) => sum + (patient['generation 2'] ?? 0), 0)
    const requests = raced.reduce((sum, round) => sum + round.requests, 0)
    console.log(
      `race, ${latencyMs} ms: ${rounds} rounds, ${requests} token requests, ${house.issuer.reuses()} reuses, ${served} of ${rounds * 400} callers served`,
    )
    const wanted: Raced = { requests: 1, reuses: 0, patient: { 'generation 2': 400 }, hurried: {} }
    expect(raced).toEqual(raced.map(() => wanted))
  },
)
