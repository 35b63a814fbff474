import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isProblem } from '../core/broker.ts'
import type { App } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import { Answer } from '../core/wire.ts'
import { type BrokerCase, describeBroker } from '../testing/describe-broker.ts'
import cases from './tastytrade.cases.json' with { type: 'json' }
import { tastytrade } from './tastytrade.ts'

const app: App = {
  id: 'tastytrade-app',
  tenantId: 'default',
  version: 1,
  brokerId: 'tastytrade',
  environment: 'live',
  credentials: {
    clientId: new Secret('tasty-client'),
    clientSecret: new Secret('canary-tasty-secret-0123456789abcd'),
  },
  fingerprint: 'made-up',
  refresh: { state: 'auto' },
}
const origins = tastytrade.environments.live
const now = instant(Date.parse('2026-11-23T04:00:00Z'))

describeBroker(tastytrade, {
  cases: cases as BrokerCase[],
  app,
  garbage: (check) => fc.assert(fc.property(fc.anything(), check)),
  describe,
  it,
  expect,
})

describe('what tastytrade is sent', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const input = { app, origins, now }
  const requests = {
    exchange: tastytrade.login.exchange.request({ ...input, code: new Secret('made-up-grant') }),
    refresh: tastytrade.refresh.request({ ...input, refreshToken: new Secret('made-up-grant') }),
    probe: tastytrade.probes[0].request({ ...input, accessToken: new Secret('made-up-token') }),
  }

  it.each(Object.entries(requests))('its User-Agent, with our version, on the %s', (_, { headers }) => {
    expect(headers['User-Agent']).toBe(`openbell/${version}`)
  })

  it('a grant as often as needed', () => {
    expect(tastytrade.login.exchange.spend).toBe('repeatable')
    expect(tastytrade.refresh.spend).toBe('repeatable')
  })

  it.each([requests.exchange, requests.refresh])('no Authorization header on a token call', (request) => {
    expect(Object.keys(request.headers).map((key) => key.toLowerCase())).not.toContain('authorization')
  })

  it.each([requests.exchange, requests.refresh])('a grant, pasted or kept, as JSON', (request) => {
    expect(request.method).toBe('POST')
    expect(request.url).toBe('https://api.tastyworks.com/oauth/token')
    expect(JSON.parse(open(request.body))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'made-up-grant',
      client_id: 'tasty-client',
      client_secret: 'canary-tasty-secret-0123456789abcd',
    })
  })

  it('the token as a bearer', () => {
    expect(requests.probe.url).toBe('https://api.tastyworks.com/customers/me/accounts')
    expect(open(requests.probe.headers.Authorization)).toBe('Bearer made-up-token')
  })
})

describe('what tastytrade refuses', () => {
  const message = (status: number, body: unknown, during: 'code' | 'refresh') => {
    const verdict = tastytrade.judge(new Answer({ status, headers: {}, body, receivedAt: now }), during)
    return isProblem(verdict) ? verdict.message : ''
  }

  it('a grant of the other environment is named among the causes when one is pasted', () => {
    const body = { error_code: 'invalid_grant', error_description: 'Invalid JWT' }
    expect(message(400, body, 'code')).toMatch(/\("Invalid JWT"\).*the other environment \(live or sandbox\)/)
  })

  it('a client of the other environment is named too', () => {
    expect(message(401, { error_code: 'invalid_client' }, 'refresh')).toContain(
      'environment (live or sandbox)',
    )
  })
})

describe('when a tastytrade token is renewed', () => {
  it('leaves room for a deadline, retries and deliveries, and is early at most by a sixth', () => {
    const { marginMs } = tastytrade.rules
    expect(marginMs).toBeGreaterThanOrEqual(60_000)
    expect(marginMs).toBeLessThanOrEqual(900_000 / 6)
  })

  it('a day of it, four accounts over, fits into what is allowed', () => {
    const { limits, marginMs } = tastytrade.rules
    const perDay = 86_400_000 / (900_000 - marginMs * 1.2)
    expect(limits.spendsPerDay).toBeGreaterThan(4 * perDay)
  })
})

function open(value: unknown): string {
  return value instanceof Secret ? value.expose() : String(value)
}
