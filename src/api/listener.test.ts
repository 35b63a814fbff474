import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import { instant } from '../core/time.ts'
import { createApi } from './app.ts'
import type { ApiParts } from './env.ts'
import { fakeKeeper, morning } from './fake-keeper.ts'
import { createListener } from './listener.ts'

const scopesOf: Readonly<Record<string, string[]>> = {
  ob_token: ['token:read'],
  ob_admin: ['admin'],
  ob_status: ['status:read'],
}

const parts: ApiParts = {
  keeper: fakeKeeper(),
  keys: {
    verify: async (key) => {
      if (key.expose() === 'ob_busy') throw new OpenbellError('vault-busy', 'canary-inner-words')
      const scopes = scopesOf[key.expose()]
      return scopes && { id: '1', tenantId: 'home', digest: '', label: '', scopes, createdAt: instant(0) }
    },
  },
  clock: { now: () => morning, sleep: async () => undefined },
  ready: async () => undefined,
  isCallbackPath: async () => false,
  zoneOf: () => 'Asia/Kolkata',
  report: () => undefined,
  settings: { publicUrl: 'https://bell.example.test' },
}

let server: Server
let longWays = 0

beforeAll(async () => {
  const api = getRequestListener(createApi(parts).fetch)
  const counted: typeof api = (...both) => {
    longWays++
    return api(...both)
  }
  server = createServer(createListener(parts, counted)).listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterAll(() => {
  server.close()
  server.closeAllConnections()
})

beforeEach(() => {
  longWays = 0
})

interface Told {
  status: number | undefined
  headers: IncomingHttpHeaders
  text: string
}

async function get(path: string, headers: Record<string, string>): Promise<Told> {
  const { port } = server.address() as AddressInfo
  const [response] = (await once(request({ host: '127.0.0.1', port, path, headers }).end(), 'response')) as [
    IncomingMessage,
  ]
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  const { date: _, ...rest } = response.headers
  return { status: response.statusCode, headers: rest, text }
}

const path = '/v1/accounts/kite-main/token'
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

describe('the short way', () => {
  it.each([['ob_token'], ['ob_admin']])('answers a read with the key %s alone', async (key) => {
    const { status, text } = await get(path, bearer(key))
    expect({ status, account: JSON.parse(text).account }).toEqual({ status: 200, account: 'kite-main' })
    expect(longWays).toBe(0)
  })

  // A bare question mark changes nothing but the way.
  it.each([
    ['a good key', path, bearer('ob_token')],
    ['the public name', path, { ...bearer('ob_token'), host: 'bell.example.test' }],
    ['another name', path, { ...bearer('ob_token'), host: 'evil.example.test' }],
    ['no name at all', path, { ...bearer('ob_token'), host: '' }],
    ['no key', path, {}],
    ['an unknown key', path, bearer('ob_unknown')],
    ['a key without the scope', path, bearer('ob_status')],
    ['a vault that fails', path, bearer('ob_busy')],
    ['an account without a token', '/v1/accounts/nobody/token', bearer('ob_token')],
  ])('says of %s what the long one says', async (_, asked, headers) => {
    const short = await get(asked, headers)
    const before = longWays
    const long = await get(`${asked}?`, headers)
    expect(longWays).toBe(before + 1)
    expect(short).toEqual(long)
    expect(short.headers['cache-control'] ?? 'no-store').toBe('no-store')
  })

  it('leaves a query to the long one', async () => {
    expect((await get(`${path}?min_vald=60`, bearer('ob_token'))).status).toBe(400)
    expect(longWays).toBe(1)
  })
})
