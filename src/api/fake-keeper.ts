/** A keeper of cardboard for the tests of the API: answers what it was given and asks no broker. */

import { OpenbellError } from '../core/errors.ts'
import type { AccountStatus, Keeper, ReadySession } from '../core/keeper.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'

/** Monday 23 November 2026, 09:00 in Kolkata. */
export const morning = instant(Date.parse('2026-11-23T03:30:00Z'))

/** Tuesday 24 November 2026, 06:00 in Kolkata. */
export const nextMorning = instant(Date.parse('2026-11-24T00:30:00Z'))

const ref = { tenantId: 'home', accountId: 'kite-main' }

export const liveStatus: AccountStatus = {
  ref,
  label: 'Main account',
  brokerId: 'kite',
  brokerName: 'Zerodha Kite',
  environment: 'live',
  brokerUserId: 'AB1234',
  slot: 'trading',
  unattended: false,
  generation: 7,
  token: 'live',
  expiry: { at: nextMorning, source: 'broker-rule' },
  evidence: 'accepted by profile at 08:59; ends by the broker’s rule',
  acceptedAt: morning,
  renewedAt: morning,
  work: { state: 'idle' },
  delivered: { n: 3, m: 3 },
  deliveries: [],
  bell: 'unknown',
  next: { at: nextMorning, action: 'ask', reason: 'the token ends at 06:00' },
}

export const liveSession: ReadySession = {
  ref,
  slot: 'trading',
  generation: 7,
  token: 'live',
  accessToken: new Secret('canary-access-token'),
  headers: { authorization: new Secret('token key:canary-access-token'), 'x-kite-version': '3' },
  expiry: { at: nextMorning, source: 'broker-rule' },
}

/** Knows what `known` names; anything else that is asked of it is a fault of the test. */
export function fakeKeeper(known: Partial<Keeper> = {}): Keeper {
  const base: Partial<Keeper> = {
    status: async (tenantId) => (tenantId === ref.tenantId ? [liveStatus] : []),
    statusOf: async () => liveStatus,
    session: ({ tenantId, accountId }, slot = 'trading') =>
      tenantId === ref.tenantId && accountId === ref.accountId && slot === 'trading'
        ? liveSession
        : undefined,
    token: async ({ accountId }) => {
      throw new OpenbellError('unknown-account', `There is no account ${accountId}.`)
    },
    finishLogin: async () => ({ status: liveStatus, exchanged: true }),
  }
  return { ...base, ...known } as Keeper
}
