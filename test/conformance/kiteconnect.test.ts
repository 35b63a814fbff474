// Zerodha's own SDK, unmodified, against the Kite simulator: what it can do with the real service it can do here.
import { KiteConnect } from 'kiteconnect'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createClock, type Simulators, startSimulators } from '../../src/simulators/index.ts'

let simulators: Simulators
const clock = createClock({ source: () => 0 })

beforeEach(async () => {
  clock.set(Date.parse('2026-11-23T08:30:00+05:30'))
  simulators = await startSimulators({ clock, kite: { flushAt: '07:05', apps: [{}, {}, {}] } })
})
afterEach(() => simulators.close())

/** An SDK client as a user of one of the simulator's apps would make it. */
function client(index = 0) {
  const app = simulators.kite.apps[index]
  if (!app) throw new Error(`the simulator has no app ${index}`)
  const sdk = new KiteConnect({ api_key: app.apiKey, root: simulators.kite.root })
  Object.assign(sdk, { default_login_uri: simulators.kite.login })
  return { sdk, secret: app.apiSecret }
}

/** The person's part: opens the SDK's login address and presses the first button. */
async function requestToken(sdk: InstanceType<typeof KiteConnect>): Promise<string> {
  const form = await (await fetch(sdk.getLoginURL())).text()
  const field = (pattern: RegExp) => pattern.exec(form)?.[1] ?? ''
  const answer = await fetch(new URL(field(/action="([^"]+)"/), simulators.kite.login), {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({
      api_key: field(/name="api_key" value="([^"]+)"/),
      redirect_params: '',
      user: field(/name="user" value="([^"]+)"/),
    }),
  })
  return new URL(answer.headers.get('location') ?? '').searchParams.get('request_token') ?? ''
}

async function loggedIn(index = 0) {
  const { sdk, secret } = client(index)
  const session = await sdk.generateSession(await requestToken(sdk), secret)
  const expired = vi.fn()
  sdk.setSessionExpiryHook(expired)
  return { sdk, secret, session, expired }
}

const DEAD = { error_type: 'TokenException', message: 'Incorrect `api_key` or `access_token`.' }

describe('with a session', () => {
  it('exchanges, and reads profile and balances', async () => {
    const { sdk, session } = await loggedIn()
    expect(session).toMatchObject({ user_id: 'SIM001', refresh_token: '', api_key: simulators.kite.apiKey })
    expect(await sdk.getProfile()).toMatchObject({ user_id: 'SIM001', broker: 'ZERODHA' })
    expect(await sdk.getMargins()).toMatchObject({ equity: { enabled: true }, commodity: { enabled: true } })
    expect(await sdk.getMargins('equity')).toMatchObject({ net: 250_000, available: { cash: 250_000 } })
  })

  it('reads the three kinds of quotes', async () => {
    // An app each: a second quote within a second would be refused.
    const [full, ohlc, ltp] = await Promise.all([loggedIn(0), loggedIn(1), loggedIn(2)])
    expect(await full.sdk.getQuote(['NSE:INFY', 'NSE:NOBODY'])).toEqual({
      'NSE:INFY': expect.objectContaining({
        instrument_token: 408065,
        depth: { buy: expect.any(Array), sell: expect.any(Array) },
      }),
    })
    expect(await ohlc.sdk.getOHLC('NSE:INFY')).toMatchObject({ 'NSE:INFY': { ohlc: { open: 1500 } } })
    expect(await ltp.sdk.getLTP(['NSE:INFY', 'BSE:SENSEX'])).toMatchObject({
      'BSE:SENSEX': { last_price: expect.any(Number) },
    })
  })

  it('logs out', async () => {
    const { sdk, expired } = await loggedIn()
    expect(await sdk.invalidateAccessToken()).toBe(true)
    await expect(sdk.getProfile()).rejects.toMatchObject(DEAD)
    expect(expired).toHaveBeenCalledOnce()
  })

  it('is thrown out by a second login with the same api_key', async () => {
    const first = await loggedIn()
    const second = await loggedIn()
    await expect(first.sdk.getProfile()).rejects.toMatchObject(DEAD)
    expect(first.expired).toHaveBeenCalledOnce()
    expect(await second.sdk.getProfile()).toMatchObject({ user_id: 'SIM001' })
  })

  it('is thrown out by the morning flush', async () => {
    const { sdk, expired } = await loggedIn()
    clock.set(Date.parse('2026-11-24T07:04:59+05:30'))
    await sdk.getProfile()
    expect(expired).not.toHaveBeenCalled()
    clock.set(Date.parse('2026-11-24T07:05:00+05:30'))
    await expect(sdk.getProfile()).rejects.toMatchObject(DEAD)
    expect(expired).toHaveBeenCalledOnce()
  })
})

describe('without one', () => {
  it('meets a made-up token with TokenException and its hook', async () => {
    const { sdk } = client()
    const expired = vi.fn()
    sdk.setSessionExpiryHook(expired)
    sdk.setAccessToken('canary-kite-access')
    await expect(sdk.getProfile()).rejects.toMatchObject(DEAD)
    expect(expired).toHaveBeenCalledOnce()
  })

  it('meets missing credentials with InputException, for which its hook stays silent', async () => {
    const { sdk } = client()
    const expired = vi.fn()
    sdk.setSessionExpiryHook(expired)
    await expect(sdk.getProfile()).rejects.toMatchObject({ error_type: 'InputException' })
    expect(simulators.kite.log().at(-1)?.status).toBe(400)
    expect(expired).not.toHaveBeenCalled()
  })

  it('cannot exchange twice, with a wrong secret, or renew', async () => {
    const { sdk, secret } = await loggedIn()
    const token = await requestToken(sdk)
    await expect(sdk.generateSession(token, 'canary-kite-secret')).rejects.toMatchObject({
      error_type: 'TokenException',
      message: 'Invalid `checksum`.',
    })
    await expect(sdk.generateSession(token, secret)).rejects.toMatchObject({
      message: 'Token is invalid or has expired.',
    })
    await expect(sdk.renewAccessToken('', secret)).rejects.toMatchObject({ error_type: 'InputException' })
    await expect(sdk.renewAccessToken('canary-refresh', secret)).rejects.toMatchObject({
      error_type: 'TokenException',
    })
  })
})

it('takes a maintenance page with status 200 for an answer, as it does with the real service', async () => {
  const { sdk } = await loggedIn()
  simulators.kite.faults.set({ kind: 'html', times: 1 })
  expect(await sdk.getProfile()).toMatchObject({ error_type: 'DataException' })
})

it('reports throttling and a reset connection as NetworkException', async () => {
  const { sdk, expired } = await loggedIn()
  simulators.kite.faults.set({ kind: 'status', status: 429, times: 1 })
  await expect(sdk.getProfile()).rejects.toMatchObject({ error_type: 'NetworkException' })
  simulators.kite.faults.set({ kind: 'reset', times: 1 })
  await expect(sdk.getProfile()).rejects.toMatchObject({ error_type: 'NetworkException' })
  expect(expired).not.toHaveBeenCalled()
})
