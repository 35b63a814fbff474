/** The HTTP API: the list of its routes. Bodies, queries and problems are in `contract.ts`. */

import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { OpenbellError } from '../core/errors.ts'
import { callbackHandler, methodNotAllowed } from './callback.ts'
import type { ApiParts, RequestEnv } from './env.ts'
import { requireHost, requireKey } from './guard.ts'
import { respondProblem, tellable } from './respond.ts'
import { healthz } from './routes/healthz.ts'
import { readyz } from './routes/readyz.ts'
import { token } from './routes/v1/accounts/token.ts'
import { accounts } from './routes/v1/accounts.ts'

/** No route takes more than a few fields. */
const largestBody = 64 * 1024

export function createApi(parts: ApiParts): Hono<RequestEnv> {
  const { keys, settings, report, isCallbackPath } = parts
  const app = new Hono<RequestEnv>()

  app.use(requireHost(settings.publicUrl))
  app.on(['POST', 'PUT', 'PATCH', 'DELETE'], '*', bodyLimit({ maxSize: largestBody, onError: tooLarge }))

  app.get('/healthz', healthz)
  app.get('/readyz', readyz(parts))
  app.get('/v1/accounts', requireKey(keys, 'status:read'), accounts(parts))
  app.get('/v1/accounts/:id/token', requireKey(keys, 'token:read'), token(parts))
  for (const path of ['/healthz', '/readyz', '/v1/accounts', '/v1/accounts/:id/token'])
    app.all(path, methodNotAllowed)

  const callback = callbackHandler({
    ...parts,
    onResult: (outcome) => {
      if (outcome.kind === 'failed') reportFault(outcome.error)
    },
  })
  app.all('*', async (c) => ((await isCallbackPath(c.req.path)) ? callback(c.req.raw) : notFound()))

  app.onError((error) => {
    reportFault(error)
    return respondProblem(error)
  })

  /** What callers are told in full needs no log. */
  function reportFault(error: unknown): void {
    if (tellable(error) !== error) report(error)
  }

  return app
}

function notFound(): Response {
  return respondProblem(new OpenbellError('not-found', 'There is nothing at this path.'))
}

function tooLarge(): Response {
  const error = new OpenbellError('invalid-field', `A request may have at most ${largestBody / 1024} KB.`)
  return respondProblem(error, { status: 413 })
}
