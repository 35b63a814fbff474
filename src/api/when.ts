/** Times as people read them, in the broker's zone. */

import { dayIn, type Instant, nextTimeOfDay, type Zone } from '../core/time.ts'

/** `06:00 tomorrow`, `15:30 today`, `03:30 on Monday 30 November`. */
export function shortTime(at: Instant, now: Instant, zone: Zone): string {
  const time = format(at, zone, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  const day = dayIn(at, zone)
  if (day === dayIn(now, zone)) return `${time} today`
  if (day === dayIn(nextTimeOfDay(now, '00:00', zone), zone)) return `${time} tomorrow`
  return `${time} on ${dayOf(at, zone)}`
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
