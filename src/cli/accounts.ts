/** From the name a person typed to an account. */

import type { House } from '../compose/house.ts'
import { OpenbellError } from '../core/errors.ts'
import type { AccountStatus, BrokerInfo } from '../core/keeper.ts'
import { suggestion } from './nearest.ts'

/** Throws `unknown-account` with the nearest name. */
export async function findAccount(house: House, name: string): Promise<AccountStatus> {
  const statuses = await house.keeper.status(house.settings.tenantId)
  const found = statuses.find(({ ref }) => ref.accountId === name)
  if (found) return found
  throw unknownAccount(
    name,
    statuses.map(({ ref }) => ref.accountId),
  )
}

function unknownAccount(name: string, known: readonly string[]): OpenbellError {
  const hint =
    known.length === 0 ? ' There is none yet: `openbell add <broker>`.' : suggestion(name, known, 'There are')
  return new OpenbellError('unknown-account', `There is no account "${name}".${hint}`, { field: 'account' })
}

/** Throws `unknown-broker` with the nearest id. */
export function findBroker(house: House, id: string): BrokerInfo {
  const brokers = house.keeper.brokers()
  const found = brokers.find((broker) => broker.id === id)
  if (found) return found
  const known = brokers.map((broker) => broker.id)
  throw new OpenbellError(
    'unknown-broker',
    `There is no broker "${id}".${suggestion(id, known, 'There are')}`,
    {
      field: 'broker',
    },
  )
}

/** Nothing happens until a person logs in. */
export function waitsForPerson({ work, token }: AccountStatus): boolean {
  if (work.state === 'waiting-for-person') return true
  return work.state === 'idle' && (token === 'none' || token === 'dead')
}

/** Needs attention that is not a login. */
export function isBroken({ work, deliveries, token }: AccountStatus): boolean {
  if (work.state === 'paused') return false
  if (work.state === 'needs-fixing' || deliveries.some(({ problem }) => problem !== undefined)) return true
  return token === 'dead' && !(work.state === 'waiting-for-person' || work.state === 'idle')
}
