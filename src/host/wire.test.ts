import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Server, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import { Answer, type NoAnswer, type Outcome, type WireRequest } from '../core/wire.ts'
import { systemClock } from './clock.ts'
import { createSend, isHttpsOrLoopback } from './wire.ts'

let send: ReturnType<typeof createSend>
const cleanUps: (() => void)[] = []

beforeEach(() => {
  send = createSend({ clock: systemClock })
})

afterEach(() => {
  send.close()
  for (const cleanUp of cleanUps.splice(0)) cleanUp()
})

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function http(handler: RequestListener): Promise<string> {
  const server = createHttpServer(handler)
  cleanUps.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${await listening(server)}`
}

/** A server that sees bytes; `connections` are those it has accepted. */
async function raw(
  onSocket: (socket: Socket) => void,
): Promise<{ origin: string; port: number; connections: Socket[] }> {
  const connections: Socket[] = []
  const server = createNetServer((socket) => {
    connections.push(socket)
    socket.on('error', () => {
      // resets are what these tests are about
    })
    onSocket(socket)
  })
  cleanUps.push(() => {
    server.close()
    for (const socket of connections) socket.destroy()
  })
  const port = await listening(server)
  return { origin: `http://127.0.0.1:${port}`, port, connections }
}

/** Answers these bytes to whatever comes, and keeps the connection open. */
const rawAnswer = (...lines: string[]) =>
  raw((socket) => socket.once('data', () => socket.write(lines.join('\r\n'))))

const get = (url: string, more: Partial<WireRequest> = {}): WireRequest => ({
  method: 'GET',
  url,
  headers: {},
  ...more,
})

const call = (url: string, more: Partial<WireRequest> = {}, deadlineMs = 5_000) =>
  send(get(url, more), { deadlineMs })

function answer(outcome: Outcome): Answer {
  expect(outcome).toBeInstanceOf(Answer)
  return outcome as Answer
}

function noAnswer(outcome: Outcome, sent: NoAnswer['sent'], cause: NoAnswer['cause']): NoAnswer {
  expect(outcome).toMatchObject({ kind: 'no-answer', sent, cause })
  return outcome as NoAnswer
}

async function timed<T>(work: Promise<T>): Promise<{ value: T; ms: number }> {
  const began = performance.now()
  const value = await work
  return { value, ms: performance.now() - began }
}

describe('what is sent', () => {
  it('is what the request says, secrets included', async () => {
    let seen: unknown
    const origin = await http(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const { method, url, headers } = request
      seen = { method, url, headers, body: Buffer.concat(chunks).toString() }
      response.end('{}')
    })
    await call(`${origin}/session/token`, {
      method: 'POST',
      query: { 'a b': 'ü&=+', code: new Secret('canary/code+1') },
      headers: { Authorization: new Secret('token canary-header'), 'X-Kite-Version': '3' },
      body: new Secret('{"pin":"canary-body ü"}'),
    })
    expect(seen).toMatchObject({
      method: 'POST',
      url: '/session/token?a%20b=%C3%BC%26%3D%2B&code=canary%2Fcode%2B1',
      headers: {
        authorization: 'token canary-header',
        'x-kite-version': '3',
        'user-agent': 'openbell',
        'accept-encoding': 'identity',
        connection: 'close',
        'content-length': '24',
      },
      body: '{"pin":"canary-body ü"}',
    })
  })

  it('carries the user agent of the settings, or of the request', async () => {
    const origin = await http((request, response) => {
      response.end(JSON.stringify(request.headers['user-agent']))
    })
    const other = createSend({ clock: systemClock, userAgent: 'openbell/1' })
    expect(answer(await other(get(origin), { deadlineMs: 5_000 })).body).toBe('openbell/1')
    expect(answer(await call(origin, { headers: { 'User-Agent': 'own' } })).body).toBe('own')
  })

  it('goes out on a fresh connection each time', async () => {
    const ports = new Set<number | undefined>()
    const origin = await http((request, response) => {
      ports.add(request.socket.remotePort)
      response.end('{}')
    })
    for (let round = 0; round < 3; round++) answer(await call(origin))
    expect(ports.size).toBe(3)
  })
})

describe('an answer', () => {
  it('has status, lower-case headers, parsed body and the time its headers came', async () => {
    const { origin } = await rawAnswer(
      'HTTP/1.1 403 Forbidden',
      'X-RateLimit-Reset: 12',
      'SET-COOKIE: a=1',
      'Set-Cookie: b=2',
      'Content-Length: 22',
      '',
      '{"status":"error","a":',
    )
    const { status, headers, body } = answer(await call(origin))
    expect({ status, body }).toEqual({ status: 403, body: undefined })
    expect(headers).toMatchObject({ 'x-ratelimit-reset': '12', 'set-cookie': 'a=1, b=2' })
  })

  it('is dated by the clock it was given', async () => {
    const origin = await http((_, response) => response.end('{}'))
    const dated = createSend({ clock: { ...systemClock, now: () => instant(1_790_000_000_000) } })
    expect(answer(await dated(get(origin), { deadlineMs: 5_000 })).receivedAt).toBe(1_790_000_000_000)
  })

  it('is not followed when it is a redirect', async () => {
    let calls = 0
    const origin = await http((_, response) => {
      calls++
      response.writeHead(302, { location: '/elsewhere' }).end()
    })
    expect(answer(await call(origin))).toMatchObject({ status: 302, headers: { location: '/elsewhere' } })
    expect(calls).toBe(1)
  })

  it('is tried once, whatever its status', async () => {
    let calls = 0
    const origin = await http((_, response) => {
      calls++
      response.writeHead(503, { 'retry-after': '0' }).end()
    })
    expect(answer(await call(origin)).status).toBe(503)
    expect(calls).toBe(1)
  })

  it.each([
    ['JSON that says it is HTML', 'text/html', '{"ok":true}', { ok: true }],
    ['JSON with a byte-order mark', 'application/json', '\uFEFF {"ok":1}\n', { ok: 1 }],
    ['HTML that says it is JSON', 'application/json', '<html>Service Unavailable</html>', undefined],
    ['invalid JSON', 'application/json', '{"access_token":', undefined],
    ['an empty body', 'application/json', '', undefined],
  ])('is read by content: %s', async (_, type, body, expected) => {
    const origin = await http((_, response) => response.writeHead(200, { 'content-type': type }).end(body))
    expect(answer(await call(origin)).body).toEqual(expected)
  })

  it.each([
    ['gzip', gzipSync],
    ['GZIP', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('is decoded when it comes as %s although nobody asked', async (encoding, encode) => {
    const origin = await http((_, response) =>
      response.writeHead(200, { 'content-encoding': encoding }).end(encode('{"ok":"ü"}')),
    )
    expect(answer(await call(origin)).body).toEqual({ ok: 'ü' })
  })

  it('has no body when it is not what its encoding says', async () => {
    const origin = await http((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('<html>'),
    )
    expect(answer(await call(origin))).toMatchObject({ status: 200, body: undefined })
  })

  it('keeps its body to itself when it is printed', async () => {
    const origin = await http((_, response) => response.end('{"access_token":"canary-printed"}'))
    const outcome = await call(origin)
    expect(`${inspect(outcome)} ${JSON.stringify(outcome)} ${outcome}`).not.toContain('canary')
  })

  it('is waited for when the deadline is further than a timer reaches', async () => {
    const origin = await http(async (_, response) => {
      await systemClock.sleep(30)
      response.end('{}')
    })
    answer(await call(origin, {}, 2 ** 40))
  })

  it('of exactly 1 MB is read', async () => {
    const body = JSON.stringify('x'.repeat(1024 * 1024 - 2))
    const origin = await http((_, response) => response.end(body))
    expect(answer(await call(origin)).body).toHaveLength(1024 * 1024 - 2)
  })
})

describe('no answer', () => {
  it('unsent: connection refused', async () => {
    const { port } = await raw(() => undefined)
    for (const cleanUp of cleanUps.splice(0)) cleanUp()
    const { message } = noAnswer(await call(`http://127.0.0.1:${port}/a`), 'unsent', 'unreachable')
    expect(message).toContain('ECONNREFUSED')
  })

  it('unsent: a name that does not exist, at once', async () => {
    const { value, ms } = await timed(call('https://broker.invalid/', {}, 5_000))
    noAnswer(value, 'unsent', 'unreachable')
    expect(ms).toBeLessThan(3_000)
  })

  it('unsent: garbage instead of a TLS handshake', async () => {
    let received = ''
    const { port } = await raw((socket) => {
      socket.on('data', (data) => {
        received += data.toString('latin1')
        socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
    })
    const outcome = await call(`https://127.0.0.1:${port}/x`, {
      headers: { authorization: new Secret('canary-tls') },
    })
    noAnswer(outcome, 'unsent', 'unreachable')
    expect(received).not.toContain('canary')
  })

  it('unsent: the deadline ends a TLS handshake that nobody answers, and nothing follows', async () => {
    let received = ''
    const { port, connections } = await raw((socket) => {
      socket.on('data', (data) => {
        received += data.toString('latin1')
      })
    })
    const { value, ms } = await timed(call(`https://127.0.0.1:${port}/x`, {}, 200))
    noAnswer(value, 'unsent', 'timeout')
    expect(Math.abs(ms - 200)).toBeLessThan(150)
    await systemClock.sleep(50)
    expect(connections[0]?.closed).toBe(true)
    expect(received).not.toContain('GET ')
  })

  it.each([0, -1, Number.NaN])('unsent: a deadline of %s ms', async (deadlineMs) => {
    const { origin, connections } = await raw(() => undefined)
    noAnswer(await call(origin, {}, deadlineMs), 'unsent', 'timeout')
    expect(connections).toHaveLength(0)
  })

  it.each([
    'http://api.kite.trade/session',
    'http://10.0.0.1/',
    'http://localhost.evil.test/',
    'http://127.0.0.1.evil.test/',
    'ftp://127.0.0.1/',
    'file:///etc/passwd',
    'not a URL',
  ])('unsent: policy refuses %s', async (url) => {
    noAnswer(await call(url), 'unsent', 'refused-by-policy')
  })

  it.each([
    'http://user:canary-pw@127.0.0.1/',
    'http://127.0.0.1/?token=canary-query',
    'http://127.0.0.1/#canary',
  ])(
    'unsent: a secret in the loggable part of the address, and the message does not repeat it',
    async (url) => {
      const { message } = noAnswer(await call(url), 'unsent', 'refused-by-policy')
      expect(message).not.toContain('canary')
    },
  )

  it('unsent: a header that HTTP cannot carry', async () => {
    const { origin, connections } = await raw(() => undefined)
    const outcome = await call(origin, { headers: { authorization: new Secret('canary\r\nx: y') } })
    expect(noAnswer(outcome, 'unsent', 'refused-by-policy').message).not.toContain('canary')
    expect(connections).toHaveLength(0)
  })

  it('maybe-sent: the connection is reset before any header', async () => {
    const { origin, connections } = await raw((socket) => socket.once('data', () => socket.resetAndDestroy()))
    noAnswer(await call(origin), 'maybe-sent', 'reset')
    expect(connections).toHaveLength(1)
  })

  it('maybe-sent: the server hangs up as soon as it has accepted, and is not called again', async () => {
    const { origin, connections } = await raw((socket) => socket.destroy())
    noAnswer(await call(origin), 'maybe-sent', 'reset')
    await systemClock.sleep(50)
    expect(connections).toHaveLength(1)
  })

  it('maybe-sent: something that is not HTTP', async () => {
    const { origin } = await rawAnswer('SSH-2.0-OpenSSH_9.2', '')
    noAnswer(await call(origin), 'maybe-sent', 'truncated')
  })

  it('maybe-sent: a body shorter than announced', async () => {
    const { origin } = await raw((socket) =>
      socket.once('data', () =>
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"access_token":"ab"}'),
      ),
    )
    noAnswer(await call(origin), 'maybe-sent', 'truncated')
  })

  it('maybe-sent: a chunked body without its end', async () => {
    const { origin } = await raw((socket) =>
      socket.once('data', () =>
        socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n'),
      ),
    )
    noAnswer(await call(origin), 'maybe-sent', 'truncated')
  })

  it.each([
    ['plain', undefined, (body: string) => body],
    ['unpacked', 'gzip', gzipSync],
  ])('maybe-sent: 5 MB (%s)', async (_, encoding, encode) => {
    const origin = await http((_, response) =>
      response
        .writeHead(200, encoding ? { 'content-encoding': encoding } : {})
        .end(encode(JSON.stringify('x'.repeat(5 * 1024 * 1024)))),
    )
    noAnswer(await call(origin), 'maybe-sent', 'too-large')
  })

  it('maybe-sent: headers without end', async () => {
    const { origin } = await rawAnswer('HTTP/1.1 200 OK', `x: ${'y'.repeat(100_000)}`)
    noAnswer(await call(origin), 'maybe-sent', 'too-large')
  })

  it.each([100, 400])('maybe-sent: no header within %s ms', async (deadlineMs) => {
    const { origin, connections } = await raw((socket) => socket.resume())
    const { value, ms } = await timed(call(origin, {}, deadlineMs))
    noAnswer(value, 'maybe-sent', 'timeout')
    expect(Math.abs(ms - deadlineMs)).toBeLessThan(150)
    await systemClock.sleep(50)
    expect(connections[0]?.closed).toBe(true)
  })

  it('maybe-sent: a body that drips on past the deadline', async () => {
    const { origin } = await raw((socket) => {
      socket.once('data', async () => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n')
        while (!socket.destroyed) {
          socket.write(' ')
          await systemClock.sleep(20)
        }
      })
    })
    const { value, ms } = await timed(call(origin, {}, 300))
    noAnswer(value, 'maybe-sent', 'timeout')
    expect(Math.abs(ms - 300)).toBeLessThan(150)
  })

  it('is what close makes of the requests under way and of all later ones', async () => {
    const { origin, connections } = await raw(() => undefined)
    const waiting = call(origin)
    while (connections.length === 0) await systemClock.sleep(5)
    send.close()
    noAnswer(await waiting, 'maybe-sent', 'reset')
    noAnswer(await call(origin), 'unsent', 'refused-by-policy')
    expect(connections).toHaveLength(1)
  })

  it('never repeats a secret or the query in its message', async () => {
    const { origin } = await raw((socket) => socket.destroy())
    const secret = new Secret('canary-message')
    const request = { headers: { authorization: secret }, query: { code: secret }, body: secret }
    for (const url of [`${origin}/x`, 'https://broker.invalid/x', `${origin.replace('http', 'https')}/x`]) {
      expect(JSON.stringify(await call(url, { method: 'POST', ...request }))).not.toContain('canary')
    }
  })
})

describe('bytes from nowhere', () => {
  it('never throw, and never pass for unsent once the connection stood', async () => {
    let bytes = Buffer.alloc(0)
    const { origin } = await raw((socket) => socket.once('data', () => socket.end(bytes)))
    const noise = fc.uint8Array({ maxLength: 300 }).map((data) => Buffer.from(data))
    const afterHead = noise.map((data) =>
      Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n'), data]),
    )
    await fc.assert(
      fc.asyncProperty(fc.oneof(noise, afterHead), async (data) => {
        bytes = data
        const outcome = await call(origin, {}, 2_000)
        expect(outcome.kind === 'answer' || outcome.sent === 'maybe-sent').toBe(true)
      }),
      { numRuns: 100 },
    )
  })
})

describe('isHttpsOrLoopback', () => {
  it.each(['https://api.kite.trade', 'http://localhost:9', 'http://127.9.9.9', 'http://[::1]:8080'])(
    '%s',
    (url) => {
      expect(isHttpsOrLoopback(new URL(url))).toBe(true)
    },
  )

  it.each(['http://example.com', 'http://0.0.0.0', 'http://[::2]', 'http://128.0.0.1', 'ws://localhost'])(
    'not %s',
    (url) => {
      expect(isHttpsOrLoopback(new URL(url))).toBe(false)
    },
  )
})
