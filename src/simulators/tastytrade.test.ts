import { request } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { createClock } from './clock.ts'
import { startTastytrade, type TastytradeOptions, type TastytradeSimulator } from './tastytrade.ts'

const clock = createClock({ source: () => 0 })
const REDIRECT = 'https://app.example/tt'
let tasty: TastytradeSimulator

async function start(options: TastytradeOptions = {}) {
  clock.set(Date.parse('2026-11-23T14:00:00Z'))
  tasty = await startTastytrade(clock, { redirectUris: [REDIRECT], ...options })
}

afterEach(() => tasty.close())

const HEADERS = { 'user-agent': 'test/1', 'content-type': 'application/json' }

const token = (fields: Record<string, string> = {}, headers: Record<string, string> = HEADERS) =>
  fetch(`${tasty.baseUrl}/oauth/token`, {
    method: 'POST',
    headers,
    body: JSON.stringify({
      grant_type: 'refresh_token',
      refresh_token: tasty.refreshToken,
      client_secret: tasty.clientSecret,
      ...fields,
    }),
  })

const json = async (response: Response | Promise<Response>) =>
  (await (await response).json()) as Record<string, string>

const get = (path: string, accessToken: string) =>
  fetch(tasty.baseUrl + path, { headers: { ...HEADERS, authorization: `Bearer ${accessToken}` } })

const accessToken = async (fields = {}) => (await json(token(fields))).access_token ?? ''

describe('the token endpoint', () => {
  it('renews with a flat answer and the same refresh token, by JSON or form', async () => {
    await start()
    expect(await json(token())).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 900,
    })
    const form = await fetch(`${tasty.baseUrl}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: tasty.refreshToken,
        client_secret: tasty.clientSecret,
        client_id: tasty.clientId,
      }),
    })
    expect(form.status).toBe(200)
  })

  it('hands out refresh tokens that say no end', async () => {
    await start()
    const [header, claims] = tasty.refreshToken
      .split('.')
      .map((part) => Buffer.from(part, 'base64url').toString('latin1'))
    expect(JSON.parse(header ?? '')).toMatchObject({ typ: 'rt+jwt', alg: 'EdDSA' })
    expect(JSON.parse(claims ?? '')).not.toHaveProperty('exp')
  })

  it.each([
    [{ refresh_token: 'x' }, 'invalid_grant'],
    [{ client_secret: 'x' }, 'invalid_client'],
    [{ client_id: 'x' }, 'invalid_client'],
    [{ grant_type: 'password' }, 'unsupported_grant_type'],
    [{ scope: 'read everything' }, 'invalid_scope'],
  ])('refuses %o with %s, in a shape of its own', async (fields, code) => {
    await start()
    const answer = await token(fields as Record<string, string>)
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { error_code: code, error_description: expect.any(String) },
    ])
  })

  it('refuses a bearer that was sent along', async () => {
    await start()
    const answer = await token({}, { ...HEADERS, authorization: 'Bearer canary-old' })
    expect([answer.status, (await json(answer)).error_code]).toEqual([400, 'invalid_request'])
  })

  it('needs a User-Agent, and says so in HTML', async () => {
    await start()
    // fetch always sends one
    const answer = await new Promise<{ status: number | undefined; type: string | undefined; text: string }>(
      (done, fail) => {
        const asked = request(`${tasty.baseUrl}/oauth/token`, { method: 'POST' }, (response) => {
          let text = ''
          response.on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () =>
            done({ status: response.statusCode, type: response.headers['content-type'], text }),
          )
        })
        asked.on('error', fail)
        asked.end()
      },
    )
    expect(answer).toMatchObject({ status: 401, type: 'text/html' })
    expect(answer.text).toContain('401 Authorization Required')
  })

  it('knows a deleted grant and a regenerated secret', async () => {
    await start()
    const second = tasty.createGrant('900002')
    tasty.revoke(tasty.refreshToken)
    expect((await json(token())).error_code).toBe('invalid_grant')
    expect((await token({ refresh_token: second })).status).toBe(200)
    const old = tasty.clientSecret
    const fresh = tasty.rotateSecret()
    expect(fresh).toBe(tasty.clientSecret)
    expect((await json(token({ client_secret: old }))).error_code).toBe('invalid_client')
    expect((await json(token({ refresh_token: second }))).error_code).toBe('invalid_grant')
    expect((await token({ refresh_token: tasty.createGrant() })).status).toBe(200)
  })

  it('rotates when asked to', async () => {
    await start({ rotateRefreshTokens: true })
    const { refresh_token = '' } = await json(token())
    expect((await token()).status).toBe(400)
    expect((await token({ refresh_token })).status).toBe(200)
  })

  it('can answer with a token that has expired already', async () => {
    await start()
    tasty.faults.set({ kind: 'expired-token', times: 1 })
    const answer = await json(token())
    expect(answer.expires_in).toBe(0)
    expect((await get('/customers/me', answer.access_token ?? '')).status).toBe(401)
  })
})

describe('the pages', () => {
  const ask = {
    response_type: 'code',
    redirect_uri: REDIRECT,
    state: 's&1',
    scope: 'read openid',
  }
  const allow = (fields: Record<string, string> = {}) =>
    fetch(tasty.authorize, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ client_id: tasty.clientId, user: '900002', ...ask, ...fields }),
    })

  it('run the code flow, once per code', async () => {
    await start()
    const shown = await fetch(
      `${tasty.authorize}?${new URLSearchParams({ client_id: tasty.clientId, ...ask })}`,
    )
    expect(await shown.text()).toContain('This is a simulator.')
    const answer = await allow()
    expect(answer.status).toBe(302)
    const back = new URL(answer.headers.get('location') ?? '')
    expect(back.searchParams.get('state')).toBe('s&1')
    const exchange = {
      grant_type: 'authorization_code',
      code: back.searchParams.get('code') ?? '',
      client_id: tasty.clientId,
      redirect_uri: REDIRECT,
    }
    const tokens = await json(token(exchange))
    expect(Object.keys(tokens)).toEqual([
      'access_token',
      'token_type',
      'expires_in',
      'refresh_token',
      'id_token',
    ])
    expect(await json(get('/customers/me', tokens.access_token ?? ''))).toMatchObject({
      data: { id: '900002' },
    })
    expect((await token({ refresh_token: tokens.refresh_token ?? '' })).status).toBe(200)
    expect((await json(token(exchange))).error_code).toBe('invalid_grant')
  })

  it('want the registered client and address', async () => {
    await start()
    expect((await allow({ redirect_uri: 'https://elsewhere.example' })).status).toBe(400)
    expect((await allow({ client_id: 'x' })).status).toBe(400)
    const code = new URL((await allow()).headers.get('location') ?? '').searchParams.get('code') ?? ''
    const elsewhere = {
      grant_type: 'authorization_code',
      code,
      client_id: tasty.clientId,
      redirect_uri: 'https://x.y',
    }
    expect((await json(token(elsewhere))).error_code).toBe('invalid_grant')
  })

  it('create a grant whose refresh token a person copies', async () => {
    await start()
    const page = await fetch(tasty.grants, { method: 'POST', body: new URLSearchParams({ user: '900001' }) })
    const [, copied = ''] = /id="refresh-token">([^<]+)</.exec(await page.text()) ?? []
    expect((await token({ refresh_token: copied })).status).toBe(200)
  })
})

describe('the reads', () => {
  it('end with the access token, in the shape of the API', async () => {
    await start({ accessTokenSeconds: 60 })
    const access = await accessToken()
    clock.advance(59_999)
    expect((await get('/customers/me', access)).status).toBe(200)
    clock.advance(1)
    const dead = await get('/customers/me', access)
    expect([dead.status, await dead.json()]).toEqual([
      401,
      { error: { code: 'token_invalid', message: expect.any(String) } },
    ])
    const again = await accessToken()
    tasty.endSession()
    expect((await get('/customers/me', again)).status).toBe(401)
    expect((await token()).status).toBe(200)
  })

  it('need the scope read and an own account', async () => {
    await start()
    const tradeOnly = await get('/customers/me', await accessToken({ scope: 'trade' }))
    expect([tradeOnly.status, await tradeOnly.json()]).toMatchObject([
      403,
      { error: { code: 'not_permitted' } },
    ])
    expect((await get('/accounts/5WS00003/balances', await accessToken())).status).toBe(403)
  })

  it('give customer, accounts, balances and a quote token in the envelope', async () => {
    await start()
    const access = await accessToken()
    expect(await json(get('/customers/me/accounts', access))).toMatchObject({
      context: '/customers/me/accounts',
      data: { items: [{ account: { 'account-number': tasty.accountNumber } }, {}] },
    })
    expect(await json(get(`/accounts/${tasty.accountNumber}/balances`, access))).toMatchObject({
      data: { 'account-number': tasty.accountNumber, 'net-liquidating-value': '61250.75' },
    })
    expect(await json(get('/api-quote-tokens', access))).toMatchObject({
      data: { level: 'api', 'expires-at': '2026-11-24T14:00:00.000Z' },
    })
  })

  it('quote by type, at most 100 symbols over all types', async () => {
    await start()
    const access = await accessToken()
    const found = (await (
      await get('/market-data/by-type?equity[]=AAPL&equity[]=NOBODY&index=SPX&equity=SPX', access)
    ).json()) as { data: { items: { symbol: string }[] } }
    expect(found.data.items.map(({ symbol }) => symbol)).toEqual(['AAPL', 'SPX'])
    const many = new URLSearchParams([
      ...Array.from({ length: 60 }, (_, n) => ['equity[]', `S${n}`] as [string, string]),
      ...Array.from({ length: 41 }, (_, n) => ['index[]', `I${n}`] as [string, string]),
    ])
    expect((await get(`/market-data/by-type?${many}`, access)).status).toBe(422)
  })
})

describe('the address block', () => {
  const wrong = () => token({ refresh_token: 'wrong' })
  const gaveUp = async (asked: Promise<Response>) => asked.then(() => false).catch(() => true)
  const impatient = () => gaveUp(fetch(tasty.baseUrl, { headers: HEADERS, signal: AbortSignal.timeout(60) }))

  it('is silence for eight hours after refusals in a row', async () => {
    await start({ blockAfterFailures: 3 })
    await wrong()
    await wrong()
    expect((await token()).status).toBe(200) // ends the row
    for (let count = 0; count < 3; count++) expect((await wrong()).status).toBe(400)
    expect(await impatient()).toBe(true)
    clock.advance(8 * 60 * 60_000 - 1)
    expect(await impatient()).toBe(true)
    clock.advance(1)
    expect((await token()).status).toBe(200)
  })

  it('is lifted by support, and can be off', async () => {
    await start({ blockAfterFailures: 1 })
    await wrong()
    expect(await impatient()).toBe(true)
    tasty.unblock()
    expect(await impatient()).toBe(false)
    await tasty.close()
    await start({ blockAfterFailures: Number.POSITIVE_INFINITY })
    for (let count = 0; count < 8; count++) await wrong()
    expect(await impatient()).toBe(false)
  })
})
