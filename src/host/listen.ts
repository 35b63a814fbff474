/** Listens exactly where a broker sends the browser after a login. */

import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIPv4 } from 'node:net'
import { OpenbellError } from '../core/errors.ts'
import { secondMs } from '../core/time.ts'

export interface RedirectListener {
  /** Lets a page that is being written reach the browser, for 2 s at most, then ends every connection. */
  close(): Promise<void>
}

/** A page that a browser has not read by then it will not read. */
const graceMs = 2 * secondMs

/**
 * Hands requests for the redirect's own path to `handler` and answers 404 to all others. `localhost` is 127.0.0.1 and ::1,
 * because browsers try either; where the machine has no ::1, the former alone.
 *
 * Throws `redirect-not-listenable`: not plain http, not loopback, port taken, or no right to a port below 1024.
 */
export async function listenAtRedirect(
  redirectUri: string,
  handler: RequestListener,
): Promise<RedirectListener> {
  const url = URL.parse(redirectUri)
  if (!url) throw notListenable(`The redirect "${redirectUri}" is not a URL`)
  if (url.protocol !== 'http:')
    throw notListenable(`${url.origin} is not plain http on this machine, so Openbell cannot listen there`)

  const addresses = loopbackAddresses(url.hostname)
  if (addresses.length === 0)
    throw notListenable(
      `${url.hostname} is not this machine's own loopback address, so Openbell cannot listen there`,
    )

  const port = Number(url.port || 80)
  const inProgress = new Set<ServerResponse>()
  const servers: Server[] = []

  const onRequest: RequestListener = (request, response) => {
    inProgress.add(response)
    response.once('close', () => inProgress.delete(response))
    response.setHeader('connection', 'close')
    if (request.url?.split('?', 1)[0] === url.pathname) handler(request, response)
    else response.writeHead(404).end()
  }

  const close = async () => {
    const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)))
    const endAll = () => {
      for (const server of servers) server.closeAllConnections()
    }
    const timer = setTimeout(endAll, graceMs)
    await Promise.all(
      [...inProgress].map((response) => new Promise((resolve) => response.once('close', resolve))),
    )
    clearTimeout(timer)
    endAll()
    await Promise.all(closed)
  }

  try {
    for (const address of addresses) {
      const server = createServer(onRequest)
      if (await bound(server, address, port)) servers.push(server)
    }
  } catch (error) {
    await close()
    throw error
  }
  return { close }
}

/** A free port of 127.0.0.1 that answers every GET by sending the browser on to `url`. */
export async function forwardTo(url: string): Promise<{ address: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET') return response.writeHead(405, { allow: 'GET' }).end()
    return response.writeHead(302, { location: url, 'cache-control': 'no-store', connection: 'close' }).end()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: '127.0.0.1', port: 0 }, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    address: `http://127.0.0.1:${port}/`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

function loopbackAddresses(hostname: string): readonly string[] {
  if (hostname === 'localhost') return ['127.0.0.1', '::1']
  if (hostname === '[::1]') return ['::1']
  return isIPv4(hostname) && hostname.startsWith('127.') ? [hostname] : []
}

/** False when the machine has no such address and can do without. */
function bound(server: Server, address: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => {
      const isMissing = error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT'
      if (isMissing && address === '::1') resolve(false)
      else reject(notListenable(reasonOf(error.code, address, port), error))
    })
    server.listen({ host: address, port, exclusive: true }, () => resolve(true))
  })
}

function reasonOf(code: string | undefined, address: string, port: number): string {
  if (code === 'EADDRINUSE')
    return `Another program on this machine already listens on port ${port} of ${address}`
  if (code === 'EACCES') return `This user may not listen on port ${port} of ${address}`
  return `Port ${port} of ${address} cannot be listened on (${code})`
}

function notListenable(what: string, cause?: unknown): OpenbellError {
  return new OpenbellError(
    'redirect-not-listenable',
    `${what}: log in and paste the address that the browser ends up on instead.`,
    { field: 'redirectUri', cause },
  )
}
