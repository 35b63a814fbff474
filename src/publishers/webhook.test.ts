import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Destination } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import {
  type DestinationUnderTest,
  describePublisher,
  releaseForTest,
} from '../testing/describe-publisher.ts'
import { signed } from './webhook/sign.ts'
import { webhook } from './webhook.ts'

const key = Buffer.from('canary-signing-key-of-32-bytes-..')
const signingSecret = `whsec_${key.toString('base64')}`

interface Receiver extends DestinationUnderTest {
  /** What it answers instead of doing its work. */
  answerWith(status: number, headers?: Record<string, string>): void
  messages: { type: string; headers: IncomingHttpHeaders; body: string }[]
}

async function receiver(): Promise<Receiver> {
  const folder = await mkdtemp(join(tmpdir(), 'openbell-webhook-'))
  const secretFile = join(folder, 'secret')
  await writeFile(secretFile, `${signingSecret}\n`, { mode: 0o600 })
  const messages: Receiver['messages'] = []
  let told: { status: number; headers: Record<string, string> } | undefined
  let state: Record<string, unknown> | undefined

  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = request.headers
    const expected = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')
    if (signature !== `v1,${expected}`) return response.writeHead(401).end()
    const { type, data } = JSON.parse(body)
    messages.push({ type, headers: request.headers, body })
    if (told) return response.writeHead(told.status, told.headers).end()
    if (type === 'token.released') state = data
    if (type === 'token.withdrawn') state = undefined
    response.writeHead(200, { 'content-type': 'application/json' })
    return response.end(JSON.stringify(type === 'token.read' ? (state ?? { access_token: null }) : {}))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  return {
    destination: {
      id: 'hook',
      tenantId: 'ours',
      version: 1,
      kind: 'webhook',
      settings: { url: `http://127.0.0.1:${port}/take`, secretFile, readBack: 'true' },
    },
    messages,
    answerWith(status, headers = {}) {
      told = { status, headers }
    },
    picture: async () => JSON.stringify(state ?? null),
    foreignKept: async () => true,
    async changeByHand(_, to) {
      state = { ...state, access_token: to }
    },
    async block() {
      told = { status: 503, headers: {} }
      return async () => {
        told = undefined
      }
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await rm(folder, { recursive: true })
    },
  }
}

async function own(): Promise<Receiver> {
  const made = await receiver()
  onTestFinished(() => made.close())
  return made
}

const withUrl = (url: string) => ({
  code: 'invalid-field' as const,
  spoil: async (good: Destination) => ({ ...good, settings: { ...good.settings, url } }),
})

const withSecret = (text: string, mode = 0o600) => ({
  code: 'invalid-field' as const,
  spoil: async (good: Destination) => {
    const secretFile = `${good.settings.secretFile}-other`
    await writeFile(secretFile, text, { mode })
    return { ...good, settings: { ...good.settings, secretFile } }
  },
})

describePublisher(
  { describe, it, expect },
  {
    publisher: webhook,
    module: new URL('./webhook.ts', import.meta.url),
    exportName: 'webhook',
    fresh: receiver,
    refused: {
      'plain http to elsewhere': withUrl('http://bot.example.test/take'),
      'a name that only begins like this machine': withUrl('http://127.0.0.1.example.test/take'),
      'a password in the address': withUrl('https://u:canary@bot.example.test/take'),
      'a query': withUrl('https://bot.example.test/take?key=canary'),
      'a file': withUrl('file:///etc/passwd'),
      'no address': withUrl(''),
      'a secret in a form of its own': withSecret('canary'),
      'a secret that is too short': withSecret(`whsec_${Buffer.from('canary').toString('base64')}`),
      'a secret that is no base64': withSecret(`${signingSecret}!canary`),
      'a secret that others can read': withSecret(signingSecret, 0o644),
      'a secret that is not there': {
        code: 'invalid-field',
        spoil: async (good) => ({ ...good, settings: { ...good.settings, secretFile: '/nowhere/at/all' } }),
      },
      'the wrong secret': {
        ...withSecret(`whsec_${Buffer.alloc(32, 'canary').toString('base64')}`),
        code: 'destination-unwritable',
      },
      'a setting it does not know': {
        code: 'invalid-field',
        spoil: async (good) => ({ ...good, settings: { ...good.settings, secret: 'canary' } }),
      },
      'nobody listening': { ...withUrl('http://127.0.0.1:1/take'), code: 'destination-unwritable' },
    },
  },
)

describe('a message', () => {
  it('is signed as the example of Standard Webhooks is', () => {
    const headers = signed(
      new Secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'),
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      instant(1_614_265_330_999),
      new Secret('{"test": 2432232314}'),
    )
    expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
    expect(headers['webhook-timestamp']).toBe('1614265330')
  })

  it('carries the release and a new id each time', async () => {
    const { destination, messages } = await own()
    await webhook.write(destination, releaseForTest(2))
    await webhook.write(destination, releaseForTest(2))
    expect(messages.map(({ type }) => type)).toEqual(['token.released', 'token.released'])
    expect(JSON.parse(messages[0]?.body ?? '').data).toMatchObject({
      account: 'kite-main',
      generation: 2,
      access_token: releaseForTest(2).accessToken.expose(),
    })
    expect(new Set(messages.map(({ headers }) => headers['webhook-id'])).size).toBe(2)
  })

  it.each([301, 307, 400, 503])(
    'answered with %i was not taken, and is sent nowhere else',
    async (status) => {
      const { destination, messages, answerWith } = await own()
      const other = await own()
      answerWith(status, { location: other.destination.settings.url ?? '' })
      await expect(webhook.write(destination, releaseForTest(1))).rejects.toMatchObject({
        code: 'destination-unwritable',
        message: expect.stringContaining(`HTTP ${status}`),
      })
      expect(messages).toHaveLength(1)
      expect(other.messages).toEqual([])
    },
  )

  it.each([200, 202, 204])('answered with %i was taken', async (status) => {
    const { destination, answerWith } = await own()
    answerWith(status)
    await webhook.write(destination, releaseForTest(1))
  })

  it('to read back is sent only where somebody answers it', async () => {
    const { destination, messages } = await own()
    const { readBack: _, ...settings } = destination.settings
    expect(await webhook.readBack({ ...destination, settings }, releaseForTest(1))).toBeUndefined()
    expect(messages).toEqual([])
  })
})
