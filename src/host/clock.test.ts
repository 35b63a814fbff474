import { afterEach, describe, expect, it, vi } from 'vitest'
import { dayMs, hourMs, instant, minuteMs } from '../core/time.ts'
import { scaledClock, systemClock } from './clock.ts'

afterEach(() => {
  vi.useRealTimers()
})

/** Whether a promise has settled once everything that is due has run. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false
  void promise.then(() => {
    done = true
  })
  await Promise.resolve()
  await Promise.resolve()
  return done
}

describe('systemClock', () => {
  it('tells the time of the machine', () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(50)
  })

  it('sleeps as long as asked, in real time', async () => {
    const began = performance.now()
    await systemClock.sleep(60)
    const took = performance.now() - began
    expect(took).toBeGreaterThanOrEqual(59)
    expect(took).toBeLessThan(210)
  })

  it.each([0, -5, Number.NaN])('does not wait for %s ms', async (ms) => {
    vi.useFakeTimers()
    expect(await settled(systemClock.sleep(ms))).toBe(true)
  })

  it('waits 40 days without waking early', async () => {
    vi.useFakeTimers()
    const sleeping = systemClock.sleep(40 * dayMs)
    await vi.advanceTimersByTimeAsync(40 * dayMs - minuteMs)
    expect(await settled(sleeping)).toBe(false)
    await vi.advanceTimersByTimeAsync(minuteMs)
    expect(await settled(sleeping)).toBe(true)
  })

  it('notices within a minute that the machine slept through the end', async () => {
    vi.useFakeTimers()
    const sleeping = systemClock.sleep(8 * hourMs)
    await vi.advanceTimersByTimeAsync(1_000)
    // A suspended machine: the wall clock moves, timers do not.
    vi.setSystemTime(Date.now() + 9 * hourMs)
    await vi.advanceTimersByTimeAsync(minuteMs)
    expect(await settled(sleeping)).toBe(true)
  })

  it('is not held up by a wall clock that is set back', async () => {
    vi.useFakeTimers()
    const sleeping = systemClock.sleep(5 * minuteMs)
    await vi.advanceTimersByTimeAsync(minuteMs)
    vi.setSystemTime(Date.now() - 6 * hourMs)
    await vi.advanceTimersByTimeAsync(4 * minuteMs)
    expect(await settled(sleeping)).toBe(true)
  })

  it('ends at once when aborted, before or during the wait, and leaves no timer behind', async () => {
    vi.useFakeTimers()
    expect(await settled(systemClock.sleep(hourMs, AbortSignal.abort()))).toBe(true)

    const controller = new AbortController()
    const sleeping = systemClock.sleep(hourMs, controller.signal)
    expect(vi.getTimerCount()).toBe(1)
    controller.abort()
    expect(await settled(sleeping)).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('lets go of the signal when the wait is over', async () => {
    const { signal } = new AbortController()
    const removed = vi.spyOn(signal, 'removeEventListener')
    await systemClock.sleep(1, signal)
    expect(removed).toHaveBeenCalledOnce()
  })
})

describe('scaledClock', () => {
  it('runs faster than real time from where it is told', async () => {
    vi.useFakeTimers()
    const from = instant(Date.parse('2026-11-23T00:00:00Z'))
    const clock = scaledClock({ from, scale: 600 })
    expect(clock.now()).toBe(from)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(clock.now()).toBe(from + 600_000)
  })

  it('shortens every wait by the same factor', async () => {
    vi.useFakeTimers()
    const clock = scaledClock({ from: instant(0), scale: 3_600 })
    const sleeping = clock.sleep(hourMs)
    await vi.advanceTimersByTimeAsync(999)
    expect(await settled(sleeping)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await settled(sleeping)).toBe(true)
    expect(clock.now()).toBe(hourMs)
  })

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a scale of %s', (scale) => {
    expect(() => scaledClock({ from: instant(0), scale })).toThrow(RangeError)
  })
})
