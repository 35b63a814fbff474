import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Clock, instant, nextTimeOfDay, secondMs } from '../core/time.ts'
import { Answer } from '../core/wire.ts'
import { backoffMs } from './backoff.ts'
import { BrokerTime } from './offset.ts'
import { SingleFlight } from './single-flight.ts'

describe('back-off', () => {
  it('never is zero, never falls with more failures, and stays within a fifth of the table', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempt, random) => {
          const wait = backoffMs(attempt, () => random)
          expect(wait).toBeGreaterThanOrEqual(4 * secondMs)
          expect(wait).toBeLessThanOrEqual(12 * 60 * secondMs)
          expect(backoffMs(attempt + 1, () => random)).toBeGreaterThanOrEqual(wait)
        },
      ),
    )
  })
})

describe('single flight', () => {
  it('runs once for everybody who asks meanwhile, and again afterwards', async () => {
    const flight = new SingleFlight<number>()
    let runs = 0
    const work = async () => ++runs
    const together = await Promise.all(Array.from({ length: 100 }, () => flight.run('a', work)))
    expect(new Set(together)).toEqual(new Set([1]))
    expect(await flight.run('a', work)).toBe(2)
  })

  it.each(['rejects', 'throws at once'])('forgets a run that %s', async (how) => {
    const flight = new SingleFlight<number>()
    const failing = () => {
      if (how === 'throws at once') throw new Error('no')
      return Promise.reject(new Error('no'))
    }
    await expect(flight.run('a', failing)).rejects.toThrow('no')
    expect(flight.isRunning('a')).toBe(false)
    expect(await flight.run('a', async () => 7)).toBe(7)
  })
})

describe("the broker's time", () => {
  const local = instant(Date.UTC(2026, 10, 20, 4, 0, 0))
  const clock: Clock = { now: () => local, sleep: async () => undefined }
  const heard = (aheadMs: number) =>
    new Answer({
      status: 200,
      headers: { date: new Date(local + aheadMs).toUTCString() },
      body: {},
      receivedAt: local,
    })

  it('is local until a broker was heard', () => {
    const time = new BrokerTime(clock)
    expect(time.now('kite')).toBe(local)
    expect(time.offsets()).toEqual({})
  })

  it('follows the broker when the clock is two hours off, and says so', () => {
    const time = new BrokerTime(clock)
    time.learn('kite', heard(2 * 3_600_000), local)
    expect(time.isWrong('kite')).toBe(true)
    expect(Math.abs(time.now('kite') - local - 2 * 3_600_000)).toBeLessThanOrEqual(1000)
    expect(time.cautious('kite')).toBe(time.now('kite'))
  })

  it('renews by the later clock while they disagree', () => {
    const time = new BrokerTime(clock)
    time.learn('kite', heard(-2 * 3_600_000), local)
    expect(time.cautious('kite')).toBe(local)
  })

  it('is not moved by one lying header among true ones', () => {
    const time = new BrokerTime(clock)
    for (const ahead of [0, 0, 10 * 3_600_000]) time.learn('kite', heard(ahead), local)
    expect(time.isWrong('kite')).toBe(false)
  })
})

describe('the next time of day', () => {
  it.each([
    ['2026-11-20T00:29:59Z', '06:00', 'Asia/Kolkata', '2026-11-20T00:30:00Z'],
    ['2026-11-20T00:30:00Z', '06:00', 'Asia/Kolkata', '2026-11-21T00:30:00Z'],
    ['2027-03-14T06:59:00Z', '02:30', 'America/New_York', '2027-03-14T07:30:00Z'],
    ['2027-11-07T04:00:00Z', '09:30', 'America/New_York', '2027-11-07T14:30:00Z'],
    ['2028-02-28T20:00:00Z', '06:00', 'Asia/Kolkata', '2028-02-29T00:30:00Z'],
  ] as const)('after %s, %s in %s is %s', (after, time, zone, expected) => {
    expect(new Date(nextTimeOfDay(instant(Date.parse(after)), time, zone)).toISOString()).toBe(
      new Date(expected).toISOString(),
    )
  })

  it('is always later, within two days, and shows that time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4_000_000_000_000 }),
        fc.integer({ min: 0, max: 23 }),
        fc.integer({ min: 0, max: 59 }),
        (after, hour, minute) => {
          const time = `${hour}:${minute}` as const
          const found = nextTimeOfDay(instant(after), time, 'Asia/Kolkata')
          expect(found).toBeGreaterThan(after)
          expect(found - after).toBeLessThanOrEqual(24 * 3_600_000)
        },
      ),
    )
  })
})
