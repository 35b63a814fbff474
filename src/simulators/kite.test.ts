import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { createClock } from './clock.ts'
import { type KiteOptions, type KiteSimulator, startKite } from './kite.ts'

const india = (text: string) => Date.parse(`${text}+05:30`)
const clock = createClock({ source: () => 0 })
let kite: KiteSimulator

async function start(options: KiteOptions = {}, at = '2026-11-23T08:30:00') {
  clock.set(india(at))
  kite = await startKite(clock, {
    apps: [{ redirectUrl: 'https://app.example/kite?theme=dark&status=old' }, {}, {}],
    ...options,
  })
}

afterEach(() => kite.close())

const post = (path: string, fields: Record<string, string>) =>
  fetch(kite.root + path, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' })

const read = (path: string, accessToken: string, apiKey = kite.apiKey) =>
  fetch(kite.root + path, {
    headers: { 'x-kite-version': '3', authorization: `token ${apiKey}:${accessToken}` },
  })

const outcome = async (asked: Promise<Response>) => {
  const response = await asked
  const body = (await response.json()) as { error_type?: string; message?: string }
  return [response.status, body.error_type, body.message]
}

async function requestToken(apiKey = kite.apiKey, redirectParams = '') {
  const answer = await post('/connect/login', {
    api_key: apiKey,
    user: 'SIM001',
    redirect_params: redirectParams,
  })
  return new URL(answer.headers.get('location') ?? '').searchParams
}

const checksum = (apiKey: string, token: string, secret: string) =>
  createHash('sha256')
    .update(apiKey + token + secret)
    .digest('hex')

async function exchange(token: string, { apiKey = kite.apiKey, secret = kite.apiSecret } = {}) {
  return post('/session/token', {
    api_key: apiKey,
    request_token: token,
    checksum: checksum(apiKey, token, secret),
  })
}

async function login(index = 0): Promise<{ accessToken: string; apiKey: string }> {
  const app = kite.apps[index]
  if (!app) throw new Error('no such app')
  const token = (await requestToken(app.apiKey)).get('request_token') ?? ''
  const answer = await exchange(token, { apiKey: app.apiKey, secret: app.apiSecret })
  const body = (await answer.json()) as { data: { access_token: string } }
  return { accessToken: body.data.access_token, apiKey: app.apiKey }
}

const isLive = async (accessToken: string) => (await read('/user/profile', accessToken)).status === 200

describe('the login', () => {
  it('shows what it is, and one button per user', async () => {
    await start()
    const address = new URL(kite.login)
    address.search = new URLSearchParams({
      v: '3',
      api_key: kite.apiKey,
      redirect_params: 'state=<b>"x"',
    }).toString()
    const html = await (await fetch(address)).text()
    expect(html).toContain('This is a simulator.')
    expect(html.match(/<button /g)).toHaveLength(2)
    expect(html).toContain('value="state=&lt;b&gt;&quot;x&quot;"')
  })

  it('needs v=3 and a registered app', async () => {
    await start()
    expect((await fetch(`${kite.login}?api_key=${kite.apiKey}`)).status).toBe(400)
    expect((await fetch(`${kite.login}?v=3&api_key=nobody`)).status).toBe(400)
  })

  it('returns to the registered address with a request token and the echoed parameters', async () => {
    await start()
    const answer = await post('/connect/login', {
      api_key: kite.apiKey,
      user: 'SIM002',
      redirect_params: 'state=abc%26d&status=forged',
    })
    expect(answer.status).toBe(302)
    const back = new URL(answer.headers.get('location') ?? '')
    expect(back.origin + back.pathname).toBe('https://app.example/kite')
    expect([...back.searchParams.keys()]).toHaveLength(6)
    expect(Object.fromEntries(back.searchParams)).toEqual({
      theme: 'dark',
      state: 'abc&d',
      action: 'login',
      type: 'login',
      status: 'success',
      request_token: expect.stringMatching(/^\w{32}$/),
    })
  })
})

describe('the exchange', () => {
  it('verifies the checksum that the manual defines', async () => {
    await start({ apps: [{ apiKey: 'k', apiSecret: 'sec' }] })
    expect(checksum('k', 'rt', 'sec')).toBe(
      '7d3a022a0cf41cd226df628d4fd5a26991d0cc10036d38ee545bc34c692304b2',
    )
    const answer = await exchange((await requestToken()).get('request_token') ?? '')
    expect(await answer.json()).toMatchObject({
      status: 'success',
      data: {
        user_id: 'SIM001',
        api_key: 'k',
        broker: 'ZERODHA',
        refresh_token: '',
        login_time: '2026-11-23 08:30:00',
      },
    })
  })

  it('takes a request token once, for a few minutes, from its own app', async () => {
    await start()
    const stale = [403, 'TokenException', 'Token is invalid or has expired.']
    const used = (await requestToken()).get('request_token') ?? ''
    expect((await exchange(used)).status).toBe(200)
    expect(await outcome(exchange(used))).toEqual(stale)

    const old = (await requestToken()).get('request_token') ?? ''
    clock.advance(5 * 60_000)
    expect(await outcome(exchange(old))).toEqual(stale)

    const foreign = (await requestToken(kite.apps[1]?.apiKey)).get('request_token') ?? ''
    expect(await outcome(exchange(foreign))).toEqual(stale)
  })

  it('burns the request token although the exchange fails', async () => {
    await start()
    const token = (await requestToken()).get('request_token') ?? ''
    expect(await outcome(exchange(token, { secret: 'canary-wrong' }))).toEqual([
      403,
      'TokenException',
      'Invalid `checksum`.',
    ])
    expect((await outcome(exchange(token)))[2]).toBe('Token is invalid or has expired.')
  })

  it('asks for a form with all fields', async () => {
    await start()
    expect((await outcome(post('/session/token', { api_key: kite.apiKey })))[1]).toBe('InputException')
    const asJson = fetch(`${kite.root}/session/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ api_key: kite.apiKey, request_token: 'x', checksum: 'y' }),
    })
    expect(await outcome(asJson)).toMatchObject([400, 'InputException', expect.anything()])
  })

  it('follows a new secret', async () => {
    await start()
    const old = kite.apiSecret
    const fresh = kite.rotateSecret()
    expect([kite.apiSecret, kite.apps[0]?.apiSecret]).toEqual([fresh, fresh])
    const token = (await requestToken()).get('request_token') ?? ''
    expect((await outcome(exchange(token, { secret: old })))[2]).toBe('Invalid `checksum`.')
  })

  it('cannot renew: individual apps have no refresh token', async () => {
    await start()
    expect(
      await outcome(post('/session/refresh_token', { api_key: kite.apiKey, refresh_token: '' })),
    ).toMatchObject([400, 'InputException', expect.anything()])
    const guess = {
      api_key: kite.apiKey,
      refresh_token: 'x',
      checksum: checksum(kite.apiKey, 'x', kite.apiSecret),
    }
    expect((await outcome(post('/session/refresh_token', guess)))[1]).toBe('TokenException')
  })
})

describe('a session', () => {
  it.each([
    ['07:10', '2026-11-23T05:00:00', '2026-11-23T07:10:00'],
    ['07:10', '2026-11-23T06:30:00', '2026-11-23T07:10:00'],
    ['07:10', '2026-11-23T07:10:00', '2026-11-24T07:10:00'],
    ['06:00', '2026-11-23T06:01:00', '2026-11-24T06:00:00'],
    ['07:30', '2026-11-23T23:59:59', '2026-11-24T07:30:00'],
  ])('with the flush at %s, minted %s, ends %s', async (flushAt, minted, end) => {
    await start({ flushAt }, minted)
    const { accessToken } = await login()
    clock.set(india(end) - 1)
    expect(await isLive(accessToken)).toBe(true)
    clock.set(india(end))
    expect(await outcome(read('/user/profile', accessToken))).toEqual([
      403,
      'TokenException',
      'Incorrect `api_key` or `access_token`.',
    ])
  })

  it('is not flushed outside 06:00 to 07:30', async () => {
    await start()
    await expect(startKite(clock, { flushAt: '05:59' })).rejects.toThrow(RangeError)
    await expect(startKite(clock, { flushAt: '07:31' })).rejects.toThrow(RangeError)
    await expect(startKite(clock, { flushAt: '06:60' })).rejects.toThrow(RangeError)
  })

  it('dies when the same app logs in again, here or in another program; other apps live on', async () => {
    await start()
    const other = await login(1)
    const first = (await login()).accessToken
    const second = (await login()).accessToken
    expect([await isLive(first), await isLive(second)]).toEqual([false, true])
    kite.anotherLogin()
    expect(await isLive(second)).toBe(false)
    expect((await read('/user/profile', other.accessToken, other.apiKey)).status).toBe(200)
  })

  it('ends by logout, once', async () => {
    await start()
    const { accessToken } = await login()
    const logout = () =>
      fetch(`${kite.root}/session/token?api_key=${kite.apiKey}&access_token=${accessToken}`, {
        method: 'DELETE',
      })
    expect(await (await logout()).json()).toEqual({ status: 'success', data: true })
    expect(await isLive(accessToken)).toBe(false)
    expect((await logout()).status).toBe(403)
  })

  it('ends when told to, and can be dead on arrival', async () => {
    await start()
    const { accessToken } = await login()
    kite.endSession()
    expect(await isLive(accessToken)).toBe(false)
    kite.faults.set({ kind: 'expired-token', path: '/session/token', times: 1 })
    expect(await isLive((await login()).accessToken)).toBe(false)
    expect(await isLive((await login()).accessToken)).toBe(true)
  })

  it.each([undefined, 'token', 'token :', 'token only-a-key', 'Bearer a:b', 'token a:b:c'])(
    'answers malformed credentials (%s) with 400, not 403',
    async (authorization) => {
      await start()
      const answer = fetch(`${kite.root}/user/profile`, authorization ? { headers: { authorization } } : {})
      expect(await outcome(answer)).toEqual([400, 'InputException', 'Invalid `api_key` or `access_token`.'])
    },
  )
})

describe('the reads', () => {
  it('gives profile and margins', async () => {
    await start()
    const { accessToken } = await login()
    const data = async (path: string) =>
      ((await (await read(path, accessToken)).json()) as { data: unknown }).data
    expect(await data('/user/profile')).toMatchObject({
      user_id: 'SIM001',
      meta: { demat_consent: 'consent' },
    })
    const equity = await data('/user/margins/equity')
    expect(equity).toMatchObject({ enabled: true, net: 250_000, available: { cash: 250_000 } })
    expect(await data('/user/margins')).toMatchObject({ equity, commodity: { enabled: true } })
    expect((await read('/user/margins/gold', accessToken)).status).toBe(400)
  })

  it('quotes what it knows and leaves out the rest', async () => {
    await start()
    const quoted = async (path: string, index: number) => {
      const { accessToken, apiKey } = await login(index)
      return (await read(`${path}?i=NSE:INFY&i=NSE:NOBODY`, accessToken, apiKey)).json()
    }
    const full = await quoted('/quote', 0)
    expect(full).toMatchObject({
      data: { 'NSE:INFY': { instrument_token: 408065, timestamp: '2026-11-23 08:30:00' } },
    })
    expect(await quoted('/quote/ohlc', 1)).toMatchObject({ data: { 'NSE:INFY': { ohlc: { open: 1500 } } } })
    expect(Object.keys((await quoted('/quote/ltp', 2)) as object)).toEqual(['status', 'data'])
    expect(Object.keys((full as { data: object }).data)).toEqual(['NSE:INFY'])
  })

  it('has no quotes on the free plan, which says nothing about the token', async () => {
    await start({ apps: [{ plan: 'personal' }] })
    const { accessToken } = await login()
    expect((await outcome(read('/quote/ltp?i=NSE:INFY', accessToken)))[1]).toBe('PermissionException')
    expect(await isLive(accessToken)).toBe(true)
  })

  it('allows ten calls a second of one app, and one quote', async () => {
    await start()
    const { accessToken } = await login(1)
    const apiKey = kite.apps[1]?.apiKey
    const many = (path: string, count: number) =>
      Promise.all(Array.from({ length: count }, async () => (await read(path, accessToken, apiKey)).status))
    // The exchange was the first of the ten.
    const statuses = await many('/user/profile', 12)
    expect(statuses.filter((status) => status === 200)).toHaveLength(9)
    expect((await outcome(read('/user/profile', accessToken, apiKey)))[1]).toBe('NetworkException')
    expect((await many('/quote/ltp?i=NSE:INFY', 3)).sort()).toEqual([200, 429, 429])
    expect((await outcome(read('/user/profile', 'x')))[0]).toBe(403)
  })

  it('fails in its own shape', async () => {
    await start()
    kite.faults.set({ kind: 'status', status: 503 })
    expect((await outcome(read('/user/profile', 'x'))).slice(0, 2)).toEqual([503, 'NetworkException'])
    kite.faults.clear()
    expect((await outcome(read('/nowhere', 'x')))[0]).toBe(404)
  })
})
