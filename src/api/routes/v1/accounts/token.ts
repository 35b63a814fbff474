/** `GET /v1/accounts/{id}/token`: the token and the headers to send. From memory when nothing has to be renewed. */

import type { Context } from 'hono'
import { OpenbellError } from '../../../../core/errors.ts'
import type { ReadySession } from '../../../../core/keeper.ts'
import type { AccountRef } from '../../../../core/model.ts'
import { iso, secondMs } from '../../../../core/time.ts'
import type { Text } from '../../../../core/wire.ts'
import { httpStatus, tokenAnswer, tokenQuery } from '../../../contract.ts'
import type { ApiParts, RequestEnv } from '../../../env.ts'
import { respondProblem, respondText, tellable, textOf } from '../../../respond.ts'

type Parts = Pick<ApiParts, 'keeper' | 'clock' | 'report'>

export function token(parts: Parts) {
  return async (c: Context<RequestEnv, '/v1/accounts/:id/token'>) => {
    const query = tokenQuery.safeParse(c.req.query())
    if (!query.success) throw invalidQuery(String(query.error.issues[0]?.path[0] ?? ''))
    const { slot, min_valid, wait } = query.data
    const ref = { tenantId: c.var.key.tenantId, accountId: c.req.param('id') }

    const ready = min_valid === undefined ? parts.keeper.session(ref, slot) : undefined
    if (ready) return answer(ready)
    try {
      return answer(
        await parts.keeper.token(ref, {
          ...(slot !== undefined && { slot }),
          ...(min_valid !== undefined && { minValidMs: min_valid * secondMs }),
          ...(wait !== undefined && { waitMs: wait * secondMs }),
        }),
      )
    } catch (error) {
      return refusal(error, ref, parts)
    }
  }
}

function answer(session: ReadySession): Response {
  return respondText(tokenText(session))
}

/** A session never changes, so its answer is written once: most reads are then a hash and two look-ups. */
const written = new WeakMap<ReadySession, string>()

export function tokenText(session: ReadySession): string {
  let text = written.get(session)
  if (text === undefined) {
    text = textOf(tokenAnswer, {
      account: session.ref.accountId,
      slot: session.slot,
      generation: session.generation,
      state: session.token,
      access_token: session.accessToken.expose(),
      headers: Object.fromEntries(
        Object.entries(session.headers).map(([name, value]) => [name, plain(value)]),
      ),
      expires_at: iso(session.expiry.at),
      expires_source: session.expiry.source,
    })
    written.set(session, text)
  }
  return text
}

function plain(text: Text): string {
  return typeof text === 'string' ? text : text.expose()
}

function invalidQuery(field: string): OpenbellError {
  const known = Object.keys(tokenQuery.shape)
  const rules =
    'The query may hold slot (trading, read or market-data), min_valid (0 to 86400 seconds) and wait (0 to 120 seconds).'
  return new OpenbellError('invalid-field', rules, known.includes(field) ? { field } : {})
}

async function refusal(error: unknown, ref: AccountRef, { keeper, clock, report }: Parts): Promise<Response> {
  const told = tellable(error)
  if (told !== error) throw error
  if (httpStatus[told.code] !== 503) return respondProblem(error, { account: ref.accountId })

  const until = await keeper.statusOf(ref).then(
    ({ work }) => work.until,
    (failure) => {
      report(failure)
      return undefined
    },
  )
  return respondProblem(error, {
    account: ref.accountId,
    ...(until && { retryAfterSeconds: Math.ceil((until - clock.now()) / secondMs) }),
  })
}
