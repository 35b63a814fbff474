import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { createClock } from './clock.ts'
import { startUpstox, type UpstoxOptions, type UpstoxSimulator } from './upstox.ts'

const india = (text: string) => Date.parse(`${text}+05:30`)
const clock = createClock({ source: () => 0 })
let upstox: UpstoxSimulator

async function start(options: UpstoxOptions = {}, at = '2026-11-23T08:30:00') {
  clock.set(india(at))
  upstox = await startUpstox(clock, options)
}

afterEach(() => upstox.close())

const form = (path: string, fields: Record<string, string>) =>
  fetch(upstox.basePath + path, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams(fields),
  })

const outcome = async (asked: Promise<Response>) => {
  const response = await asked
  const body = (await response.json()) as { errors?: { error_code: string }[] }
  return [response.status, body.errors?.[0]?.error_code]
}

async function login(user = 'SU0001', state = 'st&ate'): Promise<URLSearchParams> {
  const answer = await form('/v2/login/authorization/dialog', {
    client_id: upstox.clientId,
    redirect_uri: upstox.redirectUri,
    state,
    user,
  })
  expect(answer.status).toBe(302)
  return new URL(answer.headers.get('location') ?? '').searchParams
}

const codeOf = async () => (await login()).get('code') ?? ''

const exchange = (code: string, changed: Record<string, string> = {}) =>
  form('/v2/login/authorization/token', {
    code,
    client_id: upstox.clientId,
    client_secret: upstox.clientSecret,
    redirect_uri: upstox.redirectUri,
    grant_type: 'authorization_code',
    ...changed,
  })

interface Exchanged {
  access_token: string
  extended_token: string
  refresh_token?: string
}

async function session(changed: Record<string, string> = {}): Promise<Exchanged> {
  return (await (await exchange(await codeOf(), changed)).json()) as Exchanged
}

const read = (path: string, token: string, method = 'GET') =>
  fetch(upstox.basePath + path, { method, headers: { authorization: `Bearer ${token}` } })

const isLive = async (token: string) => (await read('/v2/user/profile', token)).status === 200

const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())

const LTP = `/v3/market-quote/ltp?instrument_key=${encodeURIComponent('NSE_EQ|INE062A01020')}`

describe('the login', () => {
  it('shows what it is, and one button per user', async () => {
    await start()
    const address = new URL(upstox.login)
    address.search = new URLSearchParams({
      client_id: upstox.clientId,
      redirect_uri: upstox.redirectUri,
      response_type: 'code',
    }).toString()
    const html = await (await fetch(address)).text()
    expect(html).toContain('This is a simulator.')
    expect(html.match(/<button /g)).toHaveLength(2)
    address.searchParams.set('redirect_uri', 'http://127.0.0.1:1/elsewhere')
    expect(await outcome(fetch(address))).toEqual([400, 'UDAPI100068'])
    address.searchParams.delete('redirect_uri')
    expect(await outcome(fetch(address))).toEqual([400, 'UDAPI1018'])
  })

  it('returns with a short code and the state', async () => {
    await start()
    expect(Object.fromEntries(await login())).toEqual({
      code: expect.stringMatching(/^\w{6}$/),
      state: 'st&ate',
    })
  })
})

describe('the exchange', () => {
  it('answers flat, with a JWT that ends at 03:30 in India', async () => {
    await start({}, '2026-11-23T20:00:00')
    const body = await session()
    expect(body).toMatchObject({ user_id: 'SU0001', broker: 'UPSTOX', extended_token: expect.any(String) })
    expect(body).not.toHaveProperty('refresh_token')
    expect(body).not.toHaveProperty('status')
    expect(claimsOf(body.access_token)).toMatchObject({
      sub: 'SU0001',
      iss: 'udapi-gateway-service',
      exp: india('2026-11-24T03:30:00') / 1000,
    })
  })

  it('at 02:30 gives a token that dies an hour later', async () => {
    await start({}, '2026-11-25T02:30:00')
    const { access_token } = await session()
    clock.set(india('2026-11-25T03:29:59'))
    expect(await isLive(access_token)).toBe(true)
    clock.set(india('2026-11-25T03:30:00'))
    expect(await isLive(access_token)).toBe(false)
  })

  it.each([
    [{ client_id: '' }, [400, 'UDAPI1017']],
    [{ client_secret: '' }, [400, 'UDAPI1024']],
    [{ client_secret: 'canary-upstox-secret' }, [401, 'UDAPI100069']],
    [{ redirect_uri: '' }, [400, 'UDAPI1018']],
    [{ redirect_uri: 'http://127.0.0.1:1/elsewhere' }, [401, 'UDAPI100057']],
    [{ grant_type: 'refresh_token', refresh_token: 'canary-refresh' }, [400, 'UDAPI1023']],
  ])('spends the code also when it refuses %o', async (changed, refusal) => {
    await start()
    const code = await codeOf()
    expect(await outcome(exchange(code, changed))).toEqual(refusal)
    expect(await outcome(exchange(code))).toEqual([401, 'UDAPI100057'])
  })

  it('takes a code once and for two minutes', async () => {
    await start()
    const code = await codeOf()
    expect((await exchange(code)).status).toBe(200)
    expect(await outcome(exchange(code))).toEqual([401, 'UDAPI100057'])
    expect(await outcome(exchange(''))).toEqual([400, 'UDAPI1022'])
    const late = await codeOf()
    clock.advance(120_000)
    expect(await outcome(exchange(late))).toEqual([401, 'UDAPI100057'])
  })

  it('hands out a token that looks valid and is dead, under that fault', async () => {
    await start()
    upstox.faults.set({ kind: 'expired-token', path: '/v2/login/authorization/token', times: 1 })
    const { access_token } = await session()
    expect(claimsOf(access_token).exp * 1000).toBeGreaterThan(clock.now())
    expect(await isLive(access_token)).toBe(false)
  })
})

describe('refresh', () => {
  it('does not exist now, not even for the token of an earlier time', async () => {
    await start()
    const asked = exchange('', { grant_type: 'refresh_token', refresh_token: upstox.refreshToken })
    expect(await outcome(asked)).toEqual([400, 'UDAPI1023'])
  })

  it('works in the time of the guides, until revoked', async () => {
    await start({ era: 'guides', refreshToken: 'canary-refresh' })
    const { refresh_token = '' } = await session()
    const renew = (refreshToken: string) =>
      exchange('', { grant_type: 'refresh_token', refresh_token: refreshToken })
    for (const token of [refresh_token, 'canary-refresh', 'canary-refresh']) {
      const body = (await (await renew(token)).json()) as Exchanged
      expect(await isLive(body.access_token)).toBe(true)
    }
    upstox.revoke()
    expect(await outcome(renew(refresh_token))).toEqual([401, 'UDAPI100050'])
  })
})

describe('an access-token request', () => {
  async function notifier() {
    const received: Record<string, string>[] = []
    const server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request) text += chunk
      received.push(JSON.parse(text))
      response.end()
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    onTestFinished(() => void server.close())
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, received }
  }

  const ask = (clientSecret = upstox.clientSecret, clientId = upstox.clientId) =>
    fetch(`${upstox.basePath}/v3/login/auth/token/request/${clientId}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_secret: clientSecret }),
    })

  const openRequest = async () => {
    const html = await (await fetch(upstox.approvals)).text()
    return /name="request" value="([^"]+)"/.exec(html)?.[1] ?? ''
  }

  it('is approved on its page, and the token is posted to the notifier', async () => {
    const { url, received } = await notifier()
    await start({ apps: [{ notifierUrl: url }] }, '2026-11-23T17:30:00')
    const end = String(india('2026-11-24T03:30:00'))
    expect(await (await ask()).json()).toEqual({
      status: 'success',
      data: { authorization_expiry: end, notifier_url: url },
    })
    const request = await openRequest()
    expect((await form('/approvals', { request, decision: 'approve' })).status).toBe(200)
    expect(received).toEqual([
      {
        client_id: upstox.clientId,
        user_id: 'SU0001',
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_at: end,
        issued_at: String(clock.now()),
        message_type: 'access_token',
      },
    ])
    expect(await isLive(received[0]?.access_token ?? '')).toBe(true)
    expect((await form('/approvals', { request, decision: 'approve' })).status).toBe(400)
  })

  it('rejected is silence', async () => {
    const { url, received } = await notifier()
    await start({ apps: [{ notifierUrl: url }] })
    await ask()
    const request = await openRequest()
    expect((await form('/approvals', { request, decision: 'reject' })).status).toBe(200)
    await ask()
    upstox.reject()
    expect(await upstox.approve()).toEqual({ approved: false })
    expect(received).toEqual([])
  })

  it('can bring a token that is dead on arrival', async () => {
    const { url, received } = await notifier()
    await start({ apps: [{ notifierUrl: url }] })
    await ask()
    upstox.faults.set({ kind: 'expired-token', method: 'POST', path: '/approvals', times: 1 })
    const request = await openRequest()
    await form('/approvals', { request, decision: 'approve' })
    expect(await isLive(received[0]?.access_token ?? '')).toBe(false)
  })

  it('ends at 03:30, and a notifier that is not there is told apart', async () => {
    await start({ apps: [{ notifierUrl: 'http://127.0.0.1:9/nobody' }] }, '2026-11-23T17:30:00')
    await ask()
    expect(await upstox.approve()).toEqual({ approved: true, notifier: 'unreachable' })
    await ask()
    clock.set(india('2026-11-24T03:30:00'))
    expect(await upstox.approve()).toEqual({ approved: false })
  })

  it('goes to another address once that is registered, a loopback one', async () => {
    const { url, received } = await notifier()
    await start()
    expect(() => upstox.setNotifierUrl('http://app.example/hook')).toThrow(RangeError)
    await expect(startUpstox(clock, { apps: [{ notifierUrl: 'https://app.example' }] })).rejects.toThrow(
      RangeError,
    )
    upstox.setNotifierUrl(url)
    await ask()
    expect(await upstox.approve()).toEqual({ approved: true, notifier: 200 })
    expect(received).toHaveLength(1)
  })

  it('needs the app and its secret', async () => {
    await start()
    expect(await outcome(ask(''))).toEqual([400, 'UDAPI1024'])
    expect(await outcome(ask('canary-upstox-secret'))).toEqual([401, 'UDAPI100069'])
    expect(await outcome(ask(upstox.clientSecret, 'nobody'))).toEqual([400, 'UDAPI1017'])
  })
})

describe('the kinds of tokens', () => {
  it('an access token dies by logout, whose second refusal has a shape of its own', async () => {
    await start()
    const { access_token } = await session()
    const out = await read('/v2/logout', access_token, 'DELETE')
    expect([out.status, await out.json()]).toEqual([200, { status: 'success', data: true }])
    const again = await read('/v2/logout', access_token, 'DELETE')
    expect(again.status).toBe(401)
    expect(await again.json()).toMatchObject({ stackTrace: [], message: expect.any(String) })
  })

  it('an extended token reads the portfolio, is kept from login to login, and replaced on request', async () => {
    await start()
    const { extended_token } = await session()
    expect((await session()).extended_token).toBe(extended_token)
    expect((await read('/v2/portfolio/long-term-holdings', extended_token)).status).toBe(200)
    expect(await outcome(read('/v2/user/profile', extended_token))).toEqual([403, 'UDAPI100067'])
    clock.advance(30 * 24 * 60 * 60_000)
    expect((await read('/v2/portfolio/long-term-holdings', extended_token)).status).toBe(200)
    expect((await session({ refresh_extended_token: 'true' })).extended_token).not.toBe(extended_token)
    expect(await outcome(read('/v2/portfolio/long-term-holdings', extended_token))).toEqual([
      401,
      'UDAPI100050',
    ])
  })

  it('an analytics token reads market data for a year; a new one revokes it', async () => {
    await start()
    const token = upstox.mintAnalyticsToken()
    upstox.endSession()
    expect((await read(LTP, token)).status).toBe(200)
    expect(await outcome(read('/v2/user/profile', token))).toEqual([403, 'UDAPI1154'])
    clock.set(india('2027-11-23T08:29:59'))
    expect((await read(LTP, token)).status).toBe(200)
    clock.set(india('2027-11-23T08:30:00'))
    expect(await outcome(read(LTP, token))).toEqual([401, 'UDAPI100050'])
    const [second, others] = [upstox.mintAnalyticsToken(), upstox.mintAnalyticsToken('SU0002')]
    upstox.mintAnalyticsToken()
    expect((await read(LTP, second)).status).toBe(401)
    expect((await read(LTP, others)).status).toBe(200)
  })

  it('access tokens end together, and survive a new secret', async () => {
    await start()
    const { access_token, extended_token } = await session()
    const before = upstox.clientSecret
    expect(upstox.rotateSecret()).toBe(upstox.clientSecret)
    expect(await isLive(access_token)).toBe(true)
    expect(await outcome(exchange(await codeOf(), { client_secret: before }))).toEqual([401, 'UDAPI100069'])
    upstox.endSession()
    expect(await isLive(access_token)).toBe(false)
    expect((await read('/v2/portfolio/short-term-positions', extended_token)).status).toBe(200)
  })
})

describe('the reads', () => {
  it('are closed for funds from 00:00 to 05:30, and for nothing else', async () => {
    await start({}, '2026-11-24T03:30:00')
    const { access_token } = await session()
    for (const version of ['v2', 'v3']) {
      const path = `/${version}/user/get-funds-and-margin`
      clock.set(india('2026-11-24T05:29:59'))
      expect(await outcome(read(path, access_token))).toEqual([423, 'UDAPI100072'])
      expect(await isLive(access_token)).toBe(true)
      clock.set(india('2026-11-24T05:30:00'))
      expect((await read(path, access_token)).status).toBe(200)
      clock.set(india('2026-11-24T23:59:59'))
      expect((await read(path, access_token)).status).toBe(200)
    }
  })

  it('are asked for by key and answered by name', async () => {
    await start()
    const { access_token } = await session()
    const data = async (path: string) =>
      ((await (await read(path, access_token)).json()) as { data: unknown }).data
    expect(await data(LTP)).toEqual({
      'NSE_EQ:SBIN': expect.objectContaining({
        instrument_token: 'NSE_EQ|INE062A01020',
        last_price: expect.any(Number),
      }),
    })
    expect(await data('/v2/market-quote/quotes?instrument_key=NSE_EQ%7CINE062A01020,nobody')).toEqual({
      'NSE_EQ:SBIN': expect.objectContaining({
        depth: { buy: expect.any(Array), sell: expect.any(Array) },
        timestamp: '2026-11-23T08:30:00.000+05:30',
      }),
    })
    const many = `/v3/market-quote/ltp?instrument_key=${'a,'.repeat(501)}`
    expect(await outcome(read(many, access_token))).toEqual([400, 'UDAPI100043'])
  })

  it('know whether the market is open', async () => {
    await start({}, '2026-11-23T09:14:59')
    const { access_token } = await session()
    const status = async (exchange = 'NSE') => {
      const body = (await (await read(`/v2/market/status/${exchange}`, access_token)).json()) as {
        data?: { status: string }
      }
      return body.data?.status
    }
    expect(await status()).toBe('NORMAL_CLOSE')
    clock.set(india('2026-11-23T09:15:00'))
    expect(await status()).toBe('NORMAL_OPEN')
    clock.set(india('2026-11-22T12:00:00'))
    expect(await status()).toBe('NORMAL_CLOSE')
    expect(await status('MOON')).toBeUndefined()
  })
})

describe('refusals', () => {
  it('come in both spellings', async () => {
    await start()
    expect(await (await read('/v2/user/profile', 'canary-access')).json()).toEqual({
      status: 'error',
      errors: [
        {
          errorCode: 'UDAPI100050',
          error_code: 'UDAPI100050',
          message: expect.any(String),
          propertyPath: null,
          property_path: null,
          invalidValue: null,
          invalid_value: null,
        },
      ],
    })
    expect(await outcome(fetch(`${upstox.basePath}/v2/nothing`))).toEqual([404, 'UDAPI100060'])
  })

  it('meet the 51st call of one second, without a hint for how long', async () => {
    await start()
    const { access_token } = await session()
    const answers = await Promise.all(
      Array.from({ length: 51 }, () => read('/v2/user/profile', access_token)),
    )
    const [refused, ...more] = answers.filter(({ status }) => status === 429)
    expect(more).toEqual([])
    expect(refused?.headers.get('retry-after')).toBeNull()
    expect(await refused?.json()).toMatchObject({ errors: [{ error_code: 'UDAPI10005' }] })
    expect((await read(LTP, access_token)).status).toBe(200)
  })

  it('can be a page of the edge instead', async () => {
    await start()
    upstox.faults.set({ kind: 'html', status: 403, times: 1 })
    const answer = await read('/v2/user/profile', 'canary-access')
    expect([answer.status, answer.headers.get('content-type')]).toEqual([403, 'text/html; charset=utf-8'])
  })
})
