/** The requests that the adapters build, beside those that the brokers' own SDKs send. */

import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import TastytradeClient from '@tastytrade/api'
import { KiteConnect } from 'kiteconnect'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { App } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import type { WireRequest } from '../core/wire.ts'
import { kite } from './kite.ts'
import { tastytrade } from './tastytrade.ts'

interface Seen {
  method: string
  path: string
  query: Record<string, string>
  body: string
  headers: IncomingHttpHeaders
}

let seen: Seen[] = []
let server: Server
let root = ''

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => {
      body += chunk
    })
    request.on('end', () => {
      const url = new URL(request.url ?? '/', root)
      seen.push({
        method: request.method ?? '',
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        body,
        headers: request.headers,
      })
      const data = { access_token: 'made-up-token', login_time: '2026-11-23 09:30:00', items: [] }
      response.setHeader('Content-Type', 'application/json')
      response.end(
        JSON.stringify({ status: 'success', data, access_token: 'made-up-token', expires_in: 900 }),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

beforeEach(() => {
  seen = []
})

afterAll(() => new Promise((resolve) => server.close(resolve)))

it('Kite: login page, exchange, profile and logout', async () => {
  const sdk = new KiteConnect({ api_key: 'k', root })
  await sdk.generateSession('rt', 'sec')
  await sdk.getProfile()
  await sdk.invalidateAccessToken('made-up-token')

  const credentials = { apiKey: new Secret('k'), apiSecret: new Secret('sec') }
  const input = inputFor('kite', credentials)
  const token = { ...input, accessToken: new Secret('made-up-token') }
  const [exchange, profile, logout] = seen
  const ours = {
    exchange: kite.login.exchange.request({ ...input, code: new Secret('rt') }),
    profile: kite.probes[0].request(token),
    logout: kite.revoke(token),
  }

  expect(onTheWire(ours.exchange)).toMatchObject({ method: exchange?.method, path: exchange?.path })
  expect(form(onTheWire(ours.exchange).body)).toEqual(form(exchange?.body ?? ''))
  expect(onTheWire(ours.profile)).toMatchObject({ method: profile?.method, path: profile?.path })
  expect(onTheWire(ours.profile).headers).toMatchObject({
    authorization: profile?.headers.authorization,
    'x-kite-version': profile?.headers['x-kite-version'],
  })
  expect(onTheWire(ours.logout)).toMatchObject({
    method: logout?.method,
    path: logout?.path,
    query: logout?.query,
  })

  const page = new URL(kite.login.url({ app: input.app, origins: kite.environments.live, state: 's' }))
  page.searchParams.delete('redirect_params')
  page.searchParams.sort()
  const official = new URL(sdk.getLoginURL())
  official.searchParams.sort()
  expect(page.href).toBe(official.href)
})

it('tastytrade: refresh and accounts', async () => {
  const sdk = new TastytradeClient({
    baseUrl: root,
    accountStreamerUrl: 'ws://127.0.0.1:9',
    clientSecret: 'sec',
    refreshToken: 'rt',
    oauthScopes: ['read', 'trade'],
  })
  await sdk.accountsAndCustomersService.getCustomerAccounts()

  const credentials = { clientId: new Secret('id'), clientSecret: new Secret('sec') }
  const input = inputFor('tastytrade', credentials)
  const [refresh, accounts] = seen
  const ours = {
    refresh: onTheWire(tastytrade.refresh.request({ ...input, refreshToken: new Secret('rt') })),
    accounts: onTheWire(tastytrade.probes[0].request({ ...input, accessToken: new Secret('made-up-token') })),
  }

  expect(ours.refresh).toMatchObject({ method: refresh?.method, path: refresh?.path })
  expect(ours.refresh.headers['content-type']).toBe(refresh?.headers['content-type'])
  // The SDK names the scopes again and leaves the optional client ID out.
  const { client_id: _, ...sent } = JSON.parse(ours.refresh.body)
  const { scope: __, ...official } = JSON.parse(refresh?.body ?? '')
  expect(sent).toEqual(official)
  expect(ours.accounts).toMatchObject({ method: accounts?.method, path: accounts?.path })
  expect(ours.accounts.headers.authorization).toBe(accounts?.headers.authorization)
})

function inputFor(brokerId: string, credentials: Record<string, Secret>) {
  const app: App = {
    id: 'app',
    tenantId: 'default',
    version: 1,
    brokerId,
    environment: 'simulator',
    credentials,
    fingerprint: 'made-up',
    refresh: { state: 'auto' },
  }
  return { app, origins: { api: root }, now: instant(Date.parse('2026-11-23T04:00:00Z')) }
}

function onTheWire({ method, url, query = {}, headers, body = '' }: WireRequest) {
  const written = (value: string | Secret) => (value instanceof Secret ? value.expose() : value)
  return {
    method,
    path: new URL(url).pathname,
    query: Object.fromEntries(Object.entries(query).map(([key, value]) => [key, written(value)])),
    headers: Object.fromEntries(
      Object.entries(headers).map(([key, value]) => [key.toLowerCase(), written(value)]),
    ),
    body: written(body),
  }
}

function form(body: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(body))
}
