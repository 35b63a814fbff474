// One simulated broker on a loopback port: runs its routes, applies the faults that are set, keeps the log.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Hono } from 'hono'
import { realElapsed, realWait, type SimulatedClock } from './clock.ts'
import { createFaults, type Fault, type Faults, isLostBeforeHandling } from './faults.ts'

export interface BrokerEnv {
  Bindings: HttpBindings & {
    /** A token made now is to be dead on arrival: the `expired-token` fault. */
    deadOnArrival: boolean
  }
}

/** One request as the simulator saw it. The query and the body, where secrets travel, are never kept. */
export interface LogEntry {
  broker: string
  /** Simulated time, ISO 8601 in UTC. */
  at: string
  /** Real milliseconds since some fixed moment: the order of requests and the time between them. */
  realMs: number
  method: string
  path: string
  /** The HTTP status, or what became of the request instead of an answer. */
  status: number | 'open' | 'reset' | 'withheld' | 'truncated'
  /** The faults that struck it. */
  faults: string[]
}

export interface SimulatedServer {
  /** `http://127.0.0.1:port` */
  origin: string
  faults: Faults
  /** The last 5,000 requests, oldest first. */
  log(): LogEntry[]
  /** Requests since the start, by `METHOD /path`. */
  counters(): Record<string, number>
  /** Ends every connection, also the ones that are being held; may be called twice. */
  close(): Promise<void>
}

export interface ServerOptions {
  name: string
  /** 0 takes any free port. */
  port: number
  clock: SimulatedClock
  app: Hono<BrokerEnv>
  /** A refusal in the broker's own words and shape, for the `status` fault. */
  refusal(status: number): Response
  /** Says of a peer address that it gets no answers at all. */
  isIgnored?(address: string): boolean
}

const LOG_LENGTH = 5_000
const HOLD_MS = 60_000

export async function startServer(options: ServerOptions): Promise<SimulatedServer> {
  const { name, clock, app } = options
  const faults = createFaults()
  const log: LogEntry[] = []
  const counters: Record<string, number> = {}
  const closing = new AbortController()

  const note = (method: string, path: string): LogEntry => {
    const entry: LogEntry = {
      broker: name,
      at: new Date(clock.now()).toISOString(),
      realMs: realElapsed(),
      method,
      path,
      status: 'open',
      faults: [],
    }
    log.push(entry)
    if (log.length > LOG_LENGTH) log.shift()
    const key = `${method} ${path}`
    counters[key] = (counters[key] ?? 0) + 1
    return entry
  }

  const answer = async (request: Request, { incoming, outgoing }: HttpBindings): Promise<Response> => {
    const path = new URL(request.url).pathname
    const entry = note(request.method, path)
    if (options.isIgnored?.(incoming.socket.remoteAddress ?? '')) {
      entry.status = 'withheld'
      return hold(incoming, outgoing, HOLD_MS, closing.signal)
    }

    const struck = faults.take(request.method, path)
    entry.faults = struck.map((fault) => fault.kind)
    const deadOnArrival = struck.some((fault) => fault.kind === 'expired-token')
    let response = struck.some(isLostBeforeHandling)
      ? new Response()
      : await app.fetch(request, { incoming, outgoing, deadOnArrival })

    for (const fault of struck) {
      if (fault.kind === 'latency') await realWait(fault.ms, closing.signal)
      if (fault.kind === 'reset') {
        entry.status = 'reset'
        incoming.socket.resetAndDestroy()
        return RESPONSE_ALREADY_SENT
      }
      if (fault.kind === 'withhold') {
        entry.status = 'withheld'
        return hold(incoming, outgoing, fault.forMs ?? HOLD_MS, closing.signal)
      }
      response = await spoil(response, fault, options.refusal)
    }

    const skewSeconds = struck.reduce(
      (sum, fault) => sum + (fault.kind === 'date-skew' ? fault.seconds : 0),
      0,
    )
    const headers = new Headers(response.headers)
    headers.set('date', new Date(clock.now() + skewSeconds * 1000).toUTCString())
    if (struck.some((fault) => fault.kind === 'truncate')) {
      entry.status = 'truncated'
      return truncate(response, headers, outgoing)
    }
    entry.status = response.status
    return new Response(response.body, { status: response.status, headers })
  }

  const server = await openServer(answer, options.port)
  return {
    origin: server.origin,
    faults,
    log: () => log.map((entry) => ({ ...entry })),
    counters: () => ({ ...counters }),
    async close() {
      closing.abort()
      await server.close()
    },
  }
}

/** Serves on 127.0.0.1; closing ends every connection and may be done twice. */
export async function openServer(
  answer: (request: Request, env: HttpBindings) => Response | Promise<Response>,
  port: number,
): Promise<{ origin: string; close(): Promise<void> }> {
  const server = createAdaptorServer({
    fetch: (request, env) => answer(request, env as HttpBindings),
    // The simulators run inside other people's processes: their Request and Response stay what they are.
    overrideGlobalObjects: false,
  }) as Server
  await new Promise<void>((done, fail) => {
    server.once('error', fail)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', fail)
      done()
    })
  })
  let closed: Promise<void> | undefined
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      closed ??= new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      })
      return closed
    },
  }
}

/** Keeps a request waiting until the client gives up, the time is over or the simulator closes. */
async function hold(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  ms: number,
  closing: AbortSignal,
): Promise<Response> {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort())
  await realWait(ms, AbortSignal.any([gone.signal, closing]))
  incoming.socket.destroy()
  return RESPONSE_ALREADY_SENT
}

async function spoil(
  response: Response,
  fault: Fault,
  refusal: (status: number) => Response,
): Promise<Response> {
  switch (fault.kind) {
    case 'status': {
      const refused = refusal(fault.status)
      if (fault.retryAfterSeconds !== undefined) {
        refused.headers.set('retry-after', String(fault.retryAfterSeconds))
      }
      return refused
    }
    case 'html':
      return new Response(
        '<!doctype html><html><head><title>Access denied</title></head><body><h1>Access denied</h1></body></html>\n',
        { status: fault.status ?? 200, headers: { 'content-type': 'text/html; charset=utf-8' } },
      )
    case 'garbage':
      return new Response('{"status": success, "data": {{', {
        headers: { 'content-type': 'application/json' },
      })
    case 'missing':
      return withoutFields(response, fault.fields)
    default:
      return response
  }
}

async function withoutFields(response: Response, fields: string[]): Promise<Response> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  if (body === undefined) return response
  for (const field of fields) {
    const names = field.split('.')
    const last = names.pop() ?? ''
    let inner: unknown = body
    for (const name of names) inner = (inner as Record<string, unknown> | null | undefined)?.[name]
    if (typeof inner === 'object' && inner !== null) delete (inner as Record<string, unknown>)[last]
  }
  return new Response(JSON.stringify(body), { status: response.status, headers: response.headers })
}

async function truncate(response: Response, headers: Headers, outgoing: ServerResponse): Promise<Response> {
  const body = Buffer.from(await response.arrayBuffer())
  headers.set('content-length', String(body.length))
  outgoing.writeHead(response.status, Object.fromEntries(headers))
  outgoing.write(body.subarray(0, Math.floor(body.length / 2)), () => outgoing.socket?.destroy())
  return RESPONSE_ALREADY_SENT
}
