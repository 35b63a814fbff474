import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createClock, indianStamp, nextIndianTime, realWait } from './clock.ts'

describe('the simulated clock', () => {
  it('runs at its scale, jumps, freezes and follows its source again', () => {
    let source = 1_000
    const clock = createClock({ source: () => source, at: 50_000, scale: 180 })
    source += 10
    expect(clock.now()).toBe(51_800)
    clock.advance(200)
    expect(clock.now()).toBe(52_000)
    source += 1
    expect(clock.now()).toBe(52_180)
    clock.run(0)
    source += 5_000
    expect(clock.now()).toBe(52_180)
    clock.set(7)
    expect(clock.now()).toBe(7)
    clock.follow()
    expect([clock.now(), clock.scale]).toEqual([source, 1])
  })

  it('starts at the time of its source', () => {
    expect(createClock({ source: () => 42 }).now()).toBe(42)
  })
})

describe('the Indian day', () => {
  // Another source for the zone's rules than the arithmetic under test.
  const inIndia = new Intl.DateTimeFormat('en-GB', {
    timeZone: 'Asia/Kolkata',
    dateStyle: 'short',
    timeStyle: 'medium',
  })
  const instants = fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2035, 0) })
  const times = fc
    .tuple(fc.nat({ max: 23 }), fc.nat({ max: 59 }))
    .map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'))

  it('finds the next such time strictly after an instant and at most a day away', () => {
    fc.assert(
      fc.property(instants, times, (after, time) => {
        const next = nextIndianTime(time, after)
        expect(next).toBeGreaterThan(after)
        expect(next - after).toBeLessThanOrEqual(24 * 60 * 60_000)
        expect(inIndia.format(next).slice(-8)).toBe(`${time}:00`)
      }),
    )
  })

  it('gives the following day at the very minute', () => {
    const sixSharp = Date.parse('2026-11-23T06:00:00+05:30')
    expect(nextIndianTime('06:00', sixSharp)).toBe(sixSharp + 24 * 60 * 60_000)
    expect(nextIndianTime('06:00', sixSharp - 1)).toBe(sixSharp)
  })

  it('prints stamps in local time', () => {
    expect(indianStamp(Date.parse('2026-11-23T20:00:05Z'))).toBe('2026-11-24 01:30:05')
  })

  it('refuses what is no time of day', () => {
    expect(() => nextIndianTime('24:00', 0)).toThrow(RangeError)
  })
})

describe('waiting', () => {
  it('ends at once and quietly when aborted', async () => {
    await realWait(60_000, AbortSignal.abort())
    const abort = new AbortController()
    const waiting = realWait(60_000, abort.signal)
    abort.abort()
    await waiting
  })
})
