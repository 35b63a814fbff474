/** What a token says of itself. Its signature is not checked: the broker's answer is the proof, this is the reading. */

import { maybeNumber } from '../../core/json.ts'
import type { Secret } from '../../core/secret.ts'
import { type Instant, instant, secondMs } from '../../core/time.ts'

/** When the token ends by its claim `exp`, or undefined when it is no JWT or claims no such thing. */
export function jwtEnd(token: Secret): Instant | undefined {
  const ms = Math.floor((maybeNumber(claimsOf(token), 'exp') ?? Number.NaN) * secondMs)
  return Number.isSafeInteger(ms) ? instant(ms) : undefined
}

function claimsOf(token: Secret): unknown {
  const parts = token.expose().split('.')
  if (parts.length !== 3) return undefined
  try {
    return JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}
