/** A hundred programs ask at once for a token that has to be renewed first. */

import { openHouse } from '../src/compose/compose.ts'
import { ms, type Row } from './figures.ts'
import { accountRef, addAccounts, nearTastytrade, temporaryHome } from './furnish.ts'

const callers = 100

export async function coldAccount(): Promise<Row[]> {
  const home = await temporaryHome()
  try {
    await addAccounts(home.settings, 1, 'cold')
    const broker = nearTastytrade()
    const house = await openHouse(home.settings, { send: broker.send })
    const began = performance.now()
    await Promise.all(Array.from({ length: callers }, () => house.keeper.token(accountRef(0))))
    const took = performance.now() - began
    await house.close()
    return [
      {
        what: `${callers} callers on a cold account: token requests`,
        measured: `${broker.tokenRequests()} (${ms(took)} for all)`,
        aim: '1',
      },
    ]
  } finally {
    await home.remove()
  }
}
