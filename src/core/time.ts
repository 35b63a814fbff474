/** Points in time and the few rules of clock and calendar day that every room shares. */

declare const instantBrand: unique symbol

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Instant = number & { readonly [instantBrand]: true }

/** An IANA name, e.g. `Asia/Kolkata`. Never the host's own zone. */
export type Zone = string

/** A wall-clock time of day, `HH:MM`. */
export type TimeOfDay = `${number}:${number}`

export const secondMs = 1_000
export const minuteMs = 60 * secondMs
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs

export function instant(epochMs: number): Instant {
  return epochMs as Instant
}

/** Whole milliseconds, whatever fraction `ms` has. */
export function plus(at: Instant, ms: number): Instant {
  return Math.round(at + ms) as Instant
}

export function earliest(first: Instant, ...others: Instant[]): Instant {
  return Math.min(first, ...others) as Instant
}

/** ISO 8601 in UTC, for machines and logs. */
export function iso(at: Instant): string {
  return new Date(at).toISOString()
}

/**
 * Time as the engine sees it. Everything that waits or compares takes one of these, so that a year passes in a
 * minute under test. `now` is local time corrected by nothing; see `engine/offset.ts` for the broker's time.
 */
export interface Clock {
  now(): Instant
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

interface WallClock {
  year: number
  month: number
  day: number
  hour: number
  minute: number
  second: number
}

const formats = new Map<Zone, Intl.DateTimeFormat>()

function formatOf(zone: Zone): Intl.DateTimeFormat {
  let format = formats.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
    formats.set(zone, format)
  }
  return format
}

/** What a clock on the wall of that zone shows. */
export function wallClock(at: Instant, zone: Zone): WallClock {
  const shown: Record<string, number> = {}
  for (const { type, value } of formatOf(zone).formatToParts(at)) shown[type] = Number(value)
  return {
    year: shown.year ?? 0,
    month: shown.month ?? 0,
    day: shown.day ?? 0,
    hour: shown.hour ?? 0,
    minute: shown.minute ?? 0,
    second: shown.second ?? 0,
  }
}

/** Calendar day in that zone, `YYYY-MM-DD`. */
export function dayIn(at: Instant, zone: Zone): string {
  const { year, month, day } = wallClock(at, zone)
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
}

/**
 * The first moment strictly after `after` at which the wall clock of `zone` shows `time`.
 * In the gap of a spring-forward night 02:30 is taken as 03:30, in the doubled hour of autumn the first one.
 */
export function nextTimeOfDay(after: Instant, time: TimeOfDay, zone: Zone): Instant {
  const [hour = 0, minute = 0] = time.split(':').map(Number)
  const today = wallClock(after, zone)
  for (let ahead = 0; ahead <= 2; ahead++) {
    const found = atWallClock(Date.UTC(today.year, today.month - 1, today.day + ahead, hour, minute), zone)
    if (found > after) return found
  }
  throw new RangeError(`no ${time} in ${zone} within two days of ${iso(after)}`)
}

function atWallClock(asIfUtc: number, zone: Zone): Instant {
  const offsets = [-dayMs, dayMs].map((away) => offsetAt(instant(asIfUtc + away), zone))
  const candidates = offsets.map((offset) => instant(asIfUtc - offset))
  // A time that happens twice means its first; one that never happens counts on from before the gap.
  const real = candidates.filter((at) => asIfUtc - at === offsetAt(at, zone)).sort((a, b) => a - b)
  return real[0] ?? (candidates[0] as Instant)
}

/** Zone minus UTC in ms, at that moment. */
function offsetAt(at: Instant, zone: Zone): number {
  const { year, month, day, hour, minute, second } = wallClock(at, zone)
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / secondMs) * secondMs
}
