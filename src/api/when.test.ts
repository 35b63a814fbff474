import { describe, expect, it } from 'vitest'
import { instant } from '../core/time.ts'
import { fullTime, shortTime } from './when.ts'

const at = (text: string) => instant(Date.parse(text))

describe('shortTime', () => {
  it.each([
    ['2026-11-24T06:00+05:30', '2026-11-23T09:00+05:30', 'Asia/Kolkata', '06:00 tomorrow'],
    // It is still the 23rd in UTC: the broker's day counts.
    ['2026-11-24T03:30+05:30', '2026-11-24T00:10+05:30', 'Asia/Kolkata', '03:30 today'],
    ['2026-11-23T15:30+05:30', '2026-11-23T09:00+05:30', 'Asia/Kolkata', '15:30 today'],
    ['2026-11-30T03:30+05:30', '2026-11-23T09:00+05:30', 'Asia/Kolkata', '03:30 on Monday 30 November'],
    ['2026-12-01T00:00+05:30', '2026-11-30T23:59+05:30', 'Asia/Kolkata', '00:00 tomorrow'],
    // The day before clocks go back has 24 hours, the day itself 25.
    ['2026-11-02T00:15-05:00', '2026-11-01T00:05-04:00', 'America/New_York', '00:15 tomorrow'],
  ])('%s, seen from %s in %s: %s', (time, now, zone, expected) => {
    expect(shortTime(at(time), at(now), zone)).toBe(expected)
  })
})

describe('fullTime', () => {
  it('names day, time and zone', () => {
    expect(fullTime(at('2026-11-24T00:30Z'), 'Asia/Kolkata')).toBe(
      'Tuesday 24 November 2026, 06:00 India Standard Time',
    )
    expect(fullTime(at('2026-11-24T14:30Z'), 'America/New_York')).toBe(
      'Tuesday 24 November 2026, 09:30 Eastern Standard Time',
    )
  })
})
