/** `GET /readyz`: this process can serve. Not whether tokens live: one account's trouble must not restart the others. */

import { upAnswer } from '../contract.ts'
import type { ApiParts } from '../env.ts'
import { respond, respondProblem } from '../respond.ts'

export function readyz({ ready, report }: Pick<ApiParts, 'ready' | 'report'>) {
  return async () => {
    try {
      await ready()
    } catch (error) {
      report(error)
      return respondProblem(error, { status: 503 })
    }
    return respond(upAnswer, { status: 'ok' })
  }
}
