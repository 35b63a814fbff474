/** Problems that look the same at every broker: no answer, too many requests, out of order. */

import { type ErrorCode, errorCodes, type Problem } from '../../core/errors.ts'
import { hourMs, plus, secondMs } from '../../core/time.ts'
import type { Answer, NoAnswer } from '../../core/wire.ts'

/** The remedy follows from the code, so that the two cannot disagree. */
export function problem(
  code: ErrorCode,
  message: string,
  more: { brokerCode?: string; until?: number } = {},
): Problem {
  return { remedy: errorCodes[code], code, message, ...more }
}

/** What is to be said before anybody looks at the body: an outage says nothing about a token. */
export function outage(broker: string, answer: Answer): Problem | undefined {
  if (answer.status === 429) return throttled(broker, answer)
  if (answer.status < 500) return undefined
  return problem('broker-unavailable', `${broker} is out of order; it is asked again later.`, {
    brokerCode: `HTTP ${answer.status}`,
  })
}

const causes: Record<NoAnswer['cause'], string> = {
  unreachable: 'could not be reached',
  timeout: 'did not answer in time',
  reset: 'broke off the connection',
  truncated: 'sent an answer that was cut off',
  'too-large': 'sent an answer far too large to be one',
  'refused-by-policy': 'lies at an address to which this host may not connect',
}

export function noAnswer(broker: string, { cause }: NoAnswer): Problem {
  return problem('broker-unreachable', `${broker} ${causes[cause]}; it is asked again later.`)
}

/** A slip of the broker's must not cost a trading day: a longer wait is looked at again after an hour. */
const longestWaitMs = hourMs

function throttled(broker: string, { headers, receivedAt }: Answer): Problem {
  const seconds = /^\d{1,9}$/.test(headers['retry-after'] ?? '') ? Number(headers['retry-after']) : undefined
  return problem('broker-rate-limited', `${broker} asks for fewer requests; it is asked again later.`, {
    brokerCode: 'HTTP 429',
    ...(seconds !== undefined && {
      until: plus(receivedAt, Math.min(seconds * secondMs, longestWaitMs)),
    }),
  })
}
