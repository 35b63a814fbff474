import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type During, isProblem } from '../core/broker.ts'
import { isOpenbellError } from '../core/errors.ts'
import type { App } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import { Answer } from '../core/wire.ts'
import { type BrokerCase, describeBroker } from '../testing/describe-broker.ts'
import cases from './fyers.cases.json' with { type: 'json' }
import { fyers } from './fyers.ts'

const app: App = {
  id: 'fyers-app',
  tenantId: 'default',
  version: 1,
  brokerId: 'fyers',
  environment: 'live',
  credentials: {
    appId: new Secret('MADEUP-100'),
    secretKey: new Secret('canary-fyers-secret-0123456789abcd'),
    pin: new Secret('canary-fyers-pin-0123456789abcdef'),
  },
  fingerprint: 'made-up',
  redirectUri: 'http://127.0.0.1:8079/callback?from=fyers&to=here',
  refresh: { state: 'auto' },
}
const origins = fyers.environments.live
const now = instant(Date.parse('2026-11-23T04:00:00Z'))
const input = { app, origins, now }
const second = 1_000
const day = 86_400 * second

describeBroker(fyers, {
  cases: cases as BrokerCase[],
  app,
  redirect: {
    accepted: (login) =>
      redirect(login, { s: 'ok', code: '200', message: '', auth_code: 'canary-auth-code-0123456789' }),
    refused: (login) => redirect(login, { s: 'error', code: '-99', message: 'Made up.', auth_code: '' }),
    foreign: [
      'action=login&status=success&request_token=made-up',
      'action=login&status=error&state=s',
      'code=made-up&state=s',
      's=ok&code=200&auth_code=&state=s',
      's=ok&code=made-up&state=s',
    ],
  },
  garbage: (check) => fc.assert(fc.property(fc.anything(), check)),
  describe,
  it,
  expect,
})

/** As FYERS does: the state comes back as it was. */
function redirect(login: URL, own: Record<string, string>): URLSearchParams {
  return new URLSearchParams({ ...own, state: login.searchParams.get('state') ?? '' })
}

describe('what FYERS is sent', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const token = { ...input, accessToken: new Secret('made-up-token') }
  const requests = {
    exchange: fyers.login.exchange.request({ ...input, code: new Secret('made-up-code') }),
    refresh: fyers.refresh.request({ ...input, refreshToken: new Secret('made-up-refresh') }),
    revoke: fyers.revoke(token),
    profile: fyers.probes[0].request(token),
    funds: fyers.probes[1].request(token),
  }

  it.each(Object.entries(requests))('its User-Agent, with our version, on %s', (_, { headers }) => {
    expect(headers['User-Agent']).toBe(`openbell/${version}`)
  })

  it('the hash of app ID, colon and secret', () => {
    const credentials = { appId: new Secret('APP-100'), secretKey: new Secret('S') }
    const { body } = fyers.login.exchange.request({
      ...input,
      app: { ...app, credentials },
      code: new Secret('c'),
    })
    expect(JSON.parse(open(body)).appIdHash).toBe(
      '4b19532d9c093911d1cec65c565ff3073f541c1cf528af796c2768ddb89bab3c',
    )
  })

  const appIdHash = createHash('sha256').update('MADEUP-100:canary-fyers-secret-0123456789abcd').digest('hex')

  it('an auth_code once, as JSON, without the PIN', () => {
    expect(fyers.login.exchange.spend).toBe('single-use')
    expect(requests.exchange.method).toBe('POST')
    expect(requests.exchange.url).toBe('https://api-t1.fyers.in/api/v3/validate-authcode')
    expect(JSON.parse(open(requests.exchange.body))).toEqual({
      grant_type: 'authorization_code',
      appIdHash,
      code: 'made-up-code',
    })
  })

  it('a refresh token on trial, with the PIN', () => {
    expect(fyers.refresh).toMatchObject({ onTrial: true, needs: ['pin'], spend: 'repeatable' })
    expect(requests.refresh.method).toBe('POST')
    expect(requests.refresh.url).toBe('https://api-t1.fyers.in/api/v3/validate-refresh-token')
    expect(JSON.parse(open(requests.refresh.body))).toEqual({
      grant_type: 'refresh_token',
      appIdHash,
      refresh_token: 'made-up-refresh',
      pin: 'canary-fyers-pin-0123456789abcdef',
    })
  })

  it('no refresh without a PIN, not even one with an empty PIN', () => {
    const { pin: _, ...withoutPin } = app.credentials
    for (const credentials of [withoutPin, { ...withoutPin, pin: new Secret('') }]) {
      const build = () =>
        fyers.refresh.request({ ...input, app: { ...app, credentials }, refreshToken: new Secret('r') })
      expect(build).toThrow(expect.objectContaining({ code: 'invalid-field', field: 'pin' }))
    }
  })

  it.each([requests.exchange, requests.refresh])('no Authorization header on a token call', ({ headers }) => {
    expect(Object.keys(headers).map((key) => key.toLowerCase())).not.toContain('authorization')
  })

  it('app ID and token, joined by a colon, with every other call', () => {
    for (const { headers } of [requests.profile, requests.funds, requests.revoke]) {
      expect(open(headers.Authorization)).toBe('MADEUP-100:made-up-token')
    }
    expect(requests.profile.url).toBe('https://api-t1.fyers.in/api/v3/profile')
    expect(requests.funds.url).toBe('https://api-t1.fyers.in/api/v3/funds')
    expect(requests.revoke.method).toBe('POST')
    expect(requests.revoke.url).toBe('https://api-t1.fyers.in/api/v3/logout')
  })

  it('a login page with the redirect URL as registered, encoded', () => {
    expect(fyers.login.url({ app, origins, state: 'a&b' })).toBe(
      'https://api-t1.fyers.in/api/v3/generate-authcode?client_id=MADEUP-100&redirect_uri=http%3A%2F%2F127.0.0.1%3A8079%2Fcallback%3Ffrom%3Dfyers%26to%3Dhere&response_type=code&state=a%26b',
    )
  })

  it('no login page without a redirect URL', () => {
    const { redirectUri: _, ...without } = app
    expect(() => fyers.login.url({ app: without, origins, state: 's' })).toThrow(
      expect.objectContaining({ code: 'invalid-field', field: 'redirectUri' }),
    )
  })
})

describe('what a person enters for FYERS', () => {
  const matches = (field: 'appId' | 'pin', value: string) => fyers.credentials[field].pattern.test(value)

  it.each(['XXXXXXXXXX-100', 'qwerty-102', 'A1-200'])('%s is an app ID', (value) => {
    expect(matches('appId', value)).toBe(true)
  })

  it.each(['XXXXXXXXXX', '-100', 'AB-1000', 'AB-100:token', ' AB-100', 'AB-100\n'])('%j is none', (value) => {
    expect(matches('appId', value)).toBe(false)
  })

  it('a PIN has exactly four digits and may be left out', () => {
    expect(fyers.credentials.pin).toMatchObject({ optional: true, secret: true })
    const shaped = ['0000', '000', '00000', ' 000', 'abcd', '٠٠٠٠', ''].map((value) => matches('pin', value))
    expect(shaped).toEqual([true, false, false, false, false, false, false])
  })
})

describe('what came back with the browser from FYERS', () => {
  it('is auth_code, never the number called code', () => {
    const found = fyers.login.callback(new URLSearchParams('s=ok&code=200&auth_code=made-up&state=s'))
    expect(found.kind === 'code' && found.code.expose()).toBe('made-up')
  })

  it('a refusal wins over an auth_code', () => {
    expect(fyers.login.callback(new URLSearchParams('s=error&auth_code=made-up')).kind).toBe('refused')
  })

  it('a refusal says in clean words why', () => {
    const query = new URLSearchParams({
      s: 'error',
      message: 'invalid client, PIN 1234 at http://evil.example',
    })
    const found = fyers.login.callback(query)
    expect(found.kind === 'refused' && found.problem.message).toContain('("invalid client, PIN … at …")')
  })
})

describe('what FYERS refuses', () => {
  const said = (during: During, code: number, message: string, status = 400) => {
    const body = { s: 'error', code, message }
    const verdict = fyers.judge(new Answer({ status, headers: {}, body, receivedAt: now }), during)
    if (!isProblem(verdict)) throw new Error(`no problem but ${verdict}`)
    return verdict
  }

  it.each([-50, -1049])(
    'a wrong PIN (%i) is a setting to mend, and is never called an end of anything',
    (code) => {
      const { remedy, message } = said('refresh', code, 'invalid pin')
      expect(remedy).toBe('fix-settings')
      expect(message).toMatch(/does not accept the PIN \("invalid pin"\)/)
      expect(message).not.toMatch(/expire|ended|any more|too old/i)
    },
  )

  it('a refresh that is refused is never sent again by itself, whatever the code', () => {
    const waits = [-429, -353, -96, -201, -202, -204, -205]
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(200, 400, 401, 404, 422), (code, status) => {
        fc.pre(!waits.includes(code))
        expect(['login', 'fix-settings']).toContain(said('refresh', code, 'made up', status).remedy)
      }),
    )
  })

  it('words decide nothing', () => {
    const words = ['invalid pin', 'Token is Invalid or Expired', 'rate limit exceeded', 'permission', '']
    const codes = new Set((cases as BrokerCase[]).map(({ answer }) => codeOf(answer?.body)))
    for (const during of ['code', 'refresh', 'probe', 'revoke', 'read'] as const) {
      for (const code of codes) {
        const verdicts = words.map((message) => {
          const body = { s: 'error', code, message }
          const verdict = fyers.judge(new Answer({ status: 400, headers: {}, body, receivedAt: now }), during)
          return isProblem(verdict) ? verdict.code : verdict
        })
        expect(new Set(verdicts).size, `${code} during ${during}`).toBe(1)
      }
    }
  })
})

function codeOf(body: unknown): unknown {
  return typeof body === 'object' && body !== null && 'code' in body ? body.code : undefined
}

describe('the end of a FYERS token', () => {
  const years = { min: Date.UTC(2024, 0, 1), max: Date.UTC(2034, 0, 1) }
  const draftAt = (at: number, accessToken: string, refreshToken?: string) => {
    const body = { s: 'ok', code: 200, access_token: accessToken, refresh_token: refreshToken }
    // It is counted from sending, not from the answer.
    const answer = new Answer({ status: 200, headers: {}, body, receivedAt: instant(at + 30 * second) })
    return fyers.login.exchange.read(answer, { app, origins, now: instant(at), code: new Secret('c') })
  }
  /** 06:00 in India is 00:30 UTC, all year round. */
  const nextSix = (at: number) => at - ((at - day / 48) % day) + day

  it('is the next 06:00 in India at any moment, when the token does not say', () => {
    fc.assert(
      fc.property(fc.integer(years), (at) => {
        expect(draftAt(at, 'opaque').expiry).toEqual({ at: nextSix(at), source: 'broker-rule' })
      }),
    )
  })

  it('is what the token says, when that is ahead and at most three days', () => {
    const away = fc.oneof(
      fc.integer({ min: -5 * 86_400, max: 5 * 86_400 }),
      fc.constantFrom(0, 1, 259_200, 259_201),
    )
    fc.assert(
      fc.property(fc.integer(years), away, (at, seconds) => {
        const sent = at - (at % second)
        const claimed = sent + seconds * second
        const believed = seconds > 0 && seconds <= 3 * 86_400
        expect(draftAt(sent, jwt({ exp: claimed / second })).expiry).toEqual(
          believed ? { at: claimed, source: 'jwt' } : { at: nextSix(sent), source: 'broker-rule' },
        )
      }),
    )
  })

  it('of a refresh token is its own, or 15 days that end at 06:00', () => {
    // From a published sample: made at 10:58 on 18 February in India, ends at 06:00 on 5 March.
    const made = Date.parse('2026-02-18T05:28:00Z')
    const end = Date.parse('2026-03-05T00:30:00Z')
    const expiry = (refresh: string) => draftAt(made, 'opaque', refresh).refresh?.expiry
    expect(expiry('opaque')).toEqual({ at: end, source: 'broker-rule' })
    expect(expiry(jwt({ exp: end / second }))).toEqual({ at: end, source: 'jwt' })
    expect(expiry(jwt({ exp: (end + 30 * day) / second }))).toEqual({ at: end, source: 'broker-rule' })
  })

  it('of a refresh token is at 06:00 and never more than 15 days away, at any moment', () => {
    fc.assert(
      fc.property(fc.integer(years), (at) => {
        const end = draftAt(at, 'opaque', 'opaque').refresh?.expiry?.at ?? 0
        expect(end % day).toBe(day / 48)
        expect(end - at).toBeGreaterThan(14 * day)
        expect(end - at).toBeLessThanOrEqual(15 * day)
      }),
    )
  })

  it('lies ahead whatever the token is, and reading it never throws', () => {
    const tokens = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.string({ minLength: 1, unit: 'binary' }),
      fc.anything().map((exp) => jwt({ exp })),
      fc.double().map((exp) => jwt(`{"exp":${exp}}`)),
      fc.json().map(jwt),
      fc.tuple(fc.string(), fc.string(), fc.string()).map((parts) => parts.join('.')),
    )
    fc.assert(
      fc.property(tokens, tokens, fc.integer(years), (accessToken, refreshToken, at) => {
        const { expiry, refresh, brokerUserId = 'none' } = draftAt(at, accessToken, refreshToken)
        for (const { at: end } of [expiry, refresh?.expiry ?? expiry]) {
          expect(Number.isSafeInteger(end)).toBe(true)
          expect(end).toBeGreaterThan(at)
        }
        expect(typeof brokerUserId).toBe('string')
      }),
    )
  })
})

describe('a bare token for FYERS', () => {
  const adopt = (accessToken: string) => fyers.adopt({ accessToken: new Secret(accessToken), now })
  const end = Date.parse('2026-11-24T00:30:00Z')

  it('is dated by itself, and its own word for whose it is counts for nothing', () => {
    const token = jwt({ sub: 'access_token', fy_id: 'MU0001', exp: end / second })
    const { accessToken, ...rest } = adopt(token)
    expect(accessToken.expose()).toBe(token)
    expect(rest).toEqual({ slot: 'trading', scopes: [], expiry: { at: end, source: 'jwt' } })
  })

  it('goes into the slot that the person says', () => {
    const accessToken = new Secret(jwt({ exp: end / second }))
    expect(fyers.adopt({ accessToken, now, slot: 'read' }).slot).toBe('read')
  })

  it('is dated by rule when it names no end, or one too far away', () => {
    for (const token of [jwt({ sub: 'access_token' }), jwt({ exp: end / second + 400 * 86_400 })]) {
      expect(adopt(token).expiry).toEqual({ at: end, source: 'broker-rule' })
    }
  })

  it.each([
    ['that is opaque', 'made-up-token'],
    ['that is empty', ''],
    ['with its app ID in front', `MADEUP-100:${jwt('"x"')}`],
    ['of two parts', 'made.up'],
    ['of four parts', `${jwt({ exp: end / second })}.more`],
    ['whose claims are a list', jwt('[]')],
    ['whose claims are null', jwt('null')],
    ['that is an auth_code', jwt({ sub: 'auth_code', exp: end / second })],
    ['that ended a moment ago', jwt({ exp: now / second })],
  ])('%s is refused', (_, token) => {
    expect(() => adopt(token)).toThrow(
      expect.objectContaining({ code: 'invalid-field', field: 'accessToken' }),
    )
  })

  it('is dated or refused, whatever it is, and never shown', () => {
    const tokens = fc.oneof(
      fc.string(),
      fc.json().map(jwt),
      fc.anything().map((exp) => jwt({ exp })),
    )
    fc.assert(
      fc.property(tokens, (token) => {
        const value = `${token}canary-7f3a`
        try {
          expect(adopt(value).expiry.at).toBeGreaterThan(now)
        } catch (error) {
          expect(isOpenbellError(error) && error.code).toBe('invalid-field')
          expect(String(error)).not.toContain('canary-7f3a')
        }
      }),
    )
  })
})

function jwt(claims: unknown): string {
  const text = typeof claims === 'string' ? claims : (JSON.stringify(claims) ?? 'null')
  return `made-up.${Buffer.from(text).toString('base64url')}.made-up`
}

function open(value: unknown): string {
  return value instanceof Secret ? value.expose() : String(value)
}
