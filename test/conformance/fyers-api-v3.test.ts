// FYERS' own SDK, unmodified, against the simulator: what it can do with the real service it can do here.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createClock, type Simulators, startSimulators } from '../../src/simulators/index.ts'

/** What is used of the SDK, which comes without types. */
interface FyersModel {
  setAppId(appId: string): void
  setRedirectUrl(url: string): void
  setAccessToken(token: string): void
  generateAuthCode(request: { state: string }): string
  generate_access_token(request: { secret_key: string; auth_code: string }): Promise<Answer>
  get_profile(): Promise<Answer>
  get_funds(): Promise<Answer>
  getQuotes(symbols: string[]): Promise<Answer>
  getMarketDepth(request: { symbol: string[]; ohlcv_flag: number }): Promise<Answer>
  logout_user(body: object): Promise<Answer>
}
type Answer = Record<string, unknown>

const load = createRequire(import.meta.url)
const { fyersModel } = load('fyers-api-v3') as {
  fyersModel: new (options: { path: string; enableLogging: boolean }) => FyersModel
}
// The SDK takes no host: the only way is to change its own configuration, which all its clients share.
const { Config } = load('fyers-api-v3/config/config') as { Config: Record<string, string> }
const original = { ...Config }

let simulators: Simulators
let logs: string
const clock = createClock({ source: () => 0 })

beforeEach(async () => {
  clock.set(Date.parse('2026-11-23T08:30:00+05:30'))
  simulators = await startSimulators({ clock })
  Object.assign(Config, { SYNC_API: simulators.fyers.api, data_Api1: simulators.fyers.data })
  logs = mkdtempSync(join(tmpdir(), 'openbell-fyers-'))
})
afterEach(async () => {
  Object.assign(Config, original)
  rmSync(logs, { recursive: true })
  await simulators.close()
})

function client(): FyersModel {
  // Left on, its log holds the app secret and every code in plain text.
  const sdk = new fyersModel({ path: logs, enableLogging: false })
  sdk.setAppId(simulators.fyers.appId)
  sdk.setRedirectUrl(simulators.fyers.redirectUri)
  return sdk
}

/** The person's part: opens the SDK's login address and presses the first button. */
async function authCode(sdk: FyersModel): Promise<string> {
  const form = await (await fetch(sdk.generateAuthCode({ state: 'state-1' }))).text()
  const field = (pattern: RegExp) => pattern.exec(form)?.[1] ?? ''
  const answer = await fetch(new URL(field(/action="([^"]+)"/), simulators.fyers.login), {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({
      client_id: field(/name="client_id" value="([^"]+)"/),
      redirect_uri: field(/name="redirect_uri" value="([^"]+)"/),
      state: field(/name="state" value="([^"]+)"/),
      user: field(/name="user" value="([^"]+)"/),
    }),
  })
  const back = new URL(answer.headers.get('location') ?? '').searchParams
  expect(back.get('state')).toBe('state-1')
  return back.get('auth_code') ?? ''
}

async function loggedIn(): Promise<FyersModel> {
  const sdk = client()
  const answer = await sdk.generate_access_token({
    secret_key: simulators.fyers.secretKey,
    auth_code: await authCode(sdk),
  })
  sdk.setAccessToken(String(answer.access_token))
  return sdk
}

const DEAD = { s: 'error', code: -16, message: 'Could not authenticate the user' }
const DEAD_AT_DATA = { s: 'error', code: -15, message: 'Please provide valid token' }

describe('with a session', () => {
  it('exchanges, and reads profile and funds', async () => {
    const sdk = await loggedIn()
    expect(await sdk.get_profile()).toMatchObject({ s: 'ok', data: { fy_id: simulators.fyers.userIds[0] } })
    expect(await sdk.get_funds()).toMatchObject({
      fund_limit: expect.arrayContaining([expect.objectContaining({ title: 'Available Balance' })]),
    })
    expect(simulators.fyers.counters()).toMatchObject({
      'POST /api/v3/validate-authcode': 1,
      'GET /api/v3/profile': 1,
      'GET /api/v3/funds': 1,
    })
  })

  it('reads quotes and depth', async () => {
    const sdk = await loggedIn()
    expect(await sdk.getQuotes(['NSE:SBIN-EQ', 'NSE:NIFTY50-INDEX'])).toMatchObject({
      s: 'ok',
      d: [
        { n: 'NSE:SBIN-EQ', v: { lp: expect.any(Number) } },
        { n: 'NSE:NIFTY50-INDEX', v: { lp: expect.any(Number) } },
      ],
    })
    expect(await sdk.getMarketDepth({ symbol: ['NSE:SBIN-EQ'], ohlcv_flag: 1 })).toMatchObject({
      d: { 'NSE:SBIN-EQ': { bids: expect.any(Array), ask: expect.any(Array), ltp: expect.any(Number) } },
    })
  })

  it('logs out, once', async () => {
    const sdk = await loggedIn()
    expect(await sdk.logout_user({})).toMatchObject({ s: 'ok', message: 'you are successfully logged out' })
    await expect(sdk.get_profile()).rejects.toEqual(DEAD)
    await expect(sdk.logout_user({})).rejects.toMatchObject({ message: 'Token is Invalid or Expired' })
  })

  it('meets 06:00 with the two shapes of a dead token', async () => {
    const sdk = await loggedIn()
    clock.set(Date.parse('2026-11-24T05:59:59+05:30'))
    await sdk.get_profile()
    clock.set(Date.parse('2026-11-24T06:00:00+05:30'))
    await expect(sdk.get_profile()).rejects.toEqual(DEAD)
    await expect(sdk.get_funds()).rejects.toEqual(DEAD)
    await expect(sdk.getQuotes(['NSE:SBIN-EQ'])).rejects.toEqual(DEAD_AT_DATA)
    await expect(sdk.getMarketDepth({ symbol: ['NSE:SBIN-EQ'], ohlcv_flag: 1 })).rejects.toEqual(DEAD_AT_DATA)
  })
})

it('resolves a refused exchange as an ordinary answer', async () => {
  const sdk = client()
  const auth_code = await authCode(sdk)
  expect(await sdk.generate_access_token({ secret_key: 'canary-fyers-secret', auth_code })).toMatchObject({
    s: 'error',
    code: -371,
  })
  const secret_key = simulators.fyers.secretKey
  expect(await sdk.generate_access_token({ secret_key, auth_code })).toMatchObject({ s: 'ok', code: 200 })
  expect(await sdk.generate_access_token({ secret_key, auth_code })).toMatchObject({ s: 'error', code: -437 })
})

it('reports throttling in the body and a reset connection as its own 500', async () => {
  const sdk = await loggedIn()
  simulators.fyers.blockForDay()
  await expect(sdk.get_profile()).rejects.toMatchObject({ s: 'error', code: -429 })
  simulators.fyers.unblock()
  simulators.fyers.faults.set({ kind: 'reset', times: 1 })
  await expect(sdk.get_profile()).rejects.toMatchObject({ s: 'error', code: 500, message: 'ECONNRESET' })
})

it('writes no log when told so', async () => {
  await loggedIn()
  expect(readdirSync(logs)).toEqual([])
  expect(existsSync(`${new Date().toISOString().slice(0, 10)}.log`)).toBe(false)
})
