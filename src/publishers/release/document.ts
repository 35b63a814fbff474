/** A release as one JSON object, under the names that programs know from `json-file`. */

import type { Release } from '../../core/publisher.ts'
import { iso } from '../../core/time.ts'

/** Every name that `documentOf` ever sets. Instants are ISO 8601 in UTC. */
export const documentNames = [
  'broker',
  'environment',
  'account',
  'slot',
  'user_id',
  'app_key',
  'access_token',
  'generation',
  'issued_at',
  'expires_at',
] as const

/** Holds the access token: print it nowhere. What is undefined has no place in the JSON. */
export function documentOf(release: Release): Partial<Record<(typeof documentNames)[number], unknown>> {
  return {
    broker: release.brokerId,
    environment: release.environment,
    account: release.ref.accountId,
    slot: release.slot,
    user_id: release.brokerUserId,
    app_key: release.appKey?.expose(),
    access_token: release.accessToken.expose(),
    generation: release.generation,
    issued_at: iso(release.issuedAt),
    expires_at: iso(release.expiresAt),
  }
}
