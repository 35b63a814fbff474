/** Puts requests on the wire: one fresh connection each, one try, one exact deadline for the whole exchange. */

import { BlockList, isIP, type Socket } from 'node:net'
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import { buildConnector, Client, errors } from 'undici'
import type { Clock, Instant } from '../core/time.ts'
import { Answer, type NoAnswer, type Outcome, type Send, type Text, type WireRequest } from '../core/wire.ts'

export interface SendSettings {
  /** Dates each answer, at the arrival of its headers. Deadlines are real time whatever this clock says. */
  clock: Clock
  /** For requests that name none. Default `openbell`. */
  userAgent?: string
  /** Which URLs may be called at all. Default: https, and plain http to loopback. */
  allow?: (url: URL) => boolean
}

/** A broker's token answers have a few kilobytes; what is longer is an error page or an accident. */
const largestBody = 1024 * 1024
const longestTimerMs = 2 ** 31 - 1

/**
 * A `Send` on its own connections. There is no pool on purpose: a server may close an idle connection in the moment we write
 * to it, and then nobody knows whether it read the request. Logins and refreshes are rare; their handshake is cheap.
 *
 * `close` ends what is under way as `maybe-sent` or `unsent`, whichever is true, and answers `unsent` from then on.
 */
export function createSend(settings: SendSettings): Send & { close(): void } {
  const { clock, userAgent = 'openbell', allow = isHttpsOrLoopback } = settings
  // HTTP/2 would send further frames on a connection that counts as used up.
  const connect = buildConnector({ allowH2: false, timeout: 0 })
  const underWay = new Set<Exchange>()
  let closed = false

  async function send(request: WireRequest, { deadlineMs }: { deadlineMs: number }): Promise<Outcome> {
    const url = URL.parse(request.url)
    if (!url) return unsent('refused-by-policy', 'The address of the request is not a URL.')
    if (url.username || url.password || url.search || url.hash)
      return unsent('refused-by-policy', `The address at ${url.origin} must hold neither query nor password.`)
    if (!/^https?:$/.test(url.protocol) || !allow(url))
      return unsent(
        'refused-by-policy',
        `${url.origin} may not be called: only https, or http on this machine.`,
      )
    if (closed) return unsent('refused-by-policy', `${url.origin} was not called: Openbell is stopping.`)
    if (!(deadlineMs > 0)) return unsent('timeout', `There was no time left to call ${url.origin}.`)

    const exchange = new Exchange(url, connect)
    underWay.add(exchange)
    const late = `${url.origin} did not answer within ${Math.round(deadlineMs)} ms.`
    const timer = setTimeout(() => exchange.giveUp('timeout', late), Math.min(deadlineMs, longestTimerMs))
    try {
      return await exchange.run(request, userAgent, clock)
    } finally {
      clearTimeout(timer)
      underWay.delete(exchange)
    }
  }

  return Object.assign(send, {
    close() {
      closed = true
      for (const exchange of underWay) exchange.giveUp('reset', 'Openbell stopped before the answer came.')
    },
  })
}

class Exchange {
  readonly #url: URL
  readonly #client: Client
  readonly #givenUp = Promise.withResolvers<NoAnswer>()
  /** `connecting` is the proof of `unsent`: undici has not been given a socket that it could write to. */
  #stage: 'connecting' | 'sent' | 'answering' | 'over' = 'connecting'
  #socket: Socket | undefined

  constructor(url: URL, connect: buildConnector.connector) {
    this.#url = url
    this.#client = new Client(url.origin, {
      connect: (options, callback) => this.#connect(connect, options, callback),
      // Ours is the only deadline: undici's own are off by up to a second.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  async run(request: WireRequest, userAgent: string, clock: Clock): Promise<Outcome> {
    try {
      return await Promise.race([this.#givenUp.promise, this.#talk(request, userAgent, clock)])
    } catch (error) {
      return this.#noAnswer(...this.#explain(error))
    } finally {
      this.#end()
    }
  }

  giveUp(cause: NoAnswer['cause'], message: string): void {
    if (this.#stage === 'over') return
    this.#givenUp.resolve(this.#noAnswer(cause, message))
    this.#end()
  }

  async #talk(request: WireRequest, userAgent: string, clock: Clock): Promise<Answer> {
    const headers = new Map<string, Text>([
      ['user-agent', userAgent],
      ['accept-encoding', 'identity'],
    ])
    for (const [name, value] of Object.entries(request.headers)) headers.set(name.toLowerCase(), value)

    const response = await this.#client.request({
      method: request.method,
      path: this.#url.pathname + search(request.query),
      headers: Object.fromEntries([...headers].map(([name, value]) => [name, reveal(value)])),
      body: request.body === undefined ? null : reveal(request.body),
      reset: true,
    })
    this.#stage = 'answering'
    const receivedAt: Instant = clock.now()
    const bytes = await readAll(response.body)
    return new Answer({
      status: response.statusCode,
      headers: joined(response.headers),
      body: parsed(decoded(bytes, response.headers['content-encoding'])),
      receivedAt,
    })
  }

  #connect(
    connect: buildConnector.connector,
    options: buildConnector.Options,
    callback: buildConnector.Callback,
  ): void {
    // undici connects again when a socket closes before it was written to; one exchange is one connection.
    if (this.#stage !== 'connecting') {
      callback(new Error('one connection each'), null)
      return
    }
    const socket: unknown = connect(options, (error, connected) => {
      if (error) return callback(error, null)
      if (this.#stage !== 'connecting') {
        connected.destroy()
        return callback(new Error('given up'), null)
      }
      // A hosts file may send `localhost` anywhere.
      if (
        this.#url.protocol === 'http:' &&
        isLoopbackName(this.#url.hostname) &&
        !isLoopback(connected.remoteAddress)
      ) {
        connected.destroy()
        return callback(new NotLoopback(), null)
      }
      this.#stage = 'sent'
      callback(null, connected)
    })
    this.#socket = socket as Socket
  }

  #end(): void {
    this.#stage = 'over'
    this.#socket?.destroy()
    this.#client.destroy().catch(() => {
      // What it would complain of is that it was destroyed.
    })
  }

  #noAnswer(cause: NoAnswer['cause'], message: string): NoAnswer {
    return {
      kind: 'no-answer',
      sent: this.#stage === 'connecting' ? 'unsent' : 'maybe-sent',
      cause,
      message,
    }
  }

  #explain(error: unknown): [NoAnswer['cause'], string] {
    const { origin, hostname } = this.#url
    const code = codeOf(error)
    if (error instanceof TooLarge) return ['too-large', `${origin} answered with more than 1 MB.`]
    if (code === 'UND_ERR_HEADERS_OVERFLOW') return ['too-large', `${origin} answered with too many headers.`]
    if (error instanceof NotLoopback)
      return ['refused-by-policy', `${hostname} is not this machine: correct the hosts file.`]
    if (this.#stage === 'connecting') {
      if (code === 'UND_ERR_INVALID_ARG')
        return ['refused-by-policy', `The request to ${origin} holds a character that HTTP does not allow.`]
      if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
        return ['unreachable', `The name ${hostname} could not be resolved (${code}).`]
      return ['unreachable', `No connection to ${origin} could be made (${code}).`]
    }
    if (this.#stage === 'answering') return ['truncated', `The answer of ${origin} broke off (${code}).`]
    if (error instanceof errors.HTTPParserError)
      return ['truncated', `${origin} answered with something that is not HTTP.`]
    return ['reset', `${origin} closed the connection without an answer (${code}).`]
  }
}

class TooLarge extends Error {}
class NotLoopback extends Error {}

function unsent(cause: NoAnswer['cause'], message: string): NoAnswer {
  return { kind: 'no-answer', sent: 'unsent', cause, message }
}

function reveal(text: Text): string {
  return typeof text === 'string' ? text : text.expose()
}

function search(query: WireRequest['query'] = {}): string {
  const pairs = Object.entries(query).map(([name, value]) =>
    [name, reveal(value)].map(encodeURIComponent).join('='),
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

async function readAll(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > largestBody) throw new TooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** We ask for the plain body; some servers and the caches before them compress it all the same. */
function decoded(bytes: Buffer, encoding: string | string[] | undefined): Buffer {
  const decode = { gzip: gunzipSync, 'x-gzip': gunzipSync, deflate: inflateSync, br: brotliDecompressSync }
  const name = String(encoding ?? '').toLowerCase()
  if (!Object.hasOwn(decode, name)) return bytes
  try {
    return decode[name as keyof typeof decode](bytes, { maxOutputLength: largestBody })
  } catch (error) {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') throw new TooLarge()
    return bytes // not what it says it is, so no JSON either
  }
}

/** By content: brokers send JSON as text/html, and HTML as JSON. */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}

/** undici gives names in lower case; a header that came twice is a list. */
function joined(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]),
  )
}

/** A machine's word for it. Messages of others may quote what was sent. */
function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? code : 'no code'
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

function isLoopback(address: string | undefined): boolean {
  const family = isIP(address ?? '')
  return address !== undefined && family !== 0 && loopback.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

function isLoopbackName(hostname: string): boolean {
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[|\]$/g, ''))
}

export function isHttpsOrLoopback({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackName(hostname))
}
