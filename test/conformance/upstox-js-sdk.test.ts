// Upstox's own SDK, unmodified, against the simulator: what it can do with the real service it can do here.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { createClock, type Simulators, startSimulators } from '../../src/simulators/index.ts'

/** What is used of the SDK, which comes without types. */
type Done = (error: Failure | null, data: unknown) => void
interface Failure {
  status?: number
  code?: string
  response?: { text: string }
}
interface Client {
  basePath: string
  orderBasePath: string
  authentications: { OAUTH2: { accessToken?: string } }
}
interface LoginApi {
  token(version: string, fields: Record<string, string>, done: Done): void
  initTokenRequestForIndieUser(body: { clientSecret: string }, clientId: string, done: Done): void
  logout(version: string, done: Done): void
}
interface UserApi {
  getProfile(version: string, done: Done): void
  getUserFundMargin(version: string, options: object, done: Done): void
  getUserFundMarginV3(done: Done): void
}
interface MarketQuoteApi {
  getFullMarketQuote(symbol: string, version: string, done: Done): void
}
interface MarketQuoteV3Api {
  getLtp(options: { instrumentKey: string }, done: Done): void
}
interface MarketHolidaysAndTimingsApi {
  getMarketStatus(exchange: string, done: Done): void
}

const sdk = createRequire(import.meta.url)('upstox-js-sdk') as {
  ApiClient: new () => Client
  LoginApi: new (client: Client) => LoginApi
  UserApi: new (client: Client) => UserApi
  MarketQuoteApi: new (client: Client) => MarketQuoteApi
  MarketQuoteV3Api: new (client: Client) => MarketQuoteV3Api
  MarketHolidaysAndTimingsApi: new (client: Client) => MarketHolidaysAndTimingsApi
}

let simulators: Simulators
const clock = createClock({ source: () => 0 })

beforeEach(async () => {
  clock.set(Date.parse('2026-11-23T09:30:00+05:30'))
  simulators = await startSimulators({ clock })
})
afterEach(() => simulators.close())

const V2 = '2.0'
const SBIN = 'NSE_EQ|INE062A01020'

/** A client of its own for each call of this: one without a client would be the last one made anywhere. */
function apis(accessToken?: string) {
  const client = new sdk.ApiClient()
  client.basePath = simulators.upstox.basePath
  client.orderBasePath = simulators.upstox.basePath
  if (accessToken) client.authentications.OAUTH2.accessToken = accessToken
  return {
    login: new sdk.LoginApi(client),
    user: new sdk.UserApi(client),
    quotes: new sdk.MarketQuoteApi(client),
    quotesV3: new sdk.MarketQuoteV3Api(client),
    market: new sdk.MarketHolidaysAndTimingsApi(client),
  }
}

const answer = (call: (done: Done) => void) =>
  new Promise<Record<string, unknown>>((resolve, reject) =>
    call((error, data) => (error ? reject(error) : resolve(data as Record<string, unknown>))),
  )

/** Status and code, which the SDK leaves in the text of the body. */
const refusal = (call: (done: Done) => void) =>
  answer(call).then(
    () => 'answered',
    ({ status, response }: Failure) => [
      status,
      JSON.parse(response?.text ?? '{}').errors?.[0]?.error_code ?? 'no envelope',
    ],
  )

/** The person's part: opens the dialog and presses the first button. The SDK's own `authorize` cannot. */
async function authCode(): Promise<string> {
  const { login, clientId, redirectUri } = simulators.upstox
  const address = new URL(login)
  address.search = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    state: 'state-1',
  }).toString()
  const form = await (await fetch(address)).text()
  const field = (pattern: RegExp) => pattern.exec(form)?.[1] ?? ''
  const pressed = await fetch(new URL(field(/action="([^"]+)"/), login), {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({
      client_id: clientId,
      redirect_uri: redirectUri,
      state: 'state-1',
      user: field(/name="user" value="([^"]+)"/),
    }),
  })
  return new URL(pressed.headers.get('location') ?? '').searchParams.get('code') ?? ''
}

const exchange = (code: string, changed: Record<string, string> = {}) => {
  const { clientId, clientSecret, redirectUri } = simulators.upstox
  const fields = { code, clientId, clientSecret, redirectUri, grantType: 'authorization_code', ...changed }
  return (done: Done) => apis().login.token(V2, fields, done)
}

async function loggedIn() {
  const session = await answer(exchange(await authCode()))
  return { ...apis(String(session.accessToken)), session }
}

const DEAD = [401, 'UDAPI100050']

describe('with a session', () => {
  it('exchanges, and reads profile and funds', async () => {
    const { session, user } = await loggedIn()
    expect(session).toMatchObject({ userId: 'SU0001', broker: 'UPSTOX', extendedToken: expect.any(String) })
    expect(await answer((done) => user.getProfile(V2, done))).toMatchObject({
      status: 'success',
      data: { userId: 'SU0001', isActive: true },
    })
    expect(await answer((done) => user.getUserFundMargin(V2, {}, done))).toMatchObject({
      data: { equity: { availableMargin: 250_000 } },
    })
    expect(await answer((done) => user.getUserFundMarginV3(done))).toMatchObject({
      data: { availableToTrade: { total: 250_000 } },
    })
  })

  it('reads prices, a full quote with depth, and the state of the market', async () => {
    const { quotes, quotesV3, market } = await loggedIn()
    expect(await answer((done) => quotesV3.getLtp({ instrumentKey: SBIN }, done))).toMatchObject({
      data: { 'NSE_EQ:SBIN': { lastPrice: expect.any(Number), instrumentToken: SBIN } },
    })
    expect(await answer((done) => quotes.getFullMarketQuote(SBIN, V2, done))).toMatchObject({
      data: { 'NSE_EQ:SBIN': { depth: { buy: expect.any(Array), sell: expect.any(Array) } } },
    })
    expect(await answer((done) => market.getMarketStatus('NSE', done))).toMatchObject({
      data: { exchange: 'NSE', status: 'NORMAL_OPEN' },
    })
  })

  it('logs out', async () => {
    const { login, user } = await loggedIn()
    expect(await answer((done) => login.logout(V2, done))).toMatchObject({ status: 'success', data: true })
    expect(await refusal((done) => user.getProfile(V2, done))).toEqual(DEAD)
    expect(await refusal((done) => login.logout(V2, done))).toEqual([401, 'no envelope'])
  })

  it('meets 03:30 with UDAPI100050, and the night with 423 for funds alone', async () => {
    const { user, quotesV3 } = await loggedIn()
    clock.set(Date.parse('2026-11-24T03:29:59+05:30'))
    await answer((done) => user.getProfile(V2, done))
    expect(await refusal((done) => user.getUserFundMarginV3(done))).toEqual([423, 'UDAPI100072'])
    clock.set(Date.parse('2026-11-24T03:30:00+05:30'))
    expect(await refusal((done) => user.getProfile(V2, done))).toEqual(DEAD)
    expect(await refusal((done) => user.getUserFundMarginV3(done))).toEqual(DEAD)
    expect(await refusal((done) => quotesV3.getLtp({ instrumentKey: SBIN }, done))).toEqual(DEAD)
  })
})

describe('an access-token request', () => {
  it('brings, once approved, a token that works', async () => {
    let posted = ''
    const notifier = createServer(async (request, response) => {
      for await (const chunk of request) posted += chunk
      response.end()
    })
    await new Promise<void>((done) => notifier.listen(0, '127.0.0.1', done))
    onTestFinished(() => void notifier.close())
    const { upstox } = simulators
    upstox.setNotifierUrl(`http://127.0.0.1:${(notifier.address() as AddressInfo).port}/hook`)

    const { clientId, clientSecret } = upstox
    const asked = await answer((done) =>
      apis().login.initTokenRequestForIndieUser({ clientSecret }, clientId, done),
    )
    expect(asked).toMatchObject({
      data: {
        authorizationExpiry: String(Date.parse('2026-11-24T03:30:00+05:30')),
        notifierUrl: upstox.notifierUrl,
      },
    })
    expect(await upstox.approve()).toEqual({ approved: true, notifier: 200 })
    const { user } = apis((JSON.parse(posted) as { access_token: string }).access_token)
    expect(await answer((done) => user.getProfile(V2, done))).toMatchObject({ data: { userId: 'SU0001' } })
  })

  it('needs the secret, which the SDK leaves out under its wire name', async () => {
    const { clientId } = simulators.upstox
    const misspelt = { client_secret: simulators.upstox.clientSecret } as unknown as { clientSecret: string }
    expect(
      await refusal((done) => apis().login.initTokenRequestForIndieUser(misspelt, clientId, done)),
    ).toEqual([400, 'UDAPI1024'])
  })
})

describe('without a live token', () => {
  it('meets a made-up token and none at all alike', async () => {
    expect(await refusal((done) => apis('canary-access').user.getProfile(V2, done))).toEqual(DEAD)
    expect(await refusal((done) => apis().user.getProfile(V2, done))).toEqual(DEAD)
  })

  it('cannot exchange twice, with a wrong secret, or by refresh', async () => {
    const code = await authCode()
    expect(await refusal(exchange(code, { clientSecret: 'canary-upstox-secret' }))).toEqual([
      401,
      'UDAPI100069',
    ])
    expect(await refusal(exchange(code))).toEqual([401, 'UDAPI100057'])
    expect(await refusal(exchange(code, { grantType: 'refresh_token' }))).toEqual([400, 'UDAPI1023'])
  })
})

it('meets throttling as 429 and the edge as a page with 403', async () => {
  const { user } = await loggedIn()
  simulators.upstox.faults.set({ kind: 'status', status: 429, times: 1 })
  expect(await refusal((done) => user.getProfile(V2, done))).toEqual([429, 'UDAPI10005'])
  simulators.upstox.faults.set({ kind: 'html', status: 403, times: 1 })
  const error = await answer((done) => user.getProfile(V2, done)).catch((caught: Failure) => caught)
  expect(error).toMatchObject({ status: 403, response: { text: expect.stringContaining('<!doctype html>') } })
})
