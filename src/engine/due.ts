/** When the engine looks at a session again: the head of its plan, in local time. */

import type { Grant, Session } from '../core/model.ts'
import type { Instant } from '../core/time.ts'
import { instant, plus } from '../core/time.ts'
import type { EngineDeps } from './deps.ts'
import type { BrokerTime } from './offset.ts'
import { type PlanInput, plan } from './plan.ts'
import type { Known } from './sessions.ts'

/** The last moment that a JavaScript Date can name. */
export const never: Instant = instant(8_640_000_000_000_000)

export function planInput(
  deps: EngineDeps,
  time: BrokerTime,
  known: Pick<Known, 'account' | 'app' | 'broker'>,
  session: Session,
  grant: Grant | undefined,
): PlanInput {
  const { account, app, broker } = known
  // Eight hex digits of the account's own digest: the same in every process, different between accounts.
  const spread = Number.parseInt(deps.sha256(`${account.tenantId}/${account.id}`).slice(0, 8), 16) / 2 ** 32
  const now = time.now(broker.id)
  return {
    account,
    app,
    broker,
    session,
    grant,
    now,
    earlyMs: time.cautious(broker.id) - now,
    halfLife: halfLife(time, broker.id, session, grant),
    spread,
  }
}

/**
 * Half-way between getting a token and its end, in the broker's time. Before that nothing is renewed only because a
 * clock is wrong or a caller wants more than there is: the next token would be renewed at once as well.
 */
export function halfLife(
  time: BrokerTime,
  brokerId: string,
  session: Session,
  grant: Grant | undefined,
): Instant {
  const end = session.expiry?.at ?? time.now(brokerId)
  const since = plus(grant?.receivedAt ?? time.local(), time.offset(brokerId))
  return instant((since + end) / 2)
}

export function withDue(
  deps: EngineDeps,
  time: BrokerTime,
  known: Pick<Known, 'account' | 'app' | 'broker'>,
  session: Session,
  grant: Grant | undefined,
): Session {
  const input = planInput(deps, time, known, session, grant)
  const head = plan(input)[0]
  // Plans are in the broker's time; timers and the due column are in ours.
  return { ...session, dueAt: head ? plus(time.local(), head.at - input.now) : never }
}
