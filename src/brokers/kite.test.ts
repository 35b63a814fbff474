import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isProblem } from '../core/broker.ts'
import type { App } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import { Answer } from '../core/wire.ts'
import { type BrokerCase, describeBroker } from '../testing/describe-broker.ts'
import cases from './kite.cases.json' with { type: 'json' }
import { kite } from './kite.ts'

const app: App = {
  id: 'kite-app',
  tenantId: 'default',
  version: 1,
  brokerId: 'kite',
  environment: 'live',
  credentials: {
    apiKey: new Secret('kitekey'),
    apiSecret: new Secret('canary-kite-secret-0123456789abcdef'),
  },
  fingerprint: 'made-up',
  redirectUri: 'http://127.0.0.1:8079/callback',
  refresh: { state: 'auto' },
}
const origins = kite.environments.live
const now = instant(Date.parse('2026-11-23T04:00:00Z'))

describeBroker(kite, {
  cases: cases as BrokerCase[],
  app,
  redirect: {
    accepted: (login) =>
      echoed(login, { request_token: 'canary-request-token-0123456789', action: 'login', status: 'success' }),
    refused: (login) => echoed(login, { action: 'login', status: 'error' }),
    foreign: [
      's=ok&code=200&message=&auth_code=made-up&state=s',
      'code=made-up&state=s',
      'status=success&state=s',
      'request_token=&status=success',
    ],
  },
  garbage: (check) => fc.assert(fc.property(fc.anything(), check)),
  describe,
  it,
  expect,
})

/** As Kite does: the pairs inside redirect_params are put on the redirect. */
function echoed(login: URL, own: Record<string, string>): URLSearchParams {
  const query = new URLSearchParams(own)
  for (const [key, value] of new URLSearchParams(login.searchParams.get('redirect_params') ?? '')) {
    query.append(key, value)
  }
  return query
}

describe('what Kite is sent', () => {
  it('a request token once', () => {
    expect(kite.login.exchange.spend).toBe('single-use')
  })

  it('the checksum of its manual', () => {
    const credentials = { apiKey: new Secret('k'), apiSecret: new Secret('sec') }
    const input = { app: { ...app, credentials }, origins, now, code: new Secret('rt') }
    const { method, url, headers, body } = kite.login.exchange.request(input)
    expect({ method, url, headers }).toEqual({
      method: 'POST',
      url: 'https://api.kite.trade/session/token',
      headers: { 'X-Kite-Version': '3', 'Content-Type': 'application/x-www-form-urlencoded' },
    })
    expect(Object.fromEntries(new URLSearchParams(open(body)))).toEqual({
      api_key: 'k',
      request_token: 'rt',
      checksum: '7d3a022a0cf41cd226df628d4fd5a26991d0cc10036d38ee545bc34c692304b2',
    })
  })

  it('a login page with version, key and the state in redirect_params', () => {
    expect(kite.login.url({ app, origins, state: 'a&b' })).toBe(
      'https://kite.zerodha.com/connect/login?v=3&api_key=kitekey&redirect_params=state%3Da%2526b',
    )
  })

  it('key and token together, and its version, with every call', () => {
    const headers = kite.authorize({ app, origins, now, accessToken: new Secret('made-up-token') })
    expect(headers['X-Kite-Version']).toBe('3')
    expect(open(headers.Authorization)).toBe('token kitekey:made-up-token')
  })

  it('the token to end in the query', () => {
    const request = kite.revoke({ app, origins, now, accessToken: new Secret('made-up-token') })
    expect(request.method).toBe('DELETE')
    expect(request.url).toBe('https://api.kite.trade/session/token')
    expect(open(request.query?.api_key)).toBe('kitekey')
    expect(open(request.query?.access_token)).toBe('made-up-token')
  })
})

describe('a login that Kite refuses', () => {
  const refusal = (message: string) => {
    const body = { status: 'error', message, data: null, error_type: 'TokenException' }
    const verdict = kite.judge(new Answer({ status: 403, headers: {}, body, receivedAt: now }), 'code')
    return isProblem(verdict) ? verdict.message : ''
  }

  it('names both causes, since the code does not tell them apart', () => {
    expect(refusal('Made up.')).toMatch(/used before or is older than a few minutes, or the API secret/)
  })

  it("quotes Kite's own words, which do", () => {
    expect(refusal('Invalid `checksum`.')).toContain('("Invalid checksum")')
  })
})

describe('the end of a Kite token', () => {
  const draftAt = (at: number) => {
    const body = { status: 'success', data: { access_token: 'made-up' } }
    const answer = new Answer({ status: 200, headers: {}, body, receivedAt: instant(at) })
    return kite.login.exchange.read(answer, { app, origins, now: instant(at), code: new Secret('rt') })
  }
  const morning = (hour: number, minute: number) =>
    new Intl.DateTimeFormat('en-GB', { timeZone: 'Asia/Kolkata', timeStyle: 'medium' }).format(
      Date.UTC(2026, 0, 1, hour, minute),
    )

  it('is the next 06:00 in India at any moment, doubted only between 06:00 and 07:30', () => {
    const day = 86_400_000
    const years = { min: Date.UTC(2024, 0, 1), max: Date.UTC(2034, 0, 1) }
    fc.assert(
      fc.property(fc.integer(years), (at) => {
        const { expiry } = draftAt(at)
        // 06:00 in India is 00:30 UTC, all year round.
        const sinceSix = (at - day / 48) % day
        expect(expiry.at).toBe(at - sinceSix + day)
        expect(expiry.doubtUntil).toBe(sinceSix < 90 * 60_000 ? at - sinceSix + 90 * 60_000 : undefined)
      }),
    )
    expect(morning(0, 30)).toBe('06:00:00')
  })

  it('counts from sending, not from the answer', () => {
    const sent = Date.parse('2026-11-23T00:29:59Z')
    const body = { status: 'success', data: { access_token: 'made-up' } }
    const answer = new Answer({ status: 200, headers: {}, body, receivedAt: instant(sent + 10_000) })
    const input = { app, origins, now: instant(sent), code: new Secret('rt') }
    expect(kite.login.exchange.read(answer, input).expiry.at).toBe(Date.parse('2026-11-23T00:30:00Z'))
  })
})

function open(value: unknown): string {
  return value instanceof Secret ? value.expose() : String(value)
}
