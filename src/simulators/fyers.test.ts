import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClock } from './clock.ts'
import { type FyersOptions, type FyersSimulator, startFyers } from './fyers.ts'

const india = (text: string) => Date.parse(`${text}+05:30`)
const clock = createClock({ source: () => 0 })
let fyers: FyersSimulator

async function start(options: FyersOptions = {}, at = '2026-11-23T08:30:00') {
  clock.set(india(at))
  fyers = await startFyers(clock, options)
}

afterEach(() => fyers.close())

const json = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(fyers.api + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

const outcome = async (asked: Promise<Response>) => {
  const response = await asked
  const body = (await response.json()) as { s: string; code: number; message: string }
  return [response.status, body.s, body.code]
}

const hash = (appId: string, secretKey: string) =>
  createHash('sha256').update(`${appId}:${secretKey}`).digest('hex')

const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())

async function login({ state = 'st&ate', user = 'XS00001', index = 0 } = {}): Promise<URLSearchParams> {
  const app = fyers.apps[index]
  const answer = await fetch(fyers.login, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({
      client_id: app?.appId ?? '',
      redirect_uri: app?.redirectUri ?? '',
      state,
      user,
    }),
  })
  expect(answer.status).toBe(302)
  return new URL(answer.headers.get('location') ?? '').searchParams
}

const exchange = (code: string, appIdHash = hash(fyers.appId, fyers.secretKey)) =>
  json('/validate-authcode', { grant_type: 'authorization_code', appIdHash, code })

async function session(): Promise<{ access: string; refresh: string }> {
  const answer = await exchange((await login()).get('auth_code') ?? '')
  const body = (await answer.json()) as { access_token: string; refresh_token: string }
  return { access: body.access_token, refresh: body.refresh_token }
}

const read = (address: string, access: string, appId = fyers.appId) =>
  fetch(address, { headers: { authorization: `${appId}:${access}` } })

const isLive = async (access: string) => (await read(`${fyers.api}/profile`, access)).status === 200

const refresh = (refreshToken: string, pin = fyers.pin) =>
  json('/validate-refresh-token', {
    grant_type: 'refresh_token',
    appIdHash: hash(fyers.appId, fyers.secretKey),
    refresh_token: refreshToken,
    pin,
  })

describe('the login', () => {
  it('shows what it is, and one button per user', async () => {
    await start()
    const address = new URL(fyers.login)
    address.search = new URLSearchParams({
      client_id: fyers.appId,
      redirect_uri: fyers.redirectUri,
      response_type: 'code',
      state: '<b>',
    }).toString()
    const html = await (await fetch(address)).text()
    expect(html).toContain('This is a simulator.')
    expect(html.match(/<button /g)).toHaveLength(2)
    expect(html).toContain('value="&lt;b&gt;"')
    address.searchParams.set('redirect_uri', 'http://127.0.0.1:1/elsewhere')
    expect((await fetch(address)).status).toBe(400)
  })

  it('returns with a numeric status in `code`, the true code in `auth_code`, and the state', async () => {
    await start()
    const back = await login()
    expect(Object.fromEntries(back)).toEqual({
      s: 'ok',
      code: '200',
      message: '',
      auth_code: expect.any(String),
      state: 'st&ate',
    })
    expect(claimsOf(back.get('auth_code') ?? '')).toMatchObject({ sub: 'auth_code', fy_id: 'XS00001' })
  })
})

describe('the exchange', () => {
  it('knows the hash of the manual', () => {
    expect(hash('APP-100', 'S')).toBe('4b19532d9c093911d1cec65c565ff3073f541c1cf528af796c2768ddb89bab3c')
  })

  it('answers with two JWTs that end at 06:00 in India: the next one, and that of the fifteenth day', async () => {
    await start()
    const { access, refresh: refreshToken } = await session()
    expect(claimsOf(access)).toMatchObject({
      sub: 'access_token',
      fy_id: 'XS00001',
      hsm_key: expect.stringMatching(/^[0-9a-f]{56}$/),
      exp: india('2026-11-24T06:00:00') / 1000,
    })
    expect(claimsOf(refreshToken)).toMatchObject({ exp: india('2026-12-08T06:00:00') / 1000 })
    expect(JSON.parse(Buffer.from(access.split('.')[0] ?? '', 'base64url').toString())).toMatchObject({
      alg: 'HS256',
    })
  })

  it('takes a code once, of its own app, in time, with the right hash and grant type', async () => {
    await start({ apps: [{}, {}] })
    const code = (await login()).get('auth_code') ?? ''
    expect(await outcome(exchange(code, hash(fyers.appId, 'canary-fyers-secret')))).toEqual([
      400,
      'error',
      -371,
    ])
    const [, other] = fyers.apps
    expect(await outcome(exchange(code, hash(other?.appId ?? '', other?.secretKey ?? '')))).toEqual([
      400,
      'error',
      -437,
    ])
    expect(await outcome(json('/validate-authcode', { grant_type: 'code', code }))).toEqual([
      400,
      'error',
      -441,
    ])
    expect((await exchange(code)).status).toBe(200)
    expect(await outcome(exchange(code))).toEqual([400, 'error', -437])
    const late = (await login()).get('auth_code') ?? ''
    clock.advance(30_000_000)
    expect(await outcome(exchange(late))).toEqual([400, 'error', -437])
  })

  it('hands out a token that looks valid and is dead, under that fault', async () => {
    await start()
    fyers.faults.set({ kind: 'expired-token', path: '/api/v3/validate-authcode', times: 1 })
    const { access } = await session()
    expect(claimsOf(access).exp * 1000).toBeGreaterThan(clock.now())
    expect(await isLive(access)).toBe(false)
  })
})

describe('a token', () => {
  it('lives until 06:00, together with one of a second login', async () => {
    await start()
    const one = await session()
    const two = await session()
    clock.set(india('2026-11-24T05:59:59'))
    expect([await isLive(one.access), await isLive(two.access)]).toEqual([true, true])
    clock.set(india('2026-11-24T06:00:00'))
    expect(await isLive(one.access)).toBe(false)
  })

  it('dies by logout, alone, and by the end of all sessions', async () => {
    await start()
    const one = await session()
    const two = await session()
    const out = (access: string) => json('/logout', {}, { authorization: `${fyers.appId}:${access}` })
    expect(await outcome(out(one.access))).toEqual([200, 'ok', 200])
    expect(await outcome(out(one.access))).toEqual([401, 'error', -16])
    expect(await isLive(two.access)).toBe(true)
    fyers.endSession()
    expect(await isLive(two.access)).toBe(false)
  })

  it('survives a new secret, with which alone the next one is made', async () => {
    await start()
    const old = hash(fyers.appId, fyers.secretKey)
    const { access } = await session()
    const code = (await login()).get('auth_code') ?? ''
    expect(fyers.rotateSecret()).toBe(fyers.secretKey)
    expect(await isLive(access)).toBe(true)
    expect(await outcome(exchange(code, old))).toEqual([400, 'error', -371])
    expect((await exchange(code)).status).toBe(200)
  })

  it('dead is -16 at the trading API and -15 at the data API, both 401', async () => {
    await start()
    const { access } = await session()
    expect(await outcome(read(`${fyers.api}/funds`, access, 'OTHER-100'))).toEqual([401, 'error', -16])
    expect(await outcome(fetch(`${fyers.api}/profile`))).toEqual([401, 'error', -16])
    for (const path of ['/quotes?symbols=NSE:SBIN-EQ', '/depth?symbol=NSE:SBIN-EQ']) {
      expect(await outcome(read(fyers.data + path, 'canary-access'))).toEqual([401, 'error', -15])
    }
  })
})

describe('the reads', () => {
  it('are profile, funds, quotes and depth', async () => {
    await start()
    const { access } = await session()
    const body = async (address: string) => (await read(address, access)).json()
    expect(await body(`${fyers.api}/profile`)).toMatchObject({ s: 'ok', data: { fy_id: 'XS00001' } })
    const funds = (await body(`${fyers.api}/funds`)) as { fund_limit: { id: number; title: string }[] }
    expect(funds.fund_limit.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(funds.fund_limit[2]).toMatchObject({ title: 'Clear Balance', equityAmount: 200_000 })
    expect(await body(`${fyers.data}/quotes?symbols=NSE:SBIN-EQ,NSE:NOBODY`)).toMatchObject({
      d: [
        { n: 'NSE:SBIN-EQ', s: 'ok', v: { lp: expect.any(Number), open_price: 850 } },
        { n: 'NSE:NOBODY', s: 'error' },
      ],
    })
    expect(await body(`${fyers.data}/depth?symbol=NSE:SBIN-EQ&ohlcv_flag=1`)).toMatchObject({
      d: { 'NSE:SBIN-EQ': { bids: expect.any(Array), ask: expect.any(Array), o: 850 } },
    })
    expect((await read(`${fyers.data}/quotes?symbols=${'a,'.repeat(51)}`, access)).status).toBe(400)
  })
})

describe('the refresh', () => {
  it('is refused now', async () => {
    await start()
    const { refresh: refreshToken } = await session()
    expect(await outcome(refresh(refreshToken))).toEqual([401, 'error', -16])
  })

  it('answers, on request, with a token that only the broker knows to be dead', async () => {
    await start({ refresh: 'dead-token' })
    const { access, refresh: refreshToken } = await session()
    const body = (await (await refresh(refreshToken)).json()) as { s: string; access_token: string }
    expect(body.s).toBe('ok')
    expect(claimsOf(body.access_token).exp).toBe(india('2026-11-24T06:00:00') / 1000)
    expect([await isLive(body.access_token), await isLive(access)]).toEqual([false, true])
  })

  it('worked in the time of the guides, for 15 days, with nothing but an access token in the answer', async () => {
    await start({ era: 'guides' })
    const { refresh: refreshToken } = await session()
    clock.set(india('2026-12-08T05:59:59'))
    const body = (await (await refresh(refreshToken)).json()) as { access_token: string }
    expect(Object.keys(body)).toEqual(['s', 'code', 'message', 'access_token'])
    expect(await isLive(body.access_token)).toBe(true)
    clock.set(india('2026-12-08T06:00:00'))
    expect(await outcome(refresh(refreshToken))).toEqual([400, 'error', -501])
  })

  it('counts wrong PINs since the last right one, and locks after five until support lifts it', async () => {
    await start({ era: 'guides', limits: { perSecond: 100 } })
    const { refresh: refreshToken } = await session()
    const wrong = fyers.pin === '1234' ? '4321' : '1234'
    const tryWrong = async () => (await refresh(refreshToken, wrong)).json()
    expect(await tryWrong()).toMatchObject({ s: 'error', failed_attempts: 1, user_blocked: false })
    expect(await tryWrong()).toMatchObject({ failed_attempts: 2 })
    expect((await refresh(refreshToken)).status).toBe(200)
    for (let count = 1; count < 5; count++) expect(await tryWrong()).toMatchObject({ failed_attempts: count })
    expect(await tryWrong()).toMatchObject({ failed_attempts: 5, user_blocked: true })
    expect((await refresh(refreshToken)).status).toBe(400)
    fyers.unblock()
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  it('ends when its token is revoked', async () => {
    await start({ era: 'guides' })
    const { access, refresh: refreshToken } = await session()
    fyers.revoke()
    expect(await outcome(refresh(refreshToken))).toEqual([400, 'error', -501])
    expect(await isLive(access)).toBe(true)
  })
})

describe('the limits', () => {
  const time = () => {
    let ms = 1_000_000
    vi.spyOn(performance, 'now').mockImplementation(() => ms)
    return (by: number) => {
      ms += by
    }
  }

  it('are ten calls a second of one user, also with a dead token', async () => {
    const pass = time()
    await start()
    const { access } = await session()
    fyers.endSession()
    pass(1000)
    const statuses = []
    for (let call = 0; call < 11; call++) statuses.push((await read(`${fyers.api}/profile`, access)).status)
    expect(statuses).toEqual([...Array(10).fill(401), 429])
    pass(1000)
    expect(await isLive((await session()).access)).toBe(true)
  })

  it('block the user for the day at the fourth breached minute, and nobody else', async () => {
    const pass = time()
    await start({ limits: { perMinute: 3 } })
    const { access } = await session()
    const other = await exchange((await login({ user: 'XS00002' })).get('auth_code') ?? '')
    const { access_token: othersAccess } = (await other.json()) as { access_token: string }
    const breach = async () => {
      // Several calls over the limit are one breach.
      for (let call = 0; call < 6; call++) await read(`${fyers.api}/profile`, access)
      pass(60_000)
    }
    for (const _ of [1, 2, 3]) await breach()
    expect(await isLive(access)).toBe(true)
    pass(60_000)
    await breach()
    expect(await outcome(read(`${fyers.api}/profile`, access))).toEqual([429, 'error', -429])
    expect(await isLive(othersAccess)).toBe(true)
    clock.set(india('2026-11-23T23:59:59'))
    expect(await isLive(access)).toBe(false)
    clock.set(india('2026-11-24T00:00:00'))
    expect(await isLive(access)).toBe(true)
  })

  it('can be brought to the day block, and lifted', async () => {
    await start()
    const { access } = await session()
    fyers.blockForDay()
    expect((await read(`${fyers.api}/profile`, access)).status).toBe(429)
    fyers.unblock()
    expect(await isLive(access)).toBe(true)
  })
})

it.each(['', 'Python-urllib/3.13'])('refuses the user agent "%s" with a bare 403', async (agent) => {
  await start()
  const answer = await fetch(`${fyers.api}/profile`, { headers: { 'user-agent': agent } })
  expect([answer.status, await answer.text()]).toEqual([403, ''])
})

it('speaks its own language under a status fault', async () => {
  await start()
  fyers.faults.set({ kind: 'status', status: 429, retryAfterSeconds: 7, times: 1 })
  const answer = await fetch(`${fyers.api}/profile`)
  expect([answer.headers.get('retry-after'), await answer.json()]).toEqual([
    '7',
    { s: 'error', code: -429, message: expect.any(String) },
  ])
})
