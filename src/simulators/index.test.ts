import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import {
  announcement,
  createClock,
  type Simulators,
  type SimulatorsOptions,
  startSimulators,
} from './index.ts'

let simulators: Simulators

async function start(options: SimulatorsOptions = {}) {
  simulators = await startSimulators(options)
  return simulators
}

afterEach(() => simulators.close())

async function control(method: string, path: string, body?: unknown) {
  const response = await fetch(simulators.control + path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
}

const renew = (refreshToken = simulators.tastytrade.refreshToken) =>
  fetch(`${simulators.tastytrade.baseUrl}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      client_secret: simulators.tastytrade.clientSecret,
    }),
  })

describe('starting', () => {
  it('makes credentials up, different each time, and announces them', async () => {
    const first = announcement(await start({ rotating: {} }))
    await simulators.close()
    const second = announcement(await start())
    expect(first.kite.login).toBe(`${first.kite.root}/connect/login`)
    expect(Object.keys(first)).toEqual(['kite', 'tastytrade', 'fyers', 'upstox', 'rotating', 'control'])
    expect(Object.keys(second)).toEqual(['kite', 'tastytrade', 'fyers', 'upstox', 'control'])
    expect(second.kite.apiSecret).not.toBe(first.kite.apiSecret)
    expect(second.tastytrade.refreshToken).not.toBe(first.tastytrade.refreshToken)
    expect(second.fyers.secretKey).not.toBe(first.fyers.secretKey)
    expect(second.upstox.clientSecret).not.toBe(first.upstox.clientSecret)
    for (const address of [
      first.kite.root,
      first.tastytrade.baseUrl,
      first.fyers.api,
      first.upstox.basePath,
      first.control,
    ]) {
      expect(new URL(address).hostname).toBe('127.0.0.1')
    }
  })

  it('takes the credentials and the clock it is given', async () => {
    const clock = createClock({ source: () => 5 })
    const {
      kite,
      tastytrade,
      clock: used,
    } = await start({
      clock,
      kite: { apps: [{ apiKey: 'canary-key', apiSecret: 'canary-secret' }] },
      tastytrade: { clientSecret: 'canary-client-secret', refreshToken: 'canary-refresh' },
    })
    expect(used).toBe(clock)
    expect([kite.apiKey, kite.apiSecret]).toEqual(['canary-key', 'canary-secret'])
    expect([tastytrade.clientSecret, tastytrade.refreshToken]).toEqual([
      'canary-client-secret',
      'canary-refresh',
    ])
    expect((await renew()).status).toBe(200)
  })

  it('closes what had started when a port is taken, and may be closed twice', async () => {
    await start()
    const port = (address: string) => Number(new URL(address).port)
    const free = port(simulators.kite.root)
    await Promise.all([simulators.close(), simulators.close()])
    await start()
    const taken = port(simulators.control)
    await expect(startSimulators({ kite: { port: free }, tastytrade: { port: taken } })).rejects.toThrow(
      'EADDRINUSE',
    )
    await simulators.close()
    await start({ kite: { port: free }, controlPort: taken })
    expect([port(simulators.kite.root), port(simulators.control)]).toEqual([free, taken])
  })

  it('leaves its process as it was: no replaced globals, no timer of clients that are gone, an end', async () => {
    const program = `
      import { startSimulators } from ${JSON.stringify(import.meta.resolve('./index.ts'))}
      const globals = [Request, Response]
      const { kite, tastytrade, rotating, close } = await startSimulators({ rotating: { answerDelayMs: 60_000 } })
      const askFor = (address, init) => fetch(address, init).catch(() => 'failed')
      tastytrade.faults.set({ kind: 'withhold' })
      const body = new URLSearchParams({ grant_type: 'x', client_id: rotating.clientId, client_secret: rotating.clientSecret })
      await Promise.all([
        askFor(tastytrade.baseUrl, { signal: AbortSignal.timeout(100) }),
        askFor(rotating.baseUrl + '/token', { method: 'POST', body, signal: AbortSignal.timeout(100) }),
      ])
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
      const giveUpAt = performance.now() + 1_000
      while (timers() > 0 && performance.now() < giveUpAt) await new Promise((done) => setImmediate(done))
      const timersLeft = timers()
      kite.faults.set({ kind: 'latency', ms: 60_000 })
      tastytrade.faults.clear()
      tastytrade.faults.set({ kind: 'withhold' })
      const waiting = [askFor(kite.root), askFor(tastytrade.baseUrl)]
      while (kite.log().length + tastytrade.log().length < 3) await new Promise((done) => setImmediate(done))
      await close()
      const globalsReplaced = globals[0] !== Request || globals[1] !== Response
      console.log(JSON.stringify({ globalsReplaced, timersLeft, outcomes: await Promise.all(waiting) }))
    `
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
      timeout: 5_000,
    })
    expect(JSON.parse((await run).stdout)).toEqual({
      globalsReplaced: false,
      timersLeft: 0,
      outcomes: ['failed', 'failed'],
    })
  })
})

describe('the control endpoint', () => {
  it('sets and clears faults per broker', async () => {
    await start()
    const set = await control('POST', '/faults', {
      broker: 'tastytrade',
      kind: 'status',
      status: 503,
      times: 1,
    })
    expect(set).toEqual({ status: 201, body: { id: 1 } })
    expect((await control('GET', '/faults')).body).toMatchObject({
      kite: [],
      tastytrade: [{ kind: 'status' }],
    })
    expect([(await renew()).status, (await renew()).status]).toEqual([503, 200])

    await control('POST', '/faults', { broker: 'tastytrade', kind: 'truncate' })
    expect((await control('DELETE', '/faults?broker=kite')).status).toBe(204)
    await expect(renew().then((answer) => answer.json())).rejects.toThrow()
    await control('DELETE', '/faults')
    expect((await renew()).status).toBe(200)
  })

  it.each([
    [{ broker: 'nobody', kind: 'truncate' }, 'kite, tastytrade, fyers, upstox'],
    [{ broker: 'kite', kind: 'sulk' }, '"kind" is one of'],
    [7, 'JSON object'],
  ])('says what is wrong with the fault %o', async (body, words) => {
    await start()
    const answer = await control('POST', '/faults', body)
    expect(answer.status).toBe(400)
    expect(answer.body.detail).toContain(words)
  })

  it('moves the clock', async () => {
    await start({ clock: { source: () => 0 } })
    const post = async (body: unknown) => (await control('POST', '/clock', body)).body
    expect(await post({ set: '2026-11-23T06:00:00+05:30', scale: 0 })).toEqual({
      now: '2026-11-23T00:30:00.000Z',
      scale: 0,
    })
    expect(await post({ advanceMs: 60_000 })).toMatchObject({ now: '2026-11-23T00:31:00.000Z' })
    expect(simulators.clock.now()).toBe(Date.parse('2026-11-23T00:31:00Z'))
    expect(await post({ follow: true })).toEqual({ now: '1970-01-01T00:00:00.000Z', scale: 1 })
    for (const wrong of [{ set: 'soon' }, { advanceMs: '5' }, { scale: -1 }, { jump: 1 }]) {
      expect((await control('POST', '/clock', wrong)).status).toBe(400)
    }
  })

  it('runs every action it lists', async () => {
    await start({ rotating: {} })
    const { actions } = (await control('GET', '/')).body as { actions: string[] }
    expect(actions).toHaveLength(23)
    for (const action of actions) {
      const [method = '', path = ''] = action.split(' ')
      expect((await control(method, path)).status).toBe(200)
    }
    expect((await control('POST', '/kite/fly')).status).toBe(404)
    expect((await control('POST', '/constructor/name')).status).toBe(404)
  })

  it('revokes, rotates the secret, and gives what replaces them', async () => {
    await start()
    await control('POST', '/tastytrade/revoke')
    expect((await renew()).status).toBe(400)
    const { refreshToken } = (await control('POST', '/tastytrade/create-grant')).body
    expect((await renew(refreshToken)).status).toBe(200)
    const { clientSecret } = (await control('POST', '/tastytrade/rotate-secret')).body
    expect(clientSecret).toBe(simulators.tastytrade.clientSecret)
  })

  it('blocks, approves and mints for the brokers in India', async () => {
    await start()
    const { fyers, upstox } = simulators
    // A call without a known token counts for whatever stands before the colon.
    const profile = async () =>
      (await fetch(`${fyers.api}/profile`, { headers: { authorization: `${fyers.userIds[0]}:x` } })).status
    await control('POST', '/fyers/block-for-day')
    expect(await profile()).toBe(429)
    await control('POST', '/fyers/unblock')
    expect(await profile()).toBe(401)

    expect((await control('POST', '/upstox/approve')).body).toEqual({ approved: false })
    await fetch(`${upstox.basePath}/v3/login/auth/token/request/${upstox.clientId}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_secret: upstox.clientSecret }),
    })
    expect((await control('POST', '/upstox/approve')).body).toMatchObject({ approved: true })
    const { analyticsToken } = (await control('POST', '/upstox/analytics-token')).body
    const status = await fetch(`${upstox.basePath}/v2/market/status/NSE`, {
      headers: { authorization: `Bearer ${analyticsToken}` },
    })
    expect(status.status).toBe(200)
  })

  it('shows the log and the counters, without any secret', async () => {
    await start({ rotating: {} })
    const { kite, tastytrade } = simulators
    await renew()
    simulators.clock.advance(-60_000)
    await fetch(`${kite.root}/session/token?api_key=${kite.apiKey}&access_token=canary-access`, {
      method: 'DELETE',
    })
    const log = (await control('GET', '/log')).body
    expect(log).toMatchObject([
      { broker: 'tastytrade', method: 'POST', path: '/oauth/token', status: 200 },
      { broker: 'kite', method: 'DELETE', path: '/session/token', status: 403 },
    ])
    expect((await control('GET', '/log?broker=kite')).body).toHaveLength(1)
    const counters = (await control('GET', '/counters')).body
    expect(counters).toEqual({
      kite: { 'DELETE /session/token': 1 },
      tastytrade: { 'POST /oauth/token': 1 },
      fyers: {},
      upstox: {},
      rotating: {},
      reuseEvents: 0,
    })
    const everything = JSON.stringify([log, counters, (await control('GET', '/')).body])
    for (const secret of [
      'canary-access',
      tastytrade.refreshToken,
      tastytrade.clientSecret,
      kite.apiSecret,
      simulators.fyers.secretKey,
      simulators.upstox.clientSecret,
    ]) {
      expect(everything).not.toContain(secret)
    }
  })
})
