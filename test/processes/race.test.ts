import { expect, it, onTestFinished } from 'vitest'
import { House } from './house.ts'
import { race, raceTimings } from './race.ts'

it('400 callers in 4 processes on one cold account make one request of a broker that takes 3 s', async () => {
  const house = await House.open('single-use', raceTimings)
  onTestFinished(() => house.close())
  house.issuer.delayAnswers(3_000)
  const children = await Promise.all(Array.from({ length: 4 }, () => house.child()))
  expect(await race(house, children, 'a', { patient: 100, hurried: 10 })).toEqual({
    requests: 1,
    reuses: 0,
    patient: { 'generation 2': 400 },
    hurried: { 'token-not-ready': 40 },
  })
})
