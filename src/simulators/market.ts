// Made-up prices: steady enough to compare, moving enough to see that they are fresh.

export interface Tick {
  last: number
  bid: number
  ask: number
  open: number
  high: number
  low: number
  previousClose: number
  volume: number
}

const HOUR_MS = 60 * 60_000

/** The price of something that costs about `base`, at an instant (epoch ms). */
export function tickAt(base: number, now: number): Tick {
  const wave = Math.sin((now / HOUR_MS) * 2 * Math.PI) * 0.01
  const cents = (value: number) => Math.round(value * 100) / 100
  const last = cents(base * (1 + wave))
  return {
    last,
    bid: cents(last - 0.05),
    ask: cents(last + 0.05),
    open: base,
    high: cents(base * 1.01),
    low: cents(base * 0.99),
    previousClose: cents(base * 0.995),
    volume: 1_000_000 + Math.floor((now % (24 * HOUR_MS)) / 1000),
  }
}
