/** Many callers in many processes want the same token at the same moment. */

import type { Timings } from '../../src/engine/deps.ts'
import type { Child, House } from './house.ts'
import type { Tally } from './protocol.ts'

/** Whoever waits for the lease does so for a term and a deadline: longer than the broker takes. */
export const raceTimings: Partial<Timings> = {
  leaseTermMs: 4_000,
  leaseExtendMs: 1_000,
  spendDeadlineMs: 1_000,
  lookEveryMs: 25,
}

const hurriedMs = 500

export interface Raced {
  requests: number
  reuses: number
  patient: Tally
  hurried: Tally
}

/** On a cold account of its own. `patient` and `hurried` are callers per process. */
export async function race(
  house: House,
  children: readonly Child[],
  accountId: string,
  { patient, hurried }: { patient: number; hurried: number },
): Promise<Raced> {
  await house.addColdAccount(accountId)
  const { issuer } = house
  const [requests, reuses] = [issuer.tokenRequests(), issuer.reuses()]
  const [served, left] = [
    children.map((child) => child.token(accountId, patient)),
    children.map((child) => child.token(accountId, hurried, hurriedMs)),
  ]
  return {
    patient: sum(await Promise.all(served)),
    hurried: sum(await Promise.all(left)),
    requests: issuer.tokenRequests() - requests,
    reuses: issuer.reuses() - reuses,
  }
}

function sum(tallies: readonly Tally[]): Tally {
  const total: Tally = {}
  for (const tally of tallies) {
    for (const [outcome, count] of Object.entries(tally)) total[outcome] = (total[outcome] ?? 0) + count
  }
  return total
}
