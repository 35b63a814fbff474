/** Who may ask: the right host name, and a key with the right scope. */

import type { MiddlewareHandler } from 'hono'
import type { Keys } from '../access/keys.ts'
import { allows, type Scope } from '../access/scopes.ts'
import { OpenbellError } from '../core/errors.ts'
import type { ApiKey } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import type { RequestEnv } from './env.ts'

/**
 * Refuses requests for other host names: a page on the web can point its own name at this machine and would then pass for
 * same-origin.
 */
export function requireHost(publicUrl: string | undefined): MiddlewareHandler {
  const check = hostCheck(publicUrl)
  return async (c, next) => {
    check(new URL(c.req.url))
    return next()
  }
}

/** Throws `host-not-allowed`. */
export function hostCheck(publicUrl: string | undefined): (asked: URL) => void {
  const named = publicUrl === undefined ? undefined : new URL(publicUrl).hostname
  return ({ hostname }) => {
    if (
      hostname !== named &&
      hostname !== 'localhost' &&
      hostname !== '[::1]' &&
      !/^127(\.\d+){3}$/.test(hostname)
    )
      throw new OpenbellError(
        'host-not-allowed',
        `Openbell does not answer to the name ${hostname}: use localhost, or set OPENBELL_PUBLIC_URL to where it is reached.`,
      )
  }
}

/** Takes `Authorization: Bearer <key>` and nothing else: what stands in a URL ends up in logs. */
export function requireKey(keys: Pick<Keys, 'verify'>, scope: Scope): MiddlewareHandler<RequestEnv> {
  return async (c, next) => {
    c.set('key', await checkedKey(keys, scope, c.req.header('authorization')))
    return next()
  }
}

/** Throws `key-required`, `key-invalid` or `scope-missing`. */
export async function checkedKey(
  keys: Pick<Keys, 'verify'>,
  scope: Scope,
  authorization: string | undefined,
): Promise<ApiKey> {
  const presented = /^Bearer +(\S{1,512})$/i.exec(authorization ?? '')?.[1]
  if (presented === undefined)
    throw new OpenbellError('key-required', 'Send an API key as "Authorization: Bearer <key>".')
  const key = await keys.verify(new Secret(presented))
  if (!key)
    throw new OpenbellError(
      'key-invalid',
      'This API key is unknown or revoked: programs of the same user find theirs in the file that `openbell up` names.',
    )
  if (!allows(key, scope))
    throw new OpenbellError('scope-missing', `This API key lacks the scope ${scope}: make one that has it.`, {
      field: scope,
    })
  return key
}
