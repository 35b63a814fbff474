import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, type TestContext, vi } from 'vitest'
import { openHouse } from '../../src/compose/compose.ts'
import { instant } from '../../src/core/time.ts'
import { Commands } from './command.ts'
import { Sieve } from './sieve.ts'
import { canary, Stage, tenantId } from './stage.ts'
import { liveInside, liveOutside } from './whole-life.ts'

const channels = [
  'HTTP answers',
  'errors',
  'events',
  'files',
  'log',
  'log of the service',
  'pages',
  'processes',
  'what commands print',
]

/** What must have been seen there, or the test looks at nothing. */
const signs = {
  'HTTP answers': 'key-invalid',
  errors: 'does not accept the grant',
  events: 'renewal-failed',
  files: 'SQLite format 3',
  log: 'answer not readable',
  'log of the service': '"level":"info"',
  pages: 'This login was used already',
  'what commands print': 'has not been logged in yet',
}

function hear({ sieve }: Stage, { onTestFinished }: TestContext): { unhandled(reason: unknown): void } {
  const unhandled = (reason: unknown) => sieve.seeError('unhandled rejections', reason)
  process.on('unhandledRejection', unhandled)
  onTestFinished(() => void process.off('unhandledRejection', unhandled))
  vi.spyOn(process.stderr, 'write').mockImplementation((line) => {
    sieve.see('log', String(line))
    return true
  })
  return { unhandled }
}

describe('secrets', { timeout: 60_000 }, () => {
  it('are seen by nobody but programs, whatever goes wrong', async (test) => {
    const stage = await Stage.set(test)
    const { sieve, settings } = stage
    hear(stage, test)
    await liveInside(stage)
    await liveOutside(stage)
    const house = await openHouse(settings)
    await stage.seeEvents(house)
    await house.close()
    await stage.seeFiles()
    expect(sieve.hits()).toEqual([])

    // All that only if there was something to see, and somebody looked.
    expect(sieve.channels()).toEqual(
      process.platform === 'linux' ? channels : channels.filter((name) => name !== 'processes'),
    )
    expect(sieve.secretsKnown()).toBeGreaterThan(50)
    const missing = Object.entries(signs).filter(([channel, sign]) => !sieve.text(channel).includes(sign))
    expect(missing).toEqual([])
    for (const name of ['.env', 'bot.json']) {
      sieve.see('destinations', await readFile(join(settings.home, '..', name)))
    }
    for (const path of [settings.keyPath, settings.apiKeyPath]) sieve.see('key files', await readFile(path))
    const open = ['destinations', 'key files']
    expect([...new Set(sieve.hits(open).map(({ channel }) => channel))]).toEqual(open)
  })

  it('would be found in each of these places', async (test) => {
    const stage = await Stage.set(test)
    const { sieve, settings } = stage
    const { unhandled } = hear(stage, test)
    const secret = canary()
    sieve.forbid('planted', secret)
    sieve.forbid('planted in the home', 'home-of-a-canary')

    await stage.failing(
      Promise.reject(new Error('outer', { cause: Object.assign(new Error('inner'), { secret }) })),
    )
    unhandled({ deep: { in: [{ an: { object: secret } }] } })
    process.stderr.write(JSON.stringify({ msg: `https://example.test/?code=${encodeURIComponent(secret)}` }))

    const house = await openHouse(settings)
    const leaky = createServer((_, response) => response.writeHead(418, { 'x-leak': secret }).end())
    await new Promise<void>((resolve) => leaky.listen(settings.port, '127.0.0.1', resolve))
    await stage.get('/')
    await stage.get('/', {}, 'GET', 'pages')
    await new Promise((resolve) => leaky.close(resolve))
    await house.ledger.appendEvents([
      { at: instant(0), tenantId, kind: 'renewed', text: `with ${secret.slice(0, 12)}…` },
    ])
    await stage.seeEvents(house)
    await house.close()
    await stage.seeFiles()

    // Whatever a house prints of its own place, it prints of its home.
    const commands = new Commands(sieve, {
      OPENBELL_HOME: join(settings.home, '..', 'home-of-a-canary'),
      OPENBELL_PORT: String(settings.port),
    })
    const service = commands.start(['up', '--json'])
    await once(service.stdout as NonNullable<typeof service.stdout>, 'data')
    service.kill('SIGTERM')
    await once(service, 'exit')
    await commands.run([
      'destination',
      'add',
      'x',
      '--path',
      join(settings.home, 'home-of-a-canary', 'x'),
      '--json',
    ])

    const found = new Set(sieve.hits().map(({ channel }) => channel))
    const wanted = process.platform === 'linux' ? channels : channels.filter((name) => name !== 'processes')
    expect([...found].sort()).toEqual([...wanted, 'unhandled rejections'].sort())
  })

  it.each([
    ['as it is', (secret: string) => secret],
    ['in part', (secret: string) => `${secret.slice(0, 12)}…`],
    ['its end', (secret: string) => `…${secret.slice(-12)}`],
    ['in an address', encodeURIComponent],
    ['in JSON in JSON', (secret: string) => JSON.stringify(JSON.stringify({ secret }))],
    ['in hex', (secret: string) => Buffer.from(secret).toString('hex')],
    ['backwards', (secret: string) => [...secret].reverse().join('')],
    ['in base64', (secret: string) => btoa(secret)],
    ['in base64 after one letter', (secret: string) => btoa(`:${secret}:`)],
    ['in base64 after two', (secret: string) => btoa(`u:${secret}`)],
  ])('would be found %s', (_, write) => {
    const sieve = new Sieve()
    const secret = canary()
    sieve.forbid('planted', secret)
    sieve.see('somewhere', `nothing here: ${canary()}`)
    expect(sieve.hits()).toEqual([])
    sieve.see('somewhere', `before ${write(secret)} after`)
    expect(sieve.hits()).toMatchObject([{ channel: 'somewhere', secret: 'planted' }])
  })
})
