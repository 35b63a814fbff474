/** Takes the browser that a broker sends back: for the service, and for the listener of a single login. */

import { OpenbellError } from '../core/errors.ts'
import type { Keeper, LoginResult } from '../core/keeper.ts'
import type { AccountRef } from '../core/model.ts'
import type { Clock, Zone } from '../core/time.ts'
import { failurePage, nothingPage, renderPage, resultPage } from './pages.ts'
import { respondProblem } from './respond.ts'

export type CallbackOutcome = { kind: 'finished'; result: LoginResult } | { kind: 'failed'; error: unknown }

interface CallbackParts {
  keeper: Pick<Keeper, 'finishLogin'>
  clock: Clock
  /** The zone of a broker's day. */
  zoneOf: (brokerId: string) => Zone
  /** The only account whose login may end here. */
  ref?: AccountRef
  /** Called before the page is sent, once for each request that carried parameters. */
  onResult: (outcome: CallbackOutcome) => void
}

/**
 * A GET with parameters finishes the login, because a redirect can only be a GET; the single-use `state` is what protects it.
 * Everything else changes nothing, HEAD included: chat programs send it to preview links.
 */
export function callbackHandler(parts: CallbackParts): (request: Request) => Promise<Response> {
  const { keeper, clock, zoneOf, ref, onResult } = parts
  return async (request) => {
    if (request.method !== 'GET') return methodNotAllowed()
    const query = new URL(request.url).searchParams
    if (query.size === 0) return renderPage(nothingPage)
    const outcome = await keeper.finishLogin({ query, by: 'browser', ...(ref && { ref }) }).then(
      (result): CallbackOutcome => ({ kind: 'finished', result }),
      (error: unknown): CallbackOutcome => ({ kind: 'failed', error }),
    )
    onResult(outcome)
    if (outcome.kind === 'failed') return renderPage(failurePage(outcome.error))
    const { result } = outcome
    return renderPage(resultPage(result, clock.now(), zoneOf(result.status.brokerId)))
  }
}

export function methodNotAllowed(): Response {
  const error = new OpenbellError('not-supported', 'Only GET is possible here.')
  return respondProblem(error, { status: 405, headers: { allow: 'GET' } })
}
