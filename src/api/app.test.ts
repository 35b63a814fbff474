import { describe, expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import type { Keeper } from '../core/keeper.ts'
import type { ApiKey } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type Clock, instant, minuteMs, plus } from '../core/time.ts'
import { createApi } from './app.ts'
import { accountsAnswer, problemDocument, tokenAnswer } from './contract.ts'
import type { ApiParts } from './env.ts'
import { fakeKeeper, liveSession, liveStatus, morning } from './fake-keeper.ts'

const clock: Clock = { now: () => morning, sleep: async () => undefined }

const keyFor = (tenantId: string, ...scopes: string[]): ApiKey => ({
  id: '1',
  tenantId,
  digest: '',
  label: '',
  scopes,
  createdAt: instant(0),
})

const keysByText: Readonly<Record<string, ApiKey>> = {
  ob_full: keyFor('home', 'token:read', 'status:read'),
  ob_status: keyFor('home', 'status:read'),
  ob_other: keyFor('other', 'token:read', 'status:read'),
}

function api(known: Partial<Keeper> = {}, parts: Partial<ApiParts> = {}) {
  const reported: unknown[] = []
  const app = createApi({
    keeper: fakeKeeper(known),
    keys: { verify: async (key) => keysByText[key.expose()] },
    clock,
    ready: async () => undefined,
    isCallbackPath: async (path) => path === '/kite/callback',
    zoneOf: () => 'Asia/Kolkata',
    report: (error) => {
      reported.push(error)
    },
    settings: { publicUrl: 'https://bell.example.test/base' },
    ...parts,
  })
  const get = async (path: string, key = 'ob_full', init: RequestInit = {}) => {
    const response = await app.request(`http://localhost:8079${path}`, {
      headers: key === '' ? {} : { authorization: `Bearer ${key}` },
      ...init,
    })
    return response
  }
  return { app, get, reported }
}

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>
}

async function problem(response: Response, status: number, code: string) {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  expect(response.headers.get('cache-control')).toBe('no-store')
  const body = await json(response)
  expect(problemDocument.strict().safeParse(body).error).toBeUndefined()
  expect(body).toMatchObject({ status, code, type: `/errors/${code}` })
  expect(response.status).toBe(status)
  return body
}

const tokenPath = '/v1/accounts/kite-main/token'

describe('GET /v1/accounts/{id}/token', () => {
  it('gives the token, the headers to send and until when, from memory', async () => {
    const { get } = api({ token: async () => expect.unreachable('the memory had it') })
    const response = await get(tokenPath)
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
    const body = await json(response)
    expect(body).toEqual({
      account: 'kite-main',
      slot: 'trading',
      generation: 7,
      state: 'live',
      access_token: 'canary-access-token',
      headers: { authorization: 'token key:canary-access-token', 'x-kite-version': '3' },
      expires_at: '2026-11-24T00:30:00.000Z',
      expires_source: 'broker-rule',
    })
    expect(tokenAnswer.strict().safeParse(body).success).toBe(true)
  })

  it('gives nothing that the contract does not name', async () => {
    const session = { ...liveSession, refreshToken: 'canary-refresh', appSecret: new Secret('canary-app') }
    const { get } = api({ session: () => session })
    expect(await (await get(tokenPath)).text()).not.toMatch(/canary-refresh|app/)
  })

  it('leaves it to the keeper when the token must be good for a while', async () => {
    let asked: unknown
    const { get } = api({
      session: () => expect.unreachable('it may end too soon'),
      token: async (ref, options) => {
        asked = { ref, options }
        return liveSession
      },
    })
    expect((await get(`${tokenPath}?min_valid=600&wait=20&slot=trading`)).status).toBe(200)
    expect(asked).toEqual({
      ref: { tenantId: 'home', accountId: 'kite-main' },
      options: { slot: 'trading', minValidMs: 600_000, waitMs: 20_000 },
    })
  })

  it('asks for the slot that was named', async () => {
    const { get } = api({
      session: (_, slot) => (slot === 'read' ? { ...liveSession, slot } : undefined),
    })
    expect(await (await get(`${tokenPath}?slot=read`)).json()).toMatchObject({ slot: 'read' })
  })

  it.each([
    ['wait=121', 'wait'],
    ['wait=-1', 'wait'],
    ['wait=', 'wait'],
    ['min_valid=1e3', 'min_valid'],
    ['min_valid=86401', 'min_valid'],
    ['slot=Trading', 'slot'],
    ['minvalid=60', undefined],
    ['api_key=canary-in-url', undefined],
  ])('refuses ?%s and says what may stand there', async (query, field) => {
    const body = await problem(await api().get(`${tokenPath}?${query}`), 400, 'invalid-field')
    expect(body.field).toBe(field)
    expect(JSON.stringify(body)).not.toContain('canary')
  })

  it('says how to log in when a person is needed', async () => {
    const { get } = api({
      session: () => undefined,
      token: async () => {
        throw new OpenbellError('login-needed', 'The token ended at 06:00.')
      },
    })
    expect(await problem(await get(tokenPath), 409, 'login-needed')).toEqual({
      type: '/errors/login-needed',
      title: 'Login needed',
      status: 409,
      detail: 'The token ended at 06:00.',
      code: 'login-needed',
      remedy: 'login',
      account: 'kite-main',
      login: { command: 'openbell login kite-main' },
    })
  })

  it.each([
    ['session-superseded', 409],
    ['settings-refused', 409],
    ['account-paused', 409],
    ['unknown-account', 404],
  ] as const)('answers %s with %i', async (code, status) => {
    const { get } = api({
      session: () => undefined,
      token: async () => {
        throw new OpenbellError(code, 'So it is.')
      },
    })
    const response = await get(tokenPath)
    expect(response.headers.get('retry-after')).toBeNull()
    expect(await problem(response, status, code)).toMatchObject({ account: 'kite-main', detail: 'So it is.' })
  })

  it.each([
    [undefined, '5'],
    [plus(morning, 90_500), '91'],
    [plus(morning, -minuteMs), '1'],
    [plus(morning, 600 * minuteMs), '3600'],
  ])('says when to come back (work until %s)', async (until, expected) => {
    const work = until === undefined ? { state: 'idle' as const } : { state: 'blocked' as const, until }
    const { get } = api({
      session: () => undefined,
      token: async () => {
        throw new OpenbellError('broker-unavailable', 'Kite is closed for the night.')
      },
      statusOf: async () => ({ ...liveStatus, work }),
    })
    const response = await get(tokenPath)
    expect(response.headers.get('retry-after')).toBe(expected)
    await problem(response, 503, 'broker-unavailable')
  })

  it('says when to come back even when the status cannot be read', async () => {
    const { get, reported } = api({
      session: () => undefined,
      token: async () => {
        throw new OpenbellError('token-not-ready', 'Another program is renewing it.')
      },
      statusOf: async () => {
        throw new Error('driver: disk gone')
      },
    })
    const response = await get(tokenPath)
    expect(response.headers.get('retry-after')).toBe('5')
    await problem(response, 503, 'token-not-ready')
    expect(reported).toHaveLength(1)
  })

  it.each([
    ['driver: no such table tokens at /home/u/.openbell/vault.db', 500, 'internal', undefined],
    ['/home/u/.openbell/vault.db is locked', 503, 'vault-busy', 'vault-busy'],
    ['/home/u/.openbell/vault.db is broken', 500, 'vault-corrupt', 'vault-corrupt'],
  ] as const)('keeps internals to its log: %s', async (message, status, code, openbellCode) => {
    const thrown = openbellCode ? new OpenbellError(openbellCode, message) : new Error(message)
    const { get, reported } = api({
      session: () => undefined,
      token: async () => {
        throw thrown
      },
    })
    const body = await problem(await get(tokenPath), status, code)
    expect(JSON.stringify(body)).not.toMatch(/driver|home|vault\.db/)
    expect(reported).toEqual([thrown])
  })
})

describe('keys and tenants', () => {
  it.each([
    ['no key', {}],
    ['a key in the wrong scheme', { authorization: 'Basic ob_full' }],
    ['two keys', { authorization: 'Bearer ob_full ob_other' }],
    ['an endless key', { authorization: `Bearer ${'x'.repeat(513)}` }],
  ])('asks for a key: %s', async (_, headers) => {
    const response = await api().get(tokenPath, '', { headers })
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="openbell"')
    await problem(response, 401, 'key-required')
  })

  it('refuses an unknown key, without repeating it', async () => {
    const body = await problem(await api().get(tokenPath, 'ob_canary'), 401, 'key-invalid')
    expect(JSON.stringify(body)).not.toContain('canary')
  })

  it('refuses a key without the scope', async () => {
    expect(await problem(await api().get(tokenPath, 'ob_status'), 403, 'scope-missing')).toMatchObject({
      field: 'token:read',
    })
  })

  it("knows nothing of another tenant's account", async () => {
    await problem(await api().get(tokenPath, 'ob_other'), 404, 'unknown-account')
    expect(await (await api().get('/v1/accounts', 'ob_other')).json()).toEqual({ accounts: [] })
  })

  it('answers the same for an account that is not there', async () => {
    await problem(await api().get('/v1/accounts/%2e%2e%2fadmin/token'), 404, 'unknown-account')
  })
})

describe('GET /v1/accounts', () => {
  it('lists how accounts stand, without any token', async () => {
    const response = await api().get('/v1/accounts', 'ob_status')
    expect(response.status).toBe(200)
    const body = await json(response)
    expect(accountsAnswer.safeParse(body).success).toBe(true)
    expect(accountsAnswer.parse(body).accounts[0]).toMatchObject({
      id: 'kite-main',
      broker: { id: 'kite', name: 'Zerodha Kite' },
      state: 'live',
      expires_at: '2026-11-24T00:30:00.000Z',
      delivered: { n: 3, m: 3 },
      next: { at: '2026-11-24T00:30:00.000Z', action: 'ask' },
    })
    expect(JSON.stringify(body)).not.toMatch(/token"|canary/)
  })

  it('lists an account that was never logged in, and what is wrong with it', async () => {
    const { brokerUserId, expiry, acceptedAt, renewedAt, next, ...fresh } = liveStatus
    const problemOf = {
      remedy: 'wait',
      code: 'broker-locked-out',
      message: 'Locked.',
      until: morning,
    } as const
    const { get } = api({
      status: async () => [
        { ...fresh, token: 'none', work: { state: 'blocked', until: morning, problem: problemOf } },
      ],
    })
    const { accounts } = accountsAnswer.parse(await (await get('/v1/accounts')).json())
    expect(accounts[0]).toMatchObject({
      state: 'none',
      work: {
        state: 'blocked',
        until: '2026-11-23T03:30:00.000Z',
        problem: { code: 'broker-locked-out', until: '2026-11-23T03:30:00.000Z' },
      },
    })
    expect(accounts[0]).not.toHaveProperty('expires_at')
  })

  it('hides fields that a status may gain', async () => {
    const { get } = api({
      status: async () => [{ ...liveStatus, accessToken: 'canary' } as typeof liveStatus],
    })
    expect(await (await get('/v1/accounts')).text()).not.toContain('canary')
  })
})

describe('health', () => {
  it('is alive without key, vault or tokens', async () => {
    const { get } = api({}, { ready: async () => expect.unreachable('health asks nobody') })
    expect(await (await get('/healthz', '')).json()).toEqual({ status: 'ok' })
  })

  it('is ready when the store is', async () => {
    expect(await (await api().get('/readyz', '')).json()).toEqual({ status: 'ok' })
  })

  it('is not ready when the store is not, and tells only the log why', async () => {
    const { get, reported } = api(
      {},
      {
        ready: async () => {
          throw new OpenbellError('vault-missing', 'There is no /home/u/vault.db.')
        },
      },
    )
    const response = await get('/readyz', '')
    expect(JSON.stringify(await problem(response, 503, 'vault-missing'))).not.toContain('/home')
    expect(reported).toHaveLength(1)
  })
})

describe('the outer wall', () => {
  it.each([
    'http://127.0.0.1:8079',
    'http://[::1]',
    'http://127.1.2.3',
    'https://bell.example.test',
    'http://localhost',
  ])('answers to %s', async (origin) => {
    expect((await api().app.request(`${origin}/healthz`)).status).toBe(200)
  })

  it.each([
    'http://evil.test',
    'http://localhost.evil.test',
    'http://127.0.0.1.evil.test',
    'http://192.168.0.9',
    'http://sub.bell.example.test',
  ])('does not answer to %s', async (origin) => {
    for (const path of ['/healthz', tokenPath, '/kite/callback?state=a&request_token=b', '/nothing']) {
      await problem(await api().app.request(origin + path), 421, 'host-not-allowed')
    }
  })

  it.each(['/', '/v1', '/v1/accounts/', '/v2/accounts', '/v1/accounts/kite-main', '/kite/callback/'])(
    'has nothing at %s',
    async (path) => {
      await problem(await api().get(path), 404, 'not-found')
    },
  )

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('does not take %s', async (method) => {
    const { get } = api({ finishLogin: async () => expect.unreachable('only a GET may') })
    for (const path of ['/healthz', '/readyz', '/v1/accounts', tokenPath, '/kite/callback?state=a']) {
      const response = await get(path, 'ob_full', { method })
      expect(response.headers.get('allow')).toBe('GET')
      expect(response.headers.get('access-control-allow-origin')).toBeNull()
      await problem(response, 405, 'not-supported')
    }
  })

  it('does not read more than 64 KB', async () => {
    const body = 'x'.repeat(64 * 1024 + 1)
    const headers = { 'content-length': String(body.length) }
    await problem(
      await api().get('/v1/accounts', '', { method: 'POST', body, headers }),
      413,
      'invalid-field',
    )
  })

  it('takes callbacks at registered paths alone, and lets no host header change that', async () => {
    let query = ''
    const { get } = api({
      finishLogin: async (input) => {
        query = 'query' in input ? String(input.query) : ''
        return { status: liveStatus, exchanged: true }
      },
    })
    const response = await get('/kite/callback?state=s&request_token=r', '')
    expect(response.status).toBe(200)
    expect(await response.text()).toContain('Live until 06:00 tomorrow')
    expect(query).toBe('state=s&request_token=r')
    await problem(await get('/other/callback?state=s', ''), 404, 'not-found')
  })

  it('writes to its log why a callback failed inside, and not that a link was old', async () => {
    const inside = new Error('disk gone')
    const failing = api({
      finishLogin: async () => {
        throw inside
      },
    })
    expect(await (await failing.get('/kite/callback?state=s')).text()).not.toContain('disk')
    expect(failing.reported).toEqual([inside])

    const old = api({
      finishLogin: async () => {
        throw new OpenbellError('login-expired', 'Too old.')
      },
    })
    expect((await old.get('/kite/callback?state=s')).status).toBe(410)
    expect(old.reported).toEqual([])
  })
})
