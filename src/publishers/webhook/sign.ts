/** The signature of Standard Webhooks 1.0: `v1`, HMAC-SHA256 over id, time and body. */

import { createHmac } from 'node:crypto'
import { Secret } from '../../core/secret.ts'
import { type Instant, secondMs } from '../../core/time.ts'

const prefix = 'whsec_'

/** The form that the standard gives secrets: `whsec_` and 24 to 64 bytes in base64. */
export function isSigningSecret(secret: Secret): boolean {
  const value = secret.expose()
  const bytes = keyOf(secret)
  return (
    value.startsWith(prefix) &&
    bytes.length >= 24 &&
    bytes.length <= 64 &&
    bytes.toString('base64').replace(/=+$/, '') === value.slice(prefix.length).replace(/=+$/, '')
  )
}

/** Headers for one message; `at` is written in whole seconds since 1970. */
export function signed(secret: Secret, id: string, at: Instant, body: Secret): Record<string, string> {
  const timestamp = String(Math.floor(at / secondMs))
  const content = new Secret(`${id}.${timestamp}.${body.expose()}`)
  const signature = createHmac('sha256', keyOf(secret)).update(content.expose()).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}

function keyOf(secret: Secret): Buffer {
  return Buffer.from(secret.expose().slice(prefix.length), 'base64')
}
