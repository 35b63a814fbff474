/** The API on node:http, with a short way for what programs ask all day long: a token that is at hand. */

import type { IncomingMessage, RequestListener } from 'node:http'
import type { ApiParts } from './env.ts'
import { checkedKey, hostCheck } from './guard.ts'
import { jsonHeaders } from './respond.ts'
import { tokenText } from './routes/v1/accounts/token.ts'

/**
 * Everything but a plain yes goes to `api`, which then checks and refuses in its own way: the short way answers nothing
 * that the long one would not, in the same words, and only spares making a web `Request` and `Response` of it.
 */
export function createListener(
  parts: Pick<ApiParts, 'keeper' | 'keys' | 'settings'>,
  api: RequestListener,
): RequestListener {
  const { keeper, keys, settings } = parts
  const checkHost = hostCheck(settings.publicUrl)

  async function tokenAtHand({ headers }: IncomingMessage, accountId: string): Promise<string | undefined> {
    checkHost(new URL(`http://${headers.host}`))
    const { tenantId } = await checkedKey(keys, 'token:read', headers.authorization)
    const session = keeper.session({ tenantId, accountId })
    return session && tokenText(session)
  }

  return (request, response) => {
    const accountId = request.method === 'GET' ? tokenPath.exec(request.url ?? '')?.[1] : undefined
    if (accountId === undefined) return api(request, response)
    void tokenAtHand(request, accountId)
      .catch(() => undefined)
      .then((text) => {
        if (text === undefined) return api(request, response)
        const headers = { ...jsonHeaders, 'content-length': Buffer.byteLength(text) }
        response.writeHead(200, headers).end(text)
      })
  }
}

/** Without query and without anything that would have to be decoded. */
const tokenPath = /^\/v1\/accounts\/([a-z0-9-]+)\/token$/
