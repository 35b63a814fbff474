/** `GET /v1/accounts`: how the accounts of the key's tenant stand, without tokens. */

import type { Context } from 'hono'
import type { Problem } from '../../../core/errors.ts'
import type { AccountStatus } from '../../../core/keeper.ts'
import { instant, iso } from '../../../core/time.ts'
import { type AccountView, accountsAnswer } from '../../contract.ts'
import type { ApiParts, RequestEnv } from '../../env.ts'
import { respond } from '../../respond.ts'

export function accounts({ keeper }: Pick<ApiParts, 'keeper'>) {
  return async (c: Context<RequestEnv>) => {
    const all = await keeper.status(c.var.key.tenantId)
    return respond(accountsAnswer, { accounts: all.map(viewOf) })
  }
}

function viewOf(status: AccountStatus): AccountView {
  const { brokerUserId, expiry, acceptedAt, renewedAt, work, next } = status
  return {
    id: status.ref.accountId,
    label: status.label,
    broker: { id: status.brokerId, name: status.brokerName },
    ...(brokerUserId !== undefined && { broker_user_id: brokerUserId }),
    environment: status.environment,
    slot: status.slot,
    unattended: status.unattended,
    generation: status.generation,
    state: status.token,
    ...(expiry && { expires_at: iso(expiry.at), expires_source: expiry.source }),
    evidence: status.evidence,
    ...(acceptedAt !== undefined && { accepted_at: iso(acceptedAt) }),
    ...(renewedAt !== undefined && { renewed_at: iso(renewedAt) }),
    work: {
      state: work.state,
      ...(work.until !== undefined && { until: iso(work.until) }),
      ...(work.problem && { problem: problemOf(work.problem) }),
    },
    delivered: status.delivered,
    bell: status.bell,
    ...(next && { next: { at: iso(next.at), action: next.action, reason: next.reason } }),
  }
}

function problemOf({ code, remedy, message, brokerCode, until }: Problem): AccountView['work']['problem'] {
  return {
    code,
    remedy,
    message,
    ...(brokerCode !== undefined && { broker_code: brokerCode }),
    ...(until !== undefined && { until: iso(instant(until)) }),
  }
}
