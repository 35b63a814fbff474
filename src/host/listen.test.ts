import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener, request } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from './clock.ts'
import { forwardTo, listenAtRedirect, type RedirectListener } from './listen.ts'

const hasIpv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === '::1'),
)
const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

async function listen(uri: string, handler: RequestListener = hello): Promise<RedirectListener> {
  const listener = await listenAtRedirect(uri, handler)
  open.push(listener)
  return listener
}

const hello: RequestListener = (incoming, response) => response.end(`hello ${incoming.url}`)

function get(
  host: string,
  port: number,
  path: string,
): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    request({ host, port, path }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode, text }))
    })
      .on('error', reject)
      .end()
  })
}

describe('listenAtRedirect', () => {
  it('serves localhost on 127.0.0.1, at exactly the registered path', async () => {
    const port = await freePort()
    await listen(`http://localhost:${port}/kite/callback`)
    expect(await get('127.0.0.1', port, '/kite/callback?a=1')).toEqual({
      status: 200,
      text: 'hello /kite/callback?a=1',
    })
    for (const path of ['/', '/kite/callback/', '/favicon.ico', '/kite/callbackx']) {
      expect((await get('127.0.0.1', port, path)).status).toBe(404)
    }
  })

  it.runIf(hasIpv6)('serves localhost on ::1 as well (needs a machine with ::1)', async () => {
    const port = await freePort()
    await listen(`http://localhost:${port}/`)
    expect((await get('::1', port, '/')).status).toBe(200)
  })

  it('serves localhost on a machine that has no ::1', async () => {
    const port = await freePort()
    const Server = Object.getPrototypeOf(createHttpServer()).constructor.prototype
    const original = Server.listen
    vi.spyOn(Server, 'listen').mockImplementation(function (this: typeof Server, options: unknown, ...rest) {
      if ((options as { host?: string }).host !== '::1') return original.call(this, options, ...rest)
      queueMicrotask(() => this.emit('error', Object.assign(new Error('no'), { code: 'EADDRNOTAVAIL' })))
      return this
    })
    await listen(`http://localhost:${port}/`)
    expect((await get('127.0.0.1', port, '/')).status).toBe(200)
  })

  it('serves 127.0.0.1 on that address alone', async () => {
    const port = await freePort()
    await listen(`http://127.0.0.1:${port}/`)
    expect((await get('127.0.0.1', port, '/')).status).toBe(200)
    await expect(get('127.0.0.2', port, '/')).rejects.toThrow('ECONNREFUSED')
  })

  it.each([
    ['https://localhost:5000/', /not plain http/],
    ['http://bot.example.com:5000/', /not this machine/],
    ['http://192.168.1.5:5000/', /not this machine/],
    ['http://0.0.0.0:5000/', /not this machine/],
    ['nonsense', /not a URL/],
  ])('refuses %s and says what to do instead', async (uri, reason) => {
    const error = await listenAtRedirect(uri, hello).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'redirect-not-listenable', field: 'redirectUri' })
    expect(error.message).toMatch(reason)
    expect(error.message).toMatch(/paste the address/)
  })

  it('says in one sentence that the port is taken, and holds no half of it', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    open.push(other)
    const { port } = other.address() as AddressInfo
    await expect(listenAtRedirect(`http://localhost:${port}/`, hello)).rejects.toMatchObject({
      code: 'redirect-not-listenable',
      message: `Another program on this machine already listens on port ${port} of 127.0.0.1: log in and paste the address that the browser ends up on instead.`,
    })
  })

  it.runIf(hasIpv6)('lets go of 127.0.0.1 when ::1 is taken (needs a machine with ::1)', async () => {
    const other = createServer().listen(0, '::1')
    await once(other, 'listening')
    open.push(other)
    const { port } = other.address() as AddressInfo
    await expect(listenAtRedirect(`http://localhost:${port}/`, hello)).rejects.toMatchObject({
      code: 'redirect-not-listenable',
    })
    await listen(`http://127.0.0.1:${port}/`)
  })

  it('explains a port for which the user has no right', async () => {
    const Server = Object.getPrototypeOf(createHttpServer()).constructor.prototype
    vi.spyOn(Server, 'listen').mockImplementation(function (this: typeof Server) {
      queueMicrotask(() => this.emit('error', Object.assign(new Error('no'), { code: 'EACCES' })))
      return this
    })
    await expect(listenAtRedirect('http://127.0.0.1/', hello)).rejects.toThrow(/may not listen on port 80 /)
  })
})

describe('close', () => {
  it('ends idle and silent connections at once, and frees the port', async () => {
    const port = await freePort()
    const listener = await listen(`http://127.0.0.1:${port}/`)
    const silent: Socket = connect(port, '127.0.0.1')
    await once(silent, 'connect')
    const began = performance.now()
    await listener.close()
    expect(performance.now() - began).toBeLessThan(500)
    await once(silent.resume(), 'close')
    await listen(`http://127.0.0.1:${port}/`)
  })

  it('lets the page that is being written arrive', async () => {
    const port = await freePort()
    let listener: RedirectListener | undefined
    listener = await listen(`http://127.0.0.1:${port}/`, async (_, response) => {
      void listener?.close()
      await systemClock.sleep(100)
      response.end('live until tomorrow')
    })
    expect((await get('127.0.0.1', port, '/')).text).toBe('live until tomorrow')
  })

  it('does not wait for ever for one that is never finished', async () => {
    const port = await freePort()
    const listener = await listen(`http://127.0.0.1:${port}/`, () => {
      // never answers
    })
    const answer = get('127.0.0.1', port, '/').catch((error: Error) => error.message)
    await systemClock.sleep(50)
    const began = performance.now()
    await Promise.all([listener.close(), listener.close()])
    expect(performance.now() - began).toBeGreaterThan(1_500)
    expect(performance.now() - began).toBeLessThan(3_000)
    expect(await answer).toContain('socket hang up')
  })
})

describe('forwardTo', () => {
  it('sends a browser on from an address that tells nothing, and lets go of its port', async () => {
    const forward = await forwardTo('https://broker.example/login?state=canary-state')
    expect(forward.address).not.toContain('canary')
    const answer = await fetch(forward.address, { redirect: 'manual' })
    expect(answer.status).toBe(302)
    expect(answer.headers.get('location')).toBe('https://broker.example/login?state=canary-state')
    expect((await fetch(forward.address, { method: 'POST' })).status).toBe(405)
    await forward.close()
    await expect(fetch(forward.address)).rejects.toThrow()
  })
})
