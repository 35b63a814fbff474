// The door, on its own loopback port, through which a person or another process makes things go wrong.
import { Hono } from 'hono'
import type { SimulatedClock } from './clock.ts'
import { FaultError, faultKinds, parseFault } from './faults.ts'
import type { FyersSimulator } from './fyers.ts'
import type { KiteSimulator } from './kite.ts'
import type { RotatingSimulator } from './rotating.ts'
import { openServer, type SimulatedServer } from './server.ts'
import type { TastytradeSimulator } from './tastytrade.ts'
import type { UpstoxSimulator } from './upstox.ts'

export interface Brokers {
  kite: KiteSimulator
  tastytrade: TastytradeSimulator
  fyers: FyersSimulator
  upstox: UpstoxSimulator
  rotating?: RotatingSimulator
}

type Outcome = Record<string, unknown> | undefined
type Actions = Record<string, () => Outcome | Promise<Outcome>>

export async function startControl(
  clock: SimulatedClock,
  brokers: Brokers,
  port: number,
): Promise<{ origin: string; close(): Promise<void> }> {
  const servers = Object.entries(brokers) as [string, SimulatedServer][]
  const actions: Record<string, Actions> = actionsOf(brokers)
  const named = (name: string | undefined) => servers.filter(([each]) => name === undefined || each === name)
  const clockState = () => ({ now: new Date(clock.now()).toISOString(), scale: clock.scale })

  const app = new Hono()
  app.onError((error) => {
    if (error instanceof FaultError || error instanceof RequestError) return problem(400, error.message)
    return problem(500, 'The control endpoint failed.')
  })
  app.notFound(() => problem(404, 'GET / lists what there is.'))

  app.get('/', (c) =>
    c.json({
      clock: clockState(),
      brokers: Object.fromEntries(servers.map(([name, { origin }]) => [name, origin])),
      faults: { 'POST /faults': { broker: servers.map(([name]) => name), kind: faultKinds } },
      actions: Object.entries(actions).flatMap(([name, all]) =>
        Object.keys(all).map((action) => `POST /${name}/${action}`),
      ),
      also: [
        'GET /faults',
        'DELETE /faults?broker=',
        'GET /log?broker=',
        'GET /counters',
        'GET /clock',
        'POST /clock',
      ],
    }),
  )

  app.get('/clock', (c) => c.json(clockState()))
  app.post('/clock', async (c) => {
    const change = await jsonBody(c.req.raw)
    const unknown = Object.keys(change).find(
      (name) => !['set', 'advanceMs', 'scale', 'follow'].includes(name),
    )
    if (unknown !== undefined) throw new RequestError(`The clock has no "${unknown}".`)
    const { set, advanceMs, scale, follow } = change
    if (set !== undefined && !Number.isFinite(instant(set)))
      throw new RequestError('"set" is an ISO 8601 time.')
    if (advanceMs !== undefined && !Number.isFinite(advanceMs))
      throw new RequestError('"advanceMs" is a number.')
    if (scale !== undefined && !(Number.isFinite(scale) && (scale as number) >= 0)) {
      throw new RequestError('"scale" is a number from 0.')
    }
    if (follow === true) clock.follow()
    if (set !== undefined) clock.set(instant(set))
    if (advanceMs !== undefined) clock.advance(advanceMs as number)
    if (scale !== undefined) clock.run(scale as number)
    return c.json(clockState())
  })

  app.get('/faults', (c) =>
    c.json(
      Object.fromEntries(named(c.req.query('broker')).map(([name, { faults }]) => [name, faults.list()])),
    ),
  )
  app.post('/faults', async (c) => {
    const { broker, ...fault } = await jsonBody(c.req.raw)
    const [target] = servers.filter(([name]) => name === broker)
    if (!target) throw new RequestError(`"broker" is one of ${servers.map(([name]) => name).join(', ')}.`)
    return c.json({ id: target[1].faults.set(parseFault(fault)) }, 201)
  })
  app.delete('/faults', (c) => {
    for (const [, { faults }] of named(c.req.query('broker'))) faults.clear()
    return c.body(null, 204)
  })

  app.get('/log', (c) =>
    c.json(
      named(c.req.query('broker'))
        .flatMap(([, server]) => server.log())
        .sort((a, b) => a.realMs - b.realMs),
    ),
  )
  app.get('/counters', (c) =>
    c.json({
      ...Object.fromEntries(servers.map(([name, server]) => [name, server.counters()])),
      ...(brokers.rotating ? { reuseEvents: brokers.rotating.reuseEvents() } : {}),
    }),
  )

  app.post('/:broker/:action', async (c) => {
    const { broker, action } = c.req.param()
    const all = Object.hasOwn(actions, broker) ? actions[broker] : undefined
    const act = all && Object.hasOwn(all, action) ? all[action] : undefined
    if (!act) return problem(404, 'GET / lists the actions there are.')
    return c.json((await act()) ?? {})
  })

  return openServer((request) => app.fetch(request), port)
}

function actionsOf({ kite, tastytrade, fyers, upstox, rotating }: Brokers): Record<string, Actions> {
  const silent = (act: () => void) => () => {
    act()
    return undefined
  }
  return {
    kite: {
      'end-session': silent(() => kite.endSession()),
      'another-login': silent(() => kite.anotherLogin()),
      'rotate-secret': () => ({ apiSecret: kite.rotateSecret() }),
    },
    tastytrade: {
      'end-session': silent(() => tastytrade.endSession()),
      revoke: silent(() => tastytrade.revoke()),
      'rotate-secret': () => ({ clientSecret: tastytrade.rotateSecret() }),
      'create-grant': () => ({ refreshToken: tastytrade.createGrant() }),
      unblock: silent(() => tastytrade.unblock()),
    },
    fyers: {
      'end-session': silent(() => fyers.endSession()),
      revoke: silent(() => fyers.revoke()),
      'rotate-secret': () => ({ secretKey: fyers.rotateSecret() }),
      'block-for-day': silent(() => fyers.blockForDay()),
      unblock: silent(() => fyers.unblock()),
    },
    upstox: {
      approve: async () => ({ ...(await upstox.approve()) }),
      reject: silent(() => upstox.reject()),
      'analytics-token': () => ({ analyticsToken: upstox.mintAnalyticsToken() }),
      'end-session': silent(() => upstox.endSession()),
      revoke: silent(() => upstox.revoke()),
      'rotate-secret': () => ({ clientSecret: upstox.rotateSecret() }),
    },
    ...(rotating
      ? {
          rotating: {
            'end-session': silent(() => rotating.endSession()),
            revoke: silent(() => rotating.revoke()),
            'rotate-secret': () => ({ clientSecret: rotating.rotateSecret() }),
            'create-grant': () => ({ refreshToken: rotating.createGrant() }),
          },
        }
      : {}),
  }
}

class RequestError extends Error {}

async function jsonBody(request: Request): Promise<Record<string, unknown>> {
  const body: unknown = await request.json().catch(() => undefined)
  if (typeof body !== 'object' || body === null) throw new RequestError('Send a JSON object.')
  return body as Record<string, unknown>
}

function instant(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : Number.NaN
}

function problem(status: number, detail: string): Response {
  return Response.json({ detail }, { status })
}
