/** `keeper.session()` for an account that is live, against a look-up in a Map. */

import { openHouse } from '../src/compose/compose.ts'
import { alternately, median, perSecond, type Row } from './figures.ts'
import { accountRef, type Home } from './furnish.ts'

const rounds = 15
const readsPerRound = 200_000

export async function cachedReads(small: Home, large: Home, count: number): Promise<Row[]> {
  const [one, many] = [await openHouse(small.settings), await openHouse(large.settings)]
  try {
    await one.keeper.start()
    await many.keeper.start()
    const refs = Array.from({ length: count }, (_, number) => accountRef(number))
    const first = accountRef(0)
    const map = new Map(refs.map((ref) => [ref.accountId, ref]))
    const lookUp = (id: string) => map.get(id)

    const samples = await alternately(
      {
        one: () => timed(() => one.keeper.session(first)),
        many: () => timed((at) => many.keeper.session(refs[at % count] ?? first)),
        map: () => timed((at) => lookUp(refs[at % count]?.accountId ?? '')),
      },
      rounds,
    )
    const yardstick = median(samples.map)
    return (['one', 'many'] as const).map((name) => ({
      what: `keeper.session(), ${name === 'one' ? '1 account' : `${count.toLocaleString('en')} accounts`}`,
      measured: perSecond(median(samples[name])),
      yardstick: `Map.get ${perSecond(yardstick)}`,
      ratio: (median(samples[name]) / yardstick).toFixed(2),
    }))
  } finally {
    await one.close()
    await many.close()
  }
}

/** Reads per second. */
function timed(read: (at: number) => unknown): number {
  const began = performance.now()
  for (let at = 0; at < readsPerRound; at++) {
    if (read(at) === undefined) throw new Error('there was nothing to read')
  }
  return readsPerRound / ((performance.now() - began) / 1_000)
}
