// tastytrade's own SDK, unmodified, against the simulator: what it can do with the real service it can do here.
import TastytradeClient from '@tastytrade/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createClock, type Simulators, startSimulators } from '../../src/simulators/index.ts'

let simulators: Simulators
const clock = createClock({ source: () => 0 })

beforeEach(async () => {
  clock.set(Date.parse('2026-11-23T14:00:00Z'))
  simulators = await startSimulators({ clock })
})
afterEach(() => simulators.close())

function client(changed: { refreshToken?: string; oauthScopes?: string[] } = {}) {
  const { baseUrl, clientSecret, refreshToken } = simulators.tastytrade
  return new TastytradeClient({
    baseUrl,
    accountStreamerUrl: baseUrl.replace('http', 'ws'),
    clientSecret,
    refreshToken,
    oauthScopes: ['read', 'trade'],
    ...changed,
  })
}

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => 'answered',
    (error: { response?: { status: number; data: unknown } }) => [
      error.response?.status,
      error.response?.data,
    ],
  )

const requests = () => simulators.tastytrade.counters()

describe('with a grant', () => {
  it('renews by itself and reads customer, accounts and balances', async () => {
    const sdk = client()
    expect(await sdk.accountsAndCustomersService.getCustomerResource()).toMatchObject({ id: '900001' })
    expect(sdk.accessToken.expiresIn).toBe(900)
    const accounts = await sdk.accountsAndCustomersService.getCustomerAccounts()
    const number = accounts[0].account['account-number']
    expect(number).toBe(simulators.tastytrade.accountNumber)
    expect(await sdk.balancesAndPositionsService.getAccountBalanceValues(number)).toMatchObject({
      'account-number': number,
      'net-liquidating-value': '61250.75',
    })
    expect(requests()['POST /oauth/token']).toBe(1)
  })

  it('reads quotes and a quote token', async () => {
    const sdk = client()
    // The SDK has no method for this path; its client makes the request all the same.
    const answer = await sdk.httpClient.getData(
      '/market-data/by-type',
      {},
      { equity: ['AAPL', 'SPY'], index: ['SPX'] },
    )
    expect(answer.data.data.items.map((item: { symbol: string }) => item.symbol)).toEqual([
      'AAPL',
      'SPY',
      'SPX',
    ])
    expect(await sdk.accountsAndCustomersService.getApiQuoteToken()).toMatchObject({
      token: expect.any(String),
      'dxlink-url': expect.stringContaining('ws://127.0.0.1'),
    })
  })

  it('completes the code flow with the refresh token it ends in', async () => {
    const { authorize, baseUrl, clientId, clientSecret, redirectUris } = simulators.tastytrade
    const [redirect_uri = ''] = redirectUris
    const allowed = await fetch(authorize, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ client_id: clientId, redirect_uri, scope: 'read', user: '900002' }),
    })
    const code = new URL(allowed.headers.get('location') ?? '').searchParams.get('code') ?? ''
    const exchanged = await fetch(`${baseUrl}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uri,
      }),
    })
    const { refresh_token: refreshToken } = (await exchanged.json()) as { refresh_token: string }
    const sdk = client({ refreshToken, oauthScopes: ['read'] })
    expect(await sdk.accountsAndCustomersService.getCustomerResource()).toMatchObject({ id: '900002' })
  })
})

describe('with something dead', () => {
  it('meets an expired access token with 401 in the envelope, and does not renew for it', async () => {
    const sdk = client()
    await sdk.accountsAndCustomersService.getCustomerResource()
    clock.advance(900_000)
    expect(await refusal(sdk.accountsAndCustomersService.getCustomerResource())).toEqual([
      401,
      { error: { code: 'token_invalid', message: expect.any(String) } },
    ])
    expect(requests()['POST /oauth/token']).toBe(1)
  })

  it('meets a deleted grant, and a regenerated secret, at the token endpoint', async () => {
    simulators.tastytrade.revoke()
    expect(await refusal(client().accountsAndCustomersService.getCustomerResource())).toMatchObject([
      400,
      { error_code: 'invalid_grant' },
    ])
    const before = client({ refreshToken: simulators.tastytrade.createGrant() })
    simulators.tastytrade.rotateSecret()
    expect(await refusal(before.accountsAndCustomersService.getCustomerResource())).toMatchObject([
      400,
      { error_code: 'invalid_client' },
    ])
    expect(requests()['GET /customers/me']).toBeUndefined()
  })

  it('meets a missing scope with 403', async () => {
    const sdk = client({ oauthScopes: ['trade'] })
    expect(await refusal(sdk.accountsAndCustomersService.getCustomerResource())).toMatchObject([
      403,
      { error: { code: 'not_permitted' } },
    ])
  })

  it('meets throttling as 429 without a hint for how long', async () => {
    const sdk = client()
    simulators.tastytrade.faults.set({ kind: 'status', status: 429, path: '/customers/*', times: 1 })
    const error = await sdk.accountsAndCustomersService.getCustomerResource().catch((caught) => caught)
    expect(error.response.status).toBe(429)
    expect(error.response.headers['retry-after']).toBeUndefined()
  })
})
