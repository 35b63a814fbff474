import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isProblem } from '../core/broker.ts'
import { isOpenbellError } from '../core/errors.ts'
import type { App, Slot } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import { Answer } from '../core/wire.ts'
import { type BrokerCase, describeBroker } from '../testing/describe-broker.ts'
import cases from './upstox.cases.json' with { type: 'json' }
import { upstox } from './upstox.ts'

const app: App = {
  id: 'upstox-app',
  tenantId: 'default',
  version: 1,
  brokerId: 'upstox',
  environment: 'live',
  credentials: {
    apiKey: new Secret('upstox-key'),
    apiSecret: new Secret('canary-upstox-secret-0123456789ab'),
  },
  fingerprint: 'made-up',
  redirectUri: 'http://127.0.0.1:8079/callback',
  refresh: { state: 'auto' },
}
const origins = upstox.environments.live
const now = at('2026-11-23T04:00:00Z')
const input = { app, origins, now }

const second = 1_000
const minute = 60 * second
const day = 24 * 60 * minute
/** 03:30 in India is 22:00 UTC of the day before, all year round. */
const nextEnd = (after: number) => after - ((after + 2 * 60 * minute) % day) + day
const anyMoment = fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2034, 0, 1) })

describeBroker(upstox, {
  cases: cases as BrokerCase[],
  app,
  redirect: {
    accepted: (login) => redirected(login, { code: 'canary-code-0123456789' }),
    refused: (login) => redirected(login, { error: 'access_denied' }),
    foreign: [
      's=ok&code=200&message=&auth_code=made-up&state=s',
      'request_token=made-up&action=login&status=success&state=s',
      'code=&state=s',
    ],
  },
  garbage: (check) => fc.assert(fc.property(fc.anything(), check)),
  describe,
  it,
  expect,
})

function redirected(login: URL, own: Record<string, string>): URLSearchParams {
  return new URLSearchParams({ ...own, state: login.searchParams.get('state') ?? '' })
}

describe('what Upstox is sent', () => {
  const accessToken = new Secret('made-up-token')
  const code = new Secret('made-up-code')
  const refreshToken = new Secret('made-up-refresh')

  it('a code once, and a refresh token once', () => {
    expect(upstox.login.exchange.spend).toBe('single-use')
    expect(upstox.refresh.spend).toBe('single-use')
  })

  it('a login page with key, redirect URI and state', () => {
    expect(upstox.login.url({ app, origins, state: 'a&b' })).toBe(
      'https://api.upstox.com/v2/login/authorization/dialog?response_type=code&client_id=upstox-key&redirect_uri=http%3A%2F%2F127.0.0.1%3A8079%2Fcallback&state=a%26b',
    )
  })

  it.each([
    [
      'a code',
      upstox.login.exchange.request({ ...input, code }),
      { code: 'made-up-code', grant_type: 'authorization_code' },
    ],
    [
      'a refresh token',
      upstox.refresh.request({ ...input, refreshToken }),
      { refresh_token: 'made-up-refresh', grant_type: 'refresh_token' },
    ],
  ])('%s as a form, and no token in a header', (_, request, own) => {
    const { method, url, headers, body } = request
    expect({ method, url, headers }).toEqual({
      method: 'POST',
      url: 'https://api.upstox.com/v2/login/authorization/token',
      headers: { Accept: 'application/json', 'Content-Type': 'application/x-www-form-urlencoded' },
    })
    expect(Object.fromEntries(new URLSearchParams(open(body)))).toEqual({
      ...own,
      client_id: 'upstox-key',
      client_secret: 'canary-upstox-secret-0123456789ab',
      redirect_uri: 'http://127.0.0.1:8079/callback',
    })
  })

  it('nothing while the app has no redirect URI', () => {
    const { redirectUri: _, ...bare } = app
    for (const send of [
      () => upstox.login.url({ app: bare, origins, state: 's' }),
      () => upstox.login.exchange.request({ ...input, app: bare, code }),
    ]) {
      expect(refusal(send)).toBe('invalid-field redirectUri')
    }
  })

  it('the secret alone as JSON, with the key in the path, to have the person asked', () => {
    const credentials = { ...app.credentials, apiKey: new Secret('a/b?c') }
    const { method, url, headers, body } = upstox.push.request({ ...input, app: { ...app, credentials } })
    expect({ method, url, headers }).toEqual({
      method: 'POST',
      url: 'https://api.upstox.com/v3/login/auth/token/request/a%2Fb%3Fc',
      headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
    })
    expect(body).toBeInstanceOf(Secret)
    expect(JSON.parse(open(body))).toEqual({ client_secret: 'canary-upstox-secret-0123456789ab' })
  })

  it.each([
    ['GET', 'https://api.upstox.com/v2/user/profile', upstox.probes[0].request({ ...input, accessToken })],
    ['DELETE', 'https://api.upstox.com/v2/logout', upstox.revoke({ ...input, accessToken })],
  ])('the token as a bearer with %s %s', (method, url, request) => {
    expect({ method: request.method, url: request.url }).toEqual({ method, url })
    expect(open(request.headers.Authorization)).toBe('Bearer made-up-token')
  })
})

describe('the end of an Upstox token', () => {
  const draftAt = (sentAt: number, accessToken = 'made-up') => {
    const body = { access_token: accessToken }
    const answer = new Answer({ status: 200, headers: {}, body, receivedAt: instant(sentAt + 9 * second) })
    return upstox.login.exchange.read(answer, { ...input, now: instant(sentAt) })
  }

  it('is the next 03:30 in India, strictly after it was asked for', () => {
    const clock = new Intl.DateTimeFormat('en-GB', { timeZone: 'Asia/Kolkata', timeStyle: 'medium' })
    fc.assert(
      fc.property(anyMoment, (sentAt) => {
        const { expiry } = draftAt(sentAt)
        expect(expiry).toEqual({ at: nextEnd(sentAt), source: 'broker-rule' })
        expect(expiry.at - sentAt).toBeGreaterThan(0)
        expect(expiry.at - sentAt).toBeLessThanOrEqual(day)
        expect(clock.format(expiry.at)).toBe('03:30:00')
      }),
    )
  })

  it.each([
    ['02:30 on Wednesday', '2026-11-24T21:00:00Z', '2026-11-24T22:00:00Z'],
    ['20:00 on Tuesday', '2026-11-24T14:30:00Z', '2026-11-24T22:00:00Z'],
  ])('asked for at %s, is 03:30 on Wednesday', (_, asked, ends) => {
    expect(draftAt(at(asked)).expiry.at).toBe(at(ends))
  })

  it('is what the token claims only where the rule allows it, whatever it claims', () => {
    const nearBy = fc.integer({ min: -2 * day, max: 400 * day })
    fc.assert(
      fc.property(anyMoment, nearBy, (sentAt, away) => {
        const claimed = Math.floor((sentAt + away) / second) * second
        const { expiry } = draftAt(sentAt, jwt({ exp: claimed / second }))
        // An answer may take ten minutes, and be of the new day.
        const believed = claimed > sentAt && claimed <= nextEnd(sentAt + 10 * minute)
        expect(expiry).toEqual(
          believed ? { at: claimed, source: 'jwt' } : { at: nextEnd(sentAt), source: 'broker-rule' },
        )
      }),
    )
  })

  it('is the time of day from which a person is asked, so that no token is asked for in vain', () => {
    expect(upstox.rules.mintFrom.time).toBe('03:30')
    const { expiry } = draftAt(at('2026-11-24T22:00:00Z'))
    expect(expiry.at - at('2026-11-24T22:00:00Z')).toBe(day)
  })
})

describe('the extended token of a login', () => {
  const also = (body: object) => {
    const answer = new Answer({ status: 200, headers: {}, body, receivedAt: now })
    return upstox.login.exchange.read(answer, input).also
  }

  it('goes into the slot read, is the same user’s, and lives a year by rule', () => {
    const [draft, ...more] =
      also({ access_token: 'a', extended_token: 'canary-extended', user_id: 'MU0001' }) ?? []
    expect(more).toEqual([])
    expect(open(draft?.accessToken)).toBe('canary-extended')
    expect({ ...draft, accessToken: undefined }).toEqual({
      slot: 'read',
      accessToken: undefined,
      scopes: [],
      expiry: { at: at('2027-11-23T04:00:00Z'), source: 'broker-rule' },
      brokerUserId: 'MU0001',
    })
    expect(JSON.stringify(draft)).not.toContain('canary-extended')
  })

  it('lives as long as it says, since it may be older than the login', () => {
    const exp = at('2027-01-02T22:00:00Z') / second
    expect(also({ access_token: 'a', extended_token: jwt({ exp }) })?.[0]?.expiry).toEqual({
      at: at('2027-01-02T22:00:00Z'),
      source: 'jwt',
    })
  })

  it('is left out when it says that it has ended', () => {
    const exp = at('2026-11-23T04:00:00Z') / second
    expect(also({ access_token: 'a', extended_token: jwt({ exp }) })).toBeUndefined()
    expect(also({ access_token: 'a', extended_token: jwt({ exp: exp + 1 }) })).toHaveLength(1)
  })

  it.each([undefined, '', null, 7])('is not made up out of %j', (extended_token) => {
    expect(also({ access_token: 'a', extended_token })).toBeUndefined()
  })
})

describe('a token that arrives bare', () => {
  const adopt = (token: string, slot?: Slot) =>
    upstox.adopt({ accessToken: new Secret(token), now, ...(slot && { slot }) })
  const ending = (iso: string) => jwt({ exp: at(iso) / second })

  it('is a trading token until the next 03:30', () => {
    expect(adopt('made-up')).toEqual({
      slot: 'trading',
      accessToken: new Secret('made-up'),
      scopes: [],
      expiry: { at: at('2026-11-23T22:00:00Z'), source: 'broker-rule' },
    })
    expect(adopt(ending('2026-11-23T22:00:00Z'), 'trading').expiry.source).toBe('jwt')
  })

  it.each(['read', 'market-data'] as const)('in the slot %s, lives a year, or as long as it says', (slot) => {
    expect(adopt('made-up', slot)).toMatchObject({
      slot,
      expiry: { at: at('2027-11-23T04:00:00Z'), source: 'broker-rule' },
    })
    expect(adopt(ending('2027-05-01T00:00:00Z'), slot).expiry).toEqual({
      at: at('2027-05-01T00:00:00Z'),
      source: 'jwt',
    })
    // Somebody's trading token, used to read.
    expect(adopt(ending('2026-11-23T22:00:00Z'), slot).expiry.at).toBe(at('2026-11-23T22:00:00Z'))
    expect(adopt(ending('2029-01-01T00:00:00Z'), slot).expiry.source).toBe('broker-rule')
  })

  it('is refused when it cannot be one that trades, has ended, or is no token at all', () => {
    const readOnly = ending('2027-05-01T00:00:00Z')
    const ended = ending('2026-11-23T04:00:00Z')
    for (const token of [readOnly, ended, '', 'two words', 'line\nline', 'ü', 'x'.repeat(8_193)]) {
      expect(
        refusal(() => adopt(token)),
        token.slice(0, 20),
      ).toBe('invalid-field accessToken')
    }
    expect(refusal(() => adopt(ended, 'read'))).toBe('invalid-field accessToken')
  })
})

describe('a delivery to the Upstox webhook', () => {
  const issued = at('2026-11-23T03:00:00Z')
  const genuine = {
    client_id: 'upstox-key',
    user_id: 'MU0001',
    access_token: 'canary-pushed-token',
    token_type: 'Bearer',
    expires_at: String(at('2026-11-23T22:00:00Z')),
    issued_at: String(issued),
    message_type: 'access_token',
  }
  const receive = (body: unknown, then: number = now) =>
    upstox.push.receive(body, { ...input, now: instant(then) })

  it('is a draft for the slot trading, with the end that Upstox declares', () => {
    const delivery = receive(genuine)
    if (delivery.kind !== 'token') throw new Error(delivery.message)
    expect(open(delivery.draft.accessToken)).toBe('canary-pushed-token')
    expect({ ...delivery, draft: { ...delivery.draft, accessToken: undefined } }).toEqual({
      kind: 'token',
      issuedAt: issued,
      draft: {
        slot: 'trading',
        accessToken: undefined,
        scopes: [],
        expiry: { at: at('2026-11-23T22:00:00Z'), source: 'declared' },
        brokerUserId: 'MU0001',
      },
    })
    expect(JSON.stringify(delivery)).not.toContain('canary-pushed-token')
  })

  it('may give its times as numbers', () => {
    const numbers = { expires_at: at('2026-11-23T22:00:00Z'), issued_at: issued }
    expect(receive({ ...genuine, ...numbers }).kind).toBe('token')
  })

  it.each([
    ['of another kind', { message_type: 'order_update' }, 'is no access token'],
    ['for another app', { client_id: 'upstox-keys' }, 'is for another app'],
    ['for no app', { client_id: undefined }, 'is for another app'],
    ['without a user', { user_id: '' }, 'names no user'],
    ['with a user that is a sentence', { user_id: 'MU0001 is not yours' }, 'names no user'],
    ['with a user as long as a page', { user_id: 'x'.repeat(65) }, 'names no user'],
    ['without a token', { access_token: undefined }, 'holds no token'],
    ['with a token that breaks a header', { access_token: 'a\r\nX: y' }, 'holds no token'],
    ['with a token far too long', { access_token: 'x'.repeat(8_193) }, 'holds no token'],
    ['without an end', { expires_at: undefined }, 'does not end at 03:30'],
    ['without a beginning', { issued_at: undefined }, 'does not end at 03:30'],
    ['with times in seconds', { issued_at: '1763870400', expires_at: '1763935200' }, 'does not end at 03:30'],
    [
      'that ends a second late',
      { expires_at: String(at('2026-11-23T22:00:01Z')) },
      'does not end at 03:30 after',
    ],
    [
      'that ends a day late',
      { expires_at: String(at('2026-11-24T22:00:00Z')) },
      'does not end at 03:30 after',
    ],
    ['issued two minutes from now', { issued_at: String(now + 2 * minute) }, 'in the future'],
  ])('%s is nobody’s', (_, changed, why) => {
    const delivery = receive({ ...genuine, ...changed })
    expect(delivery.kind).toBe('foreign')
    expect(delivery.kind === 'foreign' && delivery.message).toContain(why)
  })

  it('is checked in order: what is no token is not compared with the app', () => {
    const all = { message_type: 'x', client_id: 'x', user_id: '', access_token: '', expires_at: '' }
    const said: string[] = []
    for (const key of Object.keys(all)) {
      const delivery = receive({ ...genuine, ...all })
      said.push(delivery.kind === 'foreign' ? delivery.message : 'taken')
      Object.assign(all, { [key]: genuine[key as keyof typeof genuine] })
    }
    expect(said.map((message) => message.replace(/^.*webhook (.*); nothing.*$/, '$1'))).toEqual([
      'is no access token',
      'is for another app',
      'names no user',
      'holds no token',
      'does not end at 03:30 after it was issued',
    ])
    expect(receive({ ...genuine, ...all }).kind).toBe('token')
  })

  it('is taken from a clock a minute ahead, and no more', () => {
    const early = { ...genuine, issued_at: String(now + minute) }
    expect(receive(early).kind).toBe('token')
    expect(receive(early, now - 1).kind).toBe('foreign')
  })

  it('is taken while its token lives, and not a moment longer', () => {
    const end = at('2026-11-23T22:00:00Z')
    expect(receive(genuine, end - 1).kind).toBe('token')
    expect(receive(genuine, end)).toEqual({
      kind: 'foreign',
      message: 'A delivery to the Upstox webhook is too old; nothing was changed.',
    })
  })

  it('ends at the next 03:30 after any moment, or is nobody’s', () => {
    const off = fc.oneof(fc.constant(0), fc.integer({ min: -3 * day, max: 3 * day }))
    fc.assert(
      fc.property(anyMoment, off, off, (issuedAt, endsOff, waited) => {
        const body = {
          ...genuine,
          issued_at: String(issuedAt),
          expires_at: String(nextEnd(issuedAt) + endsOff),
        }
        const then = issuedAt + waited
        const taken = endsOff === 0 && waited >= -minute && then < nextEnd(issuedAt)
        expect(receive(body, then).kind).toBe(taken ? 'token' : 'foreign')
      }),
    )
  })

  it('of garbage yields no token, never throws, and repeats nothing of it', () => {
    const check = (body: unknown) => {
      const delivery = receive(body)
      expect(delivery.kind).toBe('foreign')
      expect(JSON.stringify(delivery)).toMatch(
        /^\{"kind":"foreign","message":"A delivery [\x20-\x7e]{10,90}"\}$/,
      )
    }
    fc.assert(fc.property(fc.anything(), check))
    fc.assert(fc.property(fc.jsonValue(), check))
    fc.assert(fc.property(fc.constantFrom(...Object.keys(genuine)), fc.anything(), spoilt(check)))
  })

  /** A genuine delivery with one field replaced. `token_type` is not looked at, so replacing it proves nothing. */
  function spoilt(check: (body: unknown) => void) {
    return (key: string, value: unknown) => {
      fc.pre(key !== 'token_type')
      // A word for a user or a token is as good as another.
      fc.pre(!(['user_id', 'access_token'].includes(key) && typeof value === 'string'))
      check({ ...genuine, [key]: value })
    }
  }

  it('is nobody’s while the app has no key', () => {
    const bare = { ...app, credentials: {} }
    expect(upstox.push.receive(genuine, { ...input, app: bare }).kind).toBe('foreign')
    expect(upstox.push.receive({ ...genuine, client_id: '' }, { ...input, app: bare }).kind).toBe('foreign')
  })
})

describe('asking Upstox to ask the person', () => {
  const answer = (authorization_expiry: unknown) =>
    new Answer({
      status: 200,
      headers: {},
      body: { status: 'success', data: { authorization_expiry } },
      receivedAt: now,
    })

  it('says until when they may approve', () => {
    const end = at('2026-11-23T22:00:00Z')
    expect(upstox.push.read(answer(String(end)))).toEqual({ expiresAt: end })
  })

  it('throws rather than making a time up', () => {
    for (const value of [undefined, null, '', 'soon', '1763935200', -1, 1e300, {}, ['1763935200000']]) {
      expect(() => upstox.push.read(answer(value))).toThrow('data.authorization_expiry')
      expect(upstox.judge(answer(value), 'push')).toBe('unclear')
    }
  })

  it('is not proven by anything, nor by an answer to another call', () => {
    fc.assert(
      fc.property(fc.anything(), fc.constantFrom(200, 400, 401, 403, 423), (body, status) => {
        const made = new Answer({ status, headers: {}, body, receivedAt: now })
        expect(upstox.judge(made, 'push')).not.toBe('ok')
      }),
    )
    for (const body of [{ access_token: 'a' }, { status: 'success', data: { user_id: 'MU0001' } }]) {
      const made = new Answer({ status: 200, headers: {}, body, receivedAt: now })
      expect(upstox.judge(made, 'push')).toBe('unclear')
    }
  })
})

describe('what Upstox refuses', () => {
  const verdict = (status: number, error: object, during: 'code' | 'read' | 'refresh', receivedAt = now) => {
    const body = { status: 'error', errors: [error] }
    return upstox.judge(new Answer({ status, headers: {}, body, receivedAt }), during)
  }
  const message = (...args: Parameters<typeof verdict>) => {
    const found = verdict(...args)
    return isProblem(found) ? found.message : String(found)
  }

  it('a login: all causes are named, in its own words too', () => {
    const error = { error_code: 'UDAPI100057', message: 'Invalid Auth code' }
    expect(message(400, error, 'code')).toMatch(
      /\("Invalid Auth code"\).*used before or is older.*redirect URI/,
    )
  })

  it('a refresh: a person is needed, and the reason is that no such thing is documented', () => {
    expect(message(400, { error_code: 'UDAPI1023' }, 'refresh')).toContain('documents no renewal')
  })

  it('is told by the code alone, whatever the text says', () => {
    const known = [...new Set(cases.flatMap(({ answer }) => codesIn(answer)))]
    expect(known.length).toBeGreaterThan(20)
    fc.assert(
      fc.property(fc.constantFrom(...known), fc.string(), (error_code, words) => {
        const bare = verdict(400, { error_code }, 'code')
        const talking = verdict(400, { error_code, message: words }, 'code')
        const essence = (found: typeof bare) => (isProblem(found) ? { ...found, message: '' } : found)
        expect(essence(talking)).toEqual(essence(bare))
      }),
    )
  })

  it('at night: nothing is tried before 05:30, by day it is not put off to the next morning', () => {
    fc.assert(
      fc.property(anyMoment, fc.constantFrom('UDAPI100072', 'UDAPI100074'), (receivedAt, error_code) => {
        const found = verdict(423, { error_code }, 'read', instant(receivedAt))
        // Midnight in India is 18:30 UTC.
        const sinceMidnight = (receivedAt + 5.5 * 60 * minute) % day
        const opens = receivedAt - sinceMidnight + 5.5 * 60 * minute
        expect(isProblem(found) && found.until).toBe(sinceMidnight < 5.5 * 60 * minute ? opens : undefined)
      }),
    )
  })
})

function codesIn(answer: unknown): string[] {
  return JSON.stringify(answer ?? {}).match(/UDAPI\d+/g) ?? []
}

/** Not signed, and with a header that is none: only the claims are ever read. */
function jwt(claims: object): string {
  return `made-up.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.made-up`
}

function at(iso: string) {
  return instant(Date.parse(iso))
}

function open(value: unknown): string {
  return value instanceof Secret ? value.expose() : String(value)
}

function refusal(action: () => unknown): string {
  try {
    action()
    return 'taken'
  } catch (error) {
    return isOpenbellError(error) ? `${error.code} ${error.field}` : String(error)
  }
}
