/** The layouts of JSON file that programs expect. Each keeps what others put there. */

import { maybeText } from '../../core/json.ts'
import type { Release } from '../../core/publisher.ts'
import { iso } from '../../core/time.ts'
import { documentNames, documentOf } from '../release/document.ts'

export interface Shape {
  /** Also takes a file that holds one bare JSON string. */
  takesText: boolean
  merged(content: object | string, release: Release): object | string
  token(content: unknown): string | undefined
  /** The very same object when there is nothing to take away. */
  without(content: object | string): object | string
}

const openbell: Shape = {
  takesText: false,
  merged: (content, release) => ({ ...omit(content as object, documentNames), ...documentOf(release) }),
  token: (content) => maybeText(content, 'access_token'),
  without: (content) => omit(content as object, documentNames),
}

/** What a login of another person leaves behind would be taken for the new one's. */
const ofThePerson = [
  'user_id',
  'user_name',
  'email',
  'user_type',
  'broker',
  'exchanges',
  'products',
  'order_types',
]

/**
 * `kite_token.json` as the Kite guides' programs read it: `api_key`, `access_token`, `user_id` and `updated_at` are ours; an
 * `api_secret` or anything else that stands there stays. Some of those programs keep the token alone, as one JSON string or
 * under `token`; what is there already is kept up to date.
 */
const kite: Shape = {
  takesText: true,
  merged(content, release) {
    if (typeof content === 'string') return release.accessToken.expose()
    const { brokerUserId, appKey } = release
    const sameUser = brokerUserId === undefined || maybeText(content, 'user_id') === brokerUserId
    return {
      ...(sameUser ? content : omit(content, ofThePerson)),
      ...(appKey && { api_key: appKey.expose() }),
      access_token: release.accessToken.expose(),
      ...(Object.hasOwn(content, 'token') && { token: release.accessToken.expose() }),
      ...(brokerUserId !== undefined && { user_id: brokerUserId }),
      // Python reads `Z` only since 3.11.
      updated_at: iso(release.issuedAt).replace('Z', '+00:00'),
    }
  },
  token: (content) =>
    typeof content === 'string' && content !== ''
      ? content
      : (maybeText(content, 'access_token') ?? maybeText(content, 'token')),
  /** The key and whose it is stay: neither is secret, and both often stood there before. */
  without: (content) =>
    typeof content === 'string' ? '' : omit(content, ['access_token', 'token', 'updated_at']),
}

export const shapes: Readonly<Record<string, Shape>> = { openbell, kite }

function omit(content: object, names: readonly string[]): object {
  if (!names.some((name) => Object.hasOwn(content, name))) return content
  return Object.fromEntries(Object.entries(content).filter(([key]) => !names.includes(key)))
}
