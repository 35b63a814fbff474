/**
 * Stands on the wire between Openbell and a simulated broker. Learns every secret that passes, and spoils an answer when
 * told to: in the ways in which real servers give back what they were sent.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const spoilings = [
  'page that echoes the request',
  'error 500 with the tokens of the true answer',
  'refusal that nobody knows, quoting the request',
  'true answer cut off',
  'garbage around the true answer',
  'true answer as a page',
  'redirect that carries the request',
  'headers that carry the request',
  'connection closed in the answer',
  'refusal as documented, quoting the request',
] as const

export type Spoiling = (typeof spoilings)[number]

export interface SpoilingBroker {
  origin: string
  /** The next answer on that path. */
  spoil(path: string, how: Spoiling): void
  spoiled(): number
  close(): Promise<void>
}

const secretNames = [
  'access_token',
  'refresh_token',
  'public_token',
  'enctoken',
  'request_token',
  'client_secret',
  'checksum',
  'code',
]

/** Answers as `target` does; `learn` hears of each secret by its name on the wire. */
export async function startSpoilingBroker(
  target: string,
  learn: (name: string, value: string) => void,
): Promise<SpoilingBroker> {
  const planned: { path: string; how: Spoiling }[] = []
  let spoiled = 0

  function learnFrom(text: string): string[] {
    const fields = text.startsWith('{') ? fieldsIn(text) : Object.fromEntries(new URLSearchParams(text))
    return secretNames.flatMap((name) => {
      const value = fields[name]
      if (typeof value !== 'string' || value === '') return []
      learn(name, value)
      return [value]
    })
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const sent = await textOf(request)
    const secrets = learnFrom(sent)
    const { authorization = '' } = request.headers
    const token = authorization.split(/[ :]/).at(-1)
    if (token) learn('authorization', token)

    const method = request.method ?? 'GET'
    const real = await patiently(target + request.url, {
      method,
      headers: pick(request.headers, ['authorization', 'content-type', 'user-agent', 'x-kite-version']),
      ...(method === 'GET' ? {} : { body: sent }),
    })
    const truth = await real.text()
    learnFrom(truth)

    const at = planned.findIndex(({ path }) => request.url?.split('?')[0] === path)
    const [plan] = at < 0 ? [] : planned.splice(at, 1)
    const date = real.headers.get('date') ?? ''
    if (!plan) {
      response
        .writeHead(real.status, { date, 'content-type': real.headers.get('content-type') ?? '' })
        .end(truth)
      return
    }
    spoiled++
    // The secrets first, for those who quote only the beginning of what they are told.
    const echo = [authorization, ...secrets, sent, request.url].join(' ').trim()
    spoil(plan.how, response, { sent: echo, truth, date })
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spoil: (path, how) => void planned.push({ path, how }),
    spoiled: () => spoiled,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A test in a hurry must not meet the limits that are for programs in a hurry. */
async function patiently(url: string, init: RequestInit): Promise<Response> {
  for (;;) {
    const response = await fetch(url, init)
    if (response.status !== 429) return response
    await response.body?.cancel()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function spoil(
  how: Spoiling,
  response: ServerResponse,
  { sent, truth, date }: { sent: string; truth: string; date: string },
): void {
  const json = { date, 'content-type': 'application/json' }
  const html = { date, 'content-type': 'text/html' }
  const quoting = { message: `cannot do: ${sent}`, code: sent.slice(0, 200) }
  switch (how) {
    case 'page that echoes the request':
      return void response.writeHead(200, html).end(`<html><pre>${sent}</pre></html>`)
    case 'error 500 with the tokens of the true answer':
      return void response
        .writeHead(500, json)
        .end(JSON.stringify({ error: quoting, message: truth, data: truth }))
    case 'refusal that nobody knows, quoting the request':
      return void response
        .writeHead(422, json)
        .end(JSON.stringify({ ...quoting, error: quoting, error_code: sent, error_type: sent }))
    case 'refusal as documented, quoting the request':
      return void response.writeHead(400, json).end(
        JSON.stringify({
          // Kite's words, then those of tastytrade's token endpoint and of its API.
          ...{ status: 'error', error_type: 'InputException', message: sent },
          ...{ error_code: 'invalid_grant', error_description: sent },
          error: { code: 'unconfirmed_user', message: sent },
        }),
      )
    case 'true answer cut off':
      response.writeHead(200, { ...json, 'content-length': truth.length }).write(truth.slice(0, -5))
      return void setTimeout(() => response.destroy(), 20)
    case 'garbage around the true answer':
      return void response.writeHead(200, json).end(`}{${truth}`)
    case 'true answer as a page':
      return void response.writeHead(200, html).end(`<html>${truth}</html>`)
    case 'redirect that carries the request':
      return void response
        .writeHead(302, { date, location: `http://127.0.0.1:9/?${encodeURIComponent(sent)}` })
        .end()
    case 'headers that carry the request':
      return void response
        .writeHead(503, { ...json, 'x-echo': encodeURIComponent(sent), 'retry-after': '0' })
        .end(truth)
    case 'connection closed in the answer':
      response.writeHead(200, json).write(truth.slice(0, 10))
      return void setTimeout(() => response.destroy(), 20)
  }
}

function fieldsIn(text: string): Record<string, unknown> {
  try {
    const { data, ...rest } = JSON.parse(text)
    return { ...rest, ...(typeof data === 'object' ? data : {}) }
  } catch {
    return {}
  }
}

function pick(headers: IncomingMessage['headers'], names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])),
  )
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
