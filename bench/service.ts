/** The service as a process: a house over the home it is told, its broker within the process, its speed on request. */

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { openHouse } from '../src/compose/compose.ts'
import type { House } from '../src/compose/house.ts'
import { systemClock } from '../src/host/clock.ts'
import { answer, cpuMs } from './child.ts'
import { accountRef, nearTastytrade, settingsOf } from './furnish.ts'

const resolutionMs = 1
const broker = nearTastytrade()
let house: House
let delay: ReturnType<typeof monitorEventLoopDelay> | undefined
let renewing: { stop: AbortController; done: Promise<number> } | undefined

/** As many as the keeper itself takes up at once: a service that cannot keep up has its renewals wait, not pile up. */
const atOnce = 64

/** Starts `perSecond` renewals each second; resolves with how many each second ended well. */
async function renewSteadily(accounts: number, perSecond: number, signal: AbortSignal): Promise<number> {
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1_000
  const running = new Set<Promise<unknown>>()
  let [started, ended] = [0, 0]
  while (!signal.aborted) {
    for (; started < seconds() * perSecond && running.size < atOnce; started++) {
      const renewal = house.keeper
        .renew(accountRef(started % accounts), 'person')
        .finally(() => running.delete(renewal))
      running.add(renewal)
      void renewal.then(() => ended++)
    }
    await systemClock.sleep(5, signal)
  }
  const rate = ended / seconds()
  await Promise.all(running)
  return rate
}

answer({
  async open(home: string, port: number) {
    const began = performance.now()
    house = await openHouse(settingsOf(home, port), { send: broker.send })
    await house.keeper.start()
    const loadMs = performance.now() - began
    await house.serve()
    return { loadMs }
  },
  startRenewing(accounts: number, perSecond: number) {
    const stop = new AbortController()
    renewing = { stop, done: renewSteadily(accounts, perSecond, stop.signal) }
  },
  async stopRenewing() {
    renewing?.stop.abort()
    return await renewing?.done
  },
  startDelay() {
    delay?.disable()
    delay = monitorEventLoopDelay({ resolution: resolutionMs })
    delay.enable()
  },
  /** What the loop was late by. */
  readDelay() {
    const late = (nanoseconds: number) => Math.max(nanoseconds / 1e6 - resolutionMs, 0)
    return { maxMs: late(delay?.max ?? 0), p99Ms: late(delay?.percentile(99) ?? 0) }
  },
  cpuMs,
  rssMb: () => process.memoryUsage.rss() / 2 ** 20,
})
