/** How late the service's event loop is while another process sits on the vault's write lock, as a long CLI command might. */

import { readFile } from 'node:fs/promises'
import { Child } from './child.ts'
import { Connections } from './client.ts'
import { median, ms, percentile, type Row } from './figures.ts'
import { accountRef, addAccounts, temporaryHome } from './furnish.ts'

const accounts = 20
const holdMs = 2_000
const rounds = 3

interface Delay {
  maxMs: number
  p99Ms: number
}

export async function heldLock(): Promise<Row[]> {
  const home = await temporaryHome()
  const { settings } = home
  await addAccounts(settings, accounts)
  const [service, holder] = [new Child('service.ts'), new Child('lock-holder.ts')]
  try {
    await service.ask('open', settings.home, settings.port)
    await holder.ask('open', settings.vaultPath)
    const key = (await readFile(settings.apiKeyPath, 'utf8')).trim()
    const path = `/v1/accounts/${accountRef(0).accountId}/token`
    const readers = await Connections.open({ port: settings.port, path, key }, 4)
    await service.ask('startRenewing', accounts, accounts)

    const waits: Record<'free' | 'held', number[]> = { free: [], held: [] }
    const delays: Record<'free' | 'held', Delay[]> = { free: [], held: [] }
    for (let round = 0; round < rounds; round++) {
      for (const kind of ['free', 'held'] as const) {
        await service.ask('startDelay')
        const held = kind === 'held' ? holder.ask('hold', holdMs) : undefined
        // Half a second longer than the lock: what waited for it then runs all at once.
        waits[kind].push(...(await readers.steady(100, holdMs + 500)))
        await held
        delays[kind].push(await service.ask<Delay>('readDelay'))
      }
    }
    await service.ask('stopRenewing')
    readers.close()
    const of = (kind: 'free' | 'held', figure: keyof Delay) =>
      median(delays[kind].map((delay) => delay[figure]))
    return [
      {
        what: `stall while another process holds the lock ${holdMs / 1_000} s, ${accounts} renewals/s`,
        measured: `max ${ms(of('held', 'maxMs'))}, p99 ${ms(of('held', 'p99Ms'))}`,
        yardstick: `lock free: max ${ms(of('free', 'maxMs'))}, p99 ${ms(of('free', 'p99Ms'))}`,
        ratio: (of('held', 'maxMs') / of('free', 'maxMs')).toFixed(1),
        aim: 'max < 50 ms',
      },
      {
        what: 'token read over HTTP meanwhile, 100/s',
        measured: `p50 ${ms(median(waits.held))}, p99 ${ms(percentile(waits.held, 99))}`,
        yardstick: `lock free: p99 ${ms(percentile(waits.free, 99))}`,
        ratio: (percentile(waits.held, 99) / percentile(waits.free, 99)).toFixed(1),
      },
    ]
  } finally {
    await service.end()
    await holder.end()
    await home.remove()
  }
}
