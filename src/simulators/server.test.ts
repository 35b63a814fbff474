import { connect } from 'node:net'
import { Hono } from 'hono'
import { afterEach, expect, it } from 'vitest'
import { createClock } from './clock.ts'
import { type BrokerEnv, type SimulatedServer, startServer } from './server.ts'

const clock = createClock({ source: () => Date.parse('2026-11-23T03:00:00Z') })
let server: SimulatedServer
let handled = 0

async function start(isIgnored?: () => boolean) {
  handled = 0
  const app = new Hono<BrokerEnv>()
  app.get('/thing', (c) => {
    handled += 1
    return c.json({ data: { name: 'bell', size: 3 }, dead: c.env.deadOnArrival })
  })
  server = await startServer({
    name: 'test',
    port: 0,
    clock,
    app,
    refusal: (status) => Response.json({ refused: status }, { status }),
    ...(isIgnored ? { isIgnored } : {}),
  })
}

afterEach(() => server.close())

const ask = (init?: RequestInit) => fetch(`${server.origin}/thing`, init)
const settled = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    () => 'failed',
  )

it('answers as the broker would when nothing is set, with the simulated date', async () => {
  await start()
  const response = await ask()
  expect(await response.json()).toEqual({ data: { name: 'bell', size: 3 }, dead: false })
  expect(response.headers.get('date')).toBe('Mon, 23 Nov 2026 03:00:00 GMT')
})

it('delays', async () => {
  await start()
  server.faults.set({ kind: 'latency', ms: 60 })
  const began = performance.now()
  await ask()
  expect(performance.now() - began).toBeGreaterThan(55)
})

it.each([{ kind: 'reset', times: 1 } as const, { kind: 'withhold', forMs: 20, times: 1 } as const])(
  'loses the answer without or with the work done: %o',
  async (fault) => {
    await start()
    server.faults.set(fault)
    expect(await settled(ask())).toBe('failed')
    expect(handled).toBe(0)
    server.faults.set({ ...fault, handled: true })
    expect(await settled(ask())).toBe('failed')
    expect(handled).toBe(1)
    expect((await ask()).status).toBe(200)
  },
)

it('cuts the body after true headers', async () => {
  await start()
  const whole = await (await ask()).text()
  server.faults.set({ kind: 'truncate' })
  const response = await ask()
  expect(response.status).toBe(200)
  expect(response.headers.get('content-length')).toBe(String(whole.length))
  expect(await settled(response.text())).toBe('failed')
  expect(server.log().at(-1)).toMatchObject({ status: 'truncated', faults: ['truncate'] })
})

it('refuses in the words of the broker, with and without Retry-After', async () => {
  await start()
  server.faults.set({ kind: 'status', status: 429, retryAfterSeconds: 7, times: 1 })
  server.faults.set({ kind: 'status', status: 503, times: 2 })
  // Both strike the first request; the later one has the last word.
  expect((await ask()).status).toBe(503)
  const second = await ask()
  expect([second.status, await second.json()]).toEqual([503, { refused: 503 }])
  expect(second.headers.get('retry-after')).toBeNull()
  server.faults.set({ kind: 'status', status: 429, retryAfterSeconds: 7, times: 1 })
  expect((await ask()).headers.get('retry-after')).toBe('7')
})

it('answers HTML, garbage, holes, a wrong date, and a token dead on arrival', async () => {
  await start()
  server.faults.set({ kind: 'html', times: 1 })
  const html = await ask()
  expect([html.status, html.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  expect(await html.text()).toContain('Access denied')

  server.faults.set({ kind: 'garbage', times: 1 })
  const garbage = await ask()
  expect(garbage.headers.get('content-type')).toBe('application/json')
  await expect(garbage.json()).rejects.toThrow(SyntaxError)

  server.faults.set({ kind: 'missing', fields: ['data.name', 'nowhere.at.all'], times: 1 })
  expect(await (await ask()).json()).toEqual({ data: { size: 3 }, dead: false })

  server.faults.set({ kind: 'date-skew', seconds: 90, times: 1 })
  expect((await ask()).headers.get('date')).toBe('Mon, 23 Nov 2026 03:01:30 GMT')

  server.faults.set({ kind: 'expired-token', times: 1 })
  expect(await (await ask()).json()).toMatchObject({ dead: true })
})

it('keeps a peer that is ignored waiting, and lets go when the client gives up', async () => {
  await start(() => true)
  expect(await settled(ask({ signal: AbortSignal.timeout(50) }))).toBe('failed')
  expect([handled, server.log().at(-1)?.status]).toEqual([0, 'withheld'])
})

it('closes completely although requests and idle sockets hang on it', async () => {
  await start()
  await ask()
  const idle = connect(Number(new URL(server.origin).port), '127.0.0.1')
  idle.on('error', () => {})
  await new Promise((done) => idle.once('connect', done))
  server.faults.set({ kind: 'withhold' })
  const held = settled(ask())
  server.faults.set({ kind: 'latency', ms: 60_000, path: '/thing' })
  while (server.log().at(-1)?.status !== 'withheld') await new Promise((done) => setTimeout(done, 5))
  const began = performance.now()
  await Promise.all([server.close(), server.close()])
  expect(await held).toBe('failed')
  expect(performance.now() - began).toBeLessThan(1_000)
  await expect(ask()).rejects.toThrow()
})

it('logs method, path, status and time, and nothing that could be a secret', async () => {
  await start()
  await fetch(`${server.origin}/thing?access_token=canary-query-4711`, {
    headers: { authorization: 'token canary-header-4711' },
  })
  expect(server.log()).toEqual([
    {
      broker: 'test',
      at: '2026-11-23T03:00:00.000Z',
      realMs: expect.any(Number),
      method: 'GET',
      path: '/thing',
      status: 200,
      faults: [],
    },
  ])
  expect(server.counters()).toEqual({ 'GET /thing': 1 })
  expect(JSON.stringify([server.log(), server.counters()])).not.toContain('canary')
})
