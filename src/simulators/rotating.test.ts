import { afterEach, expect, it } from 'vitest'
import { createClock } from './clock.ts'
import { type RotatingOptions, type RotatingSimulator, startRotating } from './rotating.ts'

const clock = createClock({ source: () => 0 })
let broker: RotatingSimulator

async function start(options: RotatingOptions = {}) {
  clock.set(Date.parse('2026-11-23T03:00:00Z'))
  broker = await startRotating(clock, options)
}

afterEach(() => broker.close())

interface Answer {
  status: number
  access_token: string
  refresh_token: string
  expires_in: number
  error?: string
}

async function token(fields: Record<string, string>, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`${broker.baseUrl}/token`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: broker.clientId, client_secret: broker.clientSecret, ...fields }),
    ...init,
  })
  return { status: response.status, ...((await response.json()) as Omit<Answer, 'status'>) }
}

const renew = (refreshToken: string, init?: RequestInit) =>
  token({ grant_type: 'refresh_token', refresh_token: refreshToken }, init)

const me = async (accessToken: string) =>
  fetch(`${broker.baseUrl}/me`, { headers: { authorization: `Bearer ${accessToken}` } })

async function code() {
  const answer = await fetch(broker.authorize, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({
      client_id: broker.clientId,
      redirect_uri: broker.redirectUri,
      state: 'abc',
      user: 'R2',
    }),
  })
  return new URL(answer.headers.get('location') ?? '').searchParams
}

const exchange = (value: string) =>
  token({ grant_type: 'authorization_code', code: value, redirect_uri: broker.redirectUri })

it('rotates the refresh token with each use', async () => {
  await start({ accessTokenSeconds: 60 })
  const first = await renew(broker.refreshToken)
  const second = await renew(first.refresh_token)
  expect(second).toMatchObject({ status: 200, expires_in: 60, user_id: 'R1' })
  expect(await (await me(second.access_token)).json()).toEqual({ user_id: 'R1', name: 'Kim Berg' })
  clock.advance(60_000)
  expect((await me(second.access_token)).status).toBe(401)
  expect([broker.tokenRequests(), broker.reuseEvents()]).toEqual([2, 0])
})

it('revokes the whole family, and counts it, when a spent token comes back', async () => {
  await start()
  const other = broker.createGrant('R2')
  const first = await renew(broker.refreshToken)
  expect(await renew(broker.refreshToken)).toMatchObject({ status: 400, error: 'invalid_grant' })
  expect(broker.reuseEvents()).toBe(1)
  expect((await renew(first.refresh_token)).error).toBe('invalid_grant')
  expect((await me(first.access_token)).status).toBe(401)
  expect(broker.reuseEvents()).toBe(1)
  expect((await renew(other)).status).toBe(200)
})

it('exchanges a code once; a second time revokes what came of it', async () => {
  await start()
  const back = await code()
  expect(back.get('state')).toBe('abc')
  const tokens = await exchange(back.get('code') ?? '')
  expect(await (await me(tokens.access_token)).json()).toMatchObject({ user_id: 'R2' })
  expect((await exchange(back.get('code') ?? '')).error).toBe('invalid_grant')
  expect((await me(tokens.access_token)).status).toBe(401)
  expect(broker.reuseEvents()).toBe(1)
})

it('shows a page only to its own client, and takes no old code', async () => {
  await start()
  const query = { client_id: broker.clientId, redirect_uri: broker.redirectUri, response_type: 'code' }
  const page = (changed = {}) => fetch(`${broker.authorize}?${new URLSearchParams({ ...query, ...changed })}`)
  expect(await (await page()).text()).toContain('This is a simulator.')
  for (const wrong of [
    { client_id: 'x' },
    { redirect_uri: 'https://x.example' },
    { response_type: 'token' },
  ]) {
    expect((await page(wrong)).status).toBe(400)
  }
  const old = (await code()).get('code') ?? ''
  clock.advance(60_000)
  expect((await exchange(old)).status).toBe(400)
})

it('spends at once but answers late, so that an answer can be missed', async () => {
  await start({ answerDelayMs: 80 })
  await expect(renew(broker.refreshToken, { signal: AbortSignal.timeout(30) })).rejects.toThrow()
  broker.setAnswerDelay(0)
  expect(await renew(broker.refreshToken)).toMatchObject({ status: 400, error: 'invalid_grant' })
  expect(broker.reuseEvents()).toBe(1)
})

it('lets a slow answer not delay closing', async () => {
  await start({ answerDelayMs: 60_000 })
  const waiting = renew(broker.refreshToken).catch(() => 'failed')
  while (broker.tokenRequests() === 0) await new Promise((done) => setTimeout(done, 5))
  await broker.close()
  expect(await waiting).toBe('failed')
})

it('can be told to revoke, to end access, and to change its secret', async () => {
  await start()
  const { access_token, refresh_token } = await renew(broker.refreshToken)
  broker.endSession()
  expect((await me(access_token)).status).toBe(401)
  const old = broker.clientSecret
  broker.rotateSecret()
  expect(await token({ client_secret: old, grant_type: 'refresh_token', refresh_token })).toMatchObject({
    status: 401,
    error: 'invalid_client',
  })
  const renewed = await renew(refresh_token)
  expect(renewed.status).toBe(200)
  broker.revoke()
  expect((await me(renewed.access_token)).status).toBe(401)
  expect((await renew(renewed.refresh_token)).error).toBe('invalid_grant')
})

it('can answer with a token dead on arrival', async () => {
  await start()
  broker.faults.set({ kind: 'expired-token' })
  const answer = await renew(broker.refreshToken)
  expect(answer.expires_in).toBe(0)
  expect((await me(answer.access_token)).status).toBe(401)
})
