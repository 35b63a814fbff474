/** What ten thousand accounts cost a service that has nothing to do, beside what one account costs. */

import { Child } from './child.ts'
import { ms, type Row } from './figures.ts'
import type { Home } from './furnish.ts'

const idleMs = 10_000

interface Figures {
  loadMs: number
  rssMb: number
  idleShare: number
}

export async function manyAccounts(small: Home, large: Home, count: number): Promise<Row[]> {
  // Both at once: idling takes its time, and hardly any of the machine's.
  const [one, many] = await Promise.all([measure(small), measure(large)])
  const what = (rest: string) => `${count.toLocaleString('en')} accounts: ${rest}`
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`
  return [
    {
      what: what('load'),
      measured: ms(many.loadMs),
      yardstick: `1 account ${ms(one.loadMs)}`,
      ratio: (many.loadMs / one.loadMs).toFixed(1),
    },
    {
      what: what('memory (RSS)'),
      measured: `${many.rssMb.toFixed(0)} MB`,
      yardstick: `1 account ${one.rssMb.toFixed(0)} MB`,
      ratio: (many.rssMb / one.rssMb).toFixed(2),
      aim: '< 150 MB',
    },
    {
      what: what(`processor while idle, ${idleMs / 1_000} s`),
      measured: percent(many.idleShare),
      yardstick: `1 account ${percent(one.idleShare)}`,
      ratio: (many.idleShare / one.idleShare).toFixed(1),
      aim: '< 1 %',
    },
  ]
}

async function measure({ settings }: Home): Promise<Figures> {
  const service = new Child('service.ts')
  try {
    const { loadMs } = await service.ask<{ loadMs: number }>('open', settings.home, settings.port)
    const before = await service.ask<number>('cpuMs')
    await new Promise((resolve) => setTimeout(resolve, idleMs))
    const used = (await service.ask<number>('cpuMs')) - before
    return { loadMs, idleShare: used / idleMs, rssMb: await service.ask<number>('rssMb') }
  } finally {
    await service.end()
  }
}
