/** `npm run bench`: how fast, beside something that anybody can judge, measured in the same minute. Never fails for being slow. */

import { existsSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { cachedReads } from './cached-reads.ts'
import { coldAccount } from './cold-account.ts'
import { coldToken } from './cold-token.ts'
import { type Row, table } from './figures.ts'
import { addAccounts, type Home, temporaryHome } from './furnish.ts'
import { heldLock } from './held-lock.ts'
import { httpToken } from './http-token.ts'
import { manyAccounts } from './many-accounts.ts'

const many = 10_000
/** Writing so many accounts waits for the disk forty thousand times, where it is one. */
const memory = '/dev/shm'

async function withHomes(run: (one: Home, large: Home) => Promise<Row[]>): Promise<Row[]> {
  const [one, large] = [await temporaryHome(), await temporaryHome(existsSync(memory) ? memory : tmpdir())]
  try {
    await addAccounts(one.settings, 1)
    await addAccounts(large.settings, many)
    return await run(one, large)
  } finally {
    await one.remove()
    await large.remove()
  }
}

const benchmarks: Readonly<Record<string, () => Promise<Row[]>>> = {
  'reads and ten thousand accounts': () =>
    withHomes(async (one, large) => [
      ...(await manyAccounts(one, large, many)),
      ...(await cachedReads(one, large, many)),
    ]),
  'a cold account': coldAccount,
  'openbell token': coldToken,
  'a held lock': heldLock,
  'token reads over HTTP': httpToken,
}

const wanted = process.argv[2] ?? ''
const load = () =>
  loadavg()
    .map((average) => average.toFixed(1))
    .join(' ')
const began = performance.now()
console.log(`Node ${process.versions.node}, ${availableParallelism()} processors, load ${load()}`)
const rows: Row[] = []
for (const [name, run] of Object.entries(benchmarks)) {
  if (!name.includes(wanted)) continue
  console.error(`… ${name}`)
  rows.push(...(await run()))
}
console.log(`\n${table(rows)}\n`)
console.log(
  `${Math.round((performance.now() - began) / 1_000)} s, load ${load()}; medians, ratios are measured / yardstick`,
)
