/** Times as people read them: `06:00 tomorrow (IST), in 3h 12m`. Always in a named zone, never the machine's by accident. */

import { dayIn, dayMs, hourMs, type Instant, minuteMs, secondMs, wallClock, type Zone } from './time.ts'

/** How traders call the zone; summer and winter alike. */
const zoneLabels: Readonly<Record<Zone, string>> = {
  'Asia/Kolkata': 'IST',
  'Asia/Calcutta': 'IST',
  'America/New_York': 'ET',
}

export function zoneLabel(at: Instant, zone: Zone): string {
  const known = zoneLabels[zone]
  if (known !== undefined) return known
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'short' }).formatToParts(at)
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? zone
}

/** `06:00`, `06:00 tomorrow`, `06:00 yesterday`, `06:00 on Tue 24 Nov`, `06:00 on 24 Nov 2027`: seen from `now`. */
export function clockTime(at: Instant, now: Instant, zone: Zone): string {
  const { year, month, day, hour, minute } = wallClock(at, zone)
  const time = `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
  const ahead = dayNumber(at, zone) - dayNumber(now, zone)
  if (ahead === 0) return time
  if (ahead === 1) return `${time} tomorrow`
  if (ahead === -1) return `${time} yesterday`
  const date = new Date(Date.UTC(year, month - 1, day))
  const name = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat('en-US', { timeZone: 'UTC', ...options }).format(date)
  const dayAndMonth = `${day} ${name({ month: 'short' })}`
  if (year !== wallClock(now, zone).year) return `${time} on ${dayAndMonth} ${year}`
  return `${time} on ${name({ weekday: 'short' })} ${dayAndMonth}`
}

/** `06:00 tomorrow (IST)`. */
export function zonedTime(at: Instant, now: Instant, zone: Zone): string {
  return `${clockTime(at, now, zone)} (${zoneLabel(at, zone)})`
}

/** `06:00 tomorrow (IST), in 3h 12m`; `06:00 (IST), 5m ago`. */
export function timeWithDistance(at: Instant, now: Instant, zone: Zone): string {
  return `${zonedTime(at, now, zone)}, ${distance(at - now)}`
}

/** `in 3h 12m`, `5m ago`, `now`. Rounded towards zero, so that no token seems to live longer than it does. */
export function distance(ms: number): string {
  if (Math.abs(ms) < secondMs) return 'now'
  return ms > 0 ? `in ${duration(ms)}` : `${duration(-ms)} ago`
}

/** Two units at most: `45s`, `12m`, `3h 12m`, `12d 4h`. */
export function duration(ms: number): string {
  if (ms < minuteMs) return `${Math.floor(ms / secondMs)}s`
  if (ms < hourMs) return `${Math.floor(ms / minuteMs)}m`
  if (ms < dayMs) return pair(Math.floor(ms / hourMs), 'h', Math.floor((ms % hourMs) / minuteMs), 'm')
  return pair(Math.floor(ms / dayMs), 'd', Math.floor((ms % dayMs) / hourMs), 'h')
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit} ${small}${smallUnit}`
}

/** Days since 1970 on that zone's wall calendar; a difference of these knows no 23-hour days. */
function dayNumber(at: Instant, zone: Zone): number {
  return Date.parse(`${dayIn(at, zone)}T00:00:00Z`) / dayMs
}

/** `Tuesday 24 November 2026, 06:00 India Standard Time`. */
export function fullTime(at: Instant, zone: Zone): string {
  const year = format(at, zone, { year: 'numeric' })
  const time = format(at, zone, {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'long',
  })
  return `${dayOf(at, zone)} ${year}, ${time}`
}

/** In two halves, because editions of the locale data disagree about the comma between them. */
function dayOf(at: Instant, zone: Zone): string {
  return `${format(at, zone, { weekday: 'long' })} ${format(at, zone, { day: 'numeric', month: 'long' })}`
}

function format(at: Instant, zone: Zone, parts: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat('en-GB', { ...parts, timeZone: zone }).format(at)
}
