import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestOptions, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import { createApi } from './app.ts'
import { fakeKeeper, liveStatus, morning } from './fake-keeper.ts'

/** The API behind a real socket, as the service runs it. */
let server: Server
let port: number
let finished = 0

beforeAll(async () => {
  const api = createApi({
    keeper: fakeKeeper({
      finishLogin: async () => {
        finished++
        return { status: liveStatus, exchanged: true }
      },
    }),
    keys: {
      verify: async (key) =>
        key.equals(new Secret('ob_socket'))
          ? {
              id: '1',
              tenantId: 'home',
              digest: '',
              label: '',
              scopes: ['token:read'],
              createdAt: instant(0),
            }
          : undefined,
    },
    clock: { now: () => morning, sleep: async () => undefined },
    ready: async () => undefined,
    isCallbackPath: async (path) => path === '/kite/callback',
    zoneOf: () => 'Asia/Kolkata',
    report: (error) => expect.unreachable(String(error)),
    settings: { publicUrl: undefined },
  })
  server = createServer(getRequestListener(api.fetch)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})

afterAll(() => {
  server.close()
  server.closeAllConnections()
})

async function send(
  path: string,
  options: RequestOptions = {},
): Promise<{ response: IncomingMessage; text: string }> {
  const [response] = (await once(
    request({ host: '127.0.0.1', port, path, ...options }).end(),
    'response',
  )) as [IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { response, text }
}

describe('the API on a socket', () => {
  it('gives a token for a key', async () => {
    const headers = { authorization: 'Bearer ob_socket' }
    const { response, text } = await send('/v1/accounts/kite-main/token', { headers })
    expect(response.statusCode).toBe(200)
    expect(JSON.parse(text)).toMatchObject({ account: 'kite-main', access_token: 'canary-access-token' })
  })

  it.each(['evil.test', `evil.test:1`, 'localhost.evil.test'])('refuses the host name %s', async (host) => {
    const { response } = await send('/healthz', { headers: { host } })
    expect(response.statusCode).toBe(421)
  })

  it('refuses another host in the request line', async () => {
    const { response } = await send('http://evil.test/healthz', { headers: { host: 'localhost' } })
    expect(response.statusCode).toBe(421)
  })

  it('finishes a login by GET, and by nothing that only looks at the link', async () => {
    const path = '/kite/callback?state=s&request_token=r'
    expect((await send(path, { method: 'HEAD' })).response.statusCode).toBe(405)
    expect((await send(path, { method: 'POST' })).response.statusCode).toBe(405)
    expect(finished).toBe(0)
    expect((await send(path)).text).toContain('Live until 06:00 tomorrow')
    expect(finished).toBe(1)
  })
})
