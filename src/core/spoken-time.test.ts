import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clockTime, distance, duration, fullTime, timeWithDistance, zoneLabel } from './spoken-time.ts'
import { dayMs, hourMs, instant, minuteMs } from './time.ts'

const ist = 'Asia/Kolkata'
const et = 'America/New_York'
const at = (text: string) => instant(Date.parse(text))

it.each([
  // Midnight in Kolkata is 18:30 UTC.
  ['same day, to the last minute', '2026-11-23T23:59+05:30', '2026-11-23T00:00+05:30', ist, '23:59'],
  ['one minute later is tomorrow', '2026-11-24T00:00+05:30', '2026-11-23T23:59+05:30', ist, '00:00 tomorrow'],
  [
    'one minute before is yesterday',
    '2026-11-22T23:59+05:30',
    '2026-11-23T00:00+05:30',
    ist,
    '23:59 yesterday',
  ],
  ['tomorrow there, though today in UTC', '2026-11-23T19:00Z', '2026-11-23T18:00Z', ist, '00:30 tomorrow'],
  ['two days on', '2026-11-25T06:00+05:30', '2026-11-23T09:00+05:30', ist, '06:00 on Wed 25 Nov'],
  ['over the new year', '2027-01-04T06:00+05:30', '2026-12-31T09:00+05:30', ist, '06:00 on 4 Jan 2027'],
  ['tomorrow over the new year', '2027-01-01T06:00+05:30', '2026-12-31T09:00+05:30', ist, '06:00 tomorrow'],
  // New York: the night of 1 November 2026 has 25 hours, that of 14 March 2027 has 23.
  ['25 hours on is still tomorrow', '2026-11-02T00:30-05:00', '2026-11-01T00:30-04:00', et, '00:30 tomorrow'],
  ['the second 01:30 of one night', '2026-11-01T01:30-05:00', '2026-11-01T01:30-04:00', et, '01:30'],
  ['23 hours on is tomorrow', '2027-03-15T00:00-04:00', '2027-03-14T00:00-05:00', et, '00:00 tomorrow'],
])('%s', (_, when, now, zone, expected) => {
  expect(clockTime(at(when), at(now), zone)).toBe(expected)
})

it('names the zones as traders do, in summer and in winter', () => {
  expect(zoneLabel(at('2026-07-01T00:00Z'), ist)).toBe('IST')
  expect(zoneLabel(at('2026-07-01T00:00Z'), et)).toBe('ET')
  expect(zoneLabel(at('2026-12-01T00:00Z'), et)).toBe('ET')
  expect(zoneLabel(at('2026-12-01T00:00Z'), 'UTC')).toBe('UTC')
})

it('says the moment and how far it is', () => {
  const now = at('2026-11-23T09:00+05:30')
  expect(timeWithDistance(at('2026-11-24T06:00+05:30'), now, ist)).toBe('06:00 tomorrow (IST), in 21h')
  expect(timeWithDistance(at('2026-11-23T08:55+05:30'), now, ist)).toBe('08:55 (IST), 5m ago')
})

it.each([
  [999, 'now'],
  [-999, 'now'],
  [1_000, 'in 1s'],
  [minuteMs - 1, 'in 59s'],
  [minuteMs, 'in 1m'],
  [hourMs - 1, 'in 59m'],
  [3 * hourMs + 12 * minuteMs + 59_000, 'in 3h 12m'],
  [dayMs, 'in 1d'],
  [12 * dayMs + 4 * hourMs, 'in 12d 4h'],
  [-5 * minuteMs, '5m ago'],
])('%i ms is "%s"', (ms, expected) => {
  expect(distance(ms)).toBe(expected)
})

it('never shows more time than there is', () => {
  const unitMs: Record<string, number> = { s: 1_000, m: minuteMs, h: hourMs, d: dayMs }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 400 * dayMs }), (ms) => {
      const shown = [...duration(ms).matchAll(/(\d+)([smhd])/g)]
      const sum = shown.reduce(
        (total, [, count, unit]) => total + Number(count) * (unitMs[unit ?? ''] ?? Number.NaN),
        0,
      )
      expect(sum).toBeLessThanOrEqual(ms)
      expect(ms - sum).toBeLessThan(ms < hourMs ? minuteMs : hourMs)
    }),
  )
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
