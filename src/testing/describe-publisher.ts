/**
 * The contract of a destination kind in code. Run it in a few lines from a publisher's own test, as
 * `publishers/json-file.test.ts` does.
 */

import { spawn } from 'node:child_process'
import { inspect } from 'node:util'
import { type ErrorCode, isOpenbellError } from '../core/errors.ts'
import type { Destination } from '../core/model.ts'
import type { Publisher, Release } from '../core/publisher.ts'
import { Secret } from '../core/secret.ts'
import { hourMs, instant, plus } from '../core/time.ts'

/** The slice of a test runner that the contract needs; vitest's own functions fit. */
export interface Runner {
  describe(name: string, body: () => void): void
  it(name: string, body: () => Promise<void>): void
  expect(actual: unknown): { toBe(expected: unknown): void; toEqual(expected: unknown): void }
}

/** A place to write to, holding something that is not ours. */
export interface DestinationUnderTest {
  destination: Destination
  /** All that is there, byte for byte. */
  picture(): Promise<string>
  /** True while what was there before us is as it was. */
  foreignKept(): Promise<boolean>
  /** Replaces one text by another, as a person with an editor would. */
  changeByHand(from: string, to: string): Promise<void>
  /** Lets every write fail until the returned function is called. */
  block(): Promise<() => Promise<void>>
  close(): Promise<void>
}

export interface PublisherContract {
  publisher: Publisher
  /** Where a child process finds the publisher. */
  module: URL
  exportName: string
  fresh(): Promise<DestinationUnderTest>
  /** Destinations that `check` must refuse and `write` must not write, by what is wrong with them. */
  refused: Readonly<Record<string, { code: ErrorCode; spoil(good: Destination): Promise<Destination> }>>
}

const canary = 'canary-access'
const start = instant(Date.UTC(2026, 10, 23, 3, 30))

/** Tokens of one generation are long and all alike, so that any mixture or cut shows. */
export function releaseForTest(generation: number): Release {
  return {
    ref: { tenantId: 'ours', accountId: 'kite-main' },
    slot: 'trading',
    brokerId: 'kite',
    environment: 'simulator',
    generation,
    accessToken: new Secret(`${canary}-${generation}-${`${generation % 10}`.repeat(3_000)}`),
    refreshToken: new Secret(`canary-refresh-${generation}`),
    appKey: new Secret('canaryappkey'),
    issuedAt: plus(start, generation),
    expiresAt: plus(start, generation + 20 * hourMs),
    brokerUserId: 'AB1234',
    env: { accessToken: 'KITE_ACCESS_TOKEN', appKey: 'KITE_API_KEY' },
  }
}

export function describePublisher({ describe, it, expect }: Runner, contract: PublisherContract): void {
  const { publisher } = contract

  /** A test on a fresh destination that is cleared away whatever happens. */
  function on(title: string, body: (place: DestinationUnderTest) => Promise<void>): void {
    it(title, async () => {
      const place = await contract.fresh()
      try {
        await body(place)
      } finally {
        await place.close()
      }
    })
  }

  async function generationAt(destination: Destination): Promise<number | 'none' | 'damaged'> {
    const token = await publisher.readBack(destination, releaseForTest(0))
    if (token === undefined) return 'none'
    const generation = Number(/^canary-access-(\d+)-/.exec(token.expose())?.[1])
    return token.equals(releaseForTest(generation).accessToken) ? generation : 'damaged'
  }

  /** The code of the error, after a look at its wording. */
  async function failure(work: () => Promise<unknown> | unknown): Promise<ErrorCode | 'no error'> {
    try {
      await work()
      return 'no error'
    } catch (error) {
      if (!isOpenbellError(error)) throw error
      expect(inspect(error, { depth: 9 }).includes('canary')).toBe(false)
      expect(/^[^\n]+[^.]\.$/.test(error.message)).toBe(true)
      return error.code
    }
  }

  describe(`publisher ${publisher.kind}`, () => {
    on('reads back what it wrote', async ({ destination, foreignKept }) => {
      await publisher.write(destination, releaseForTest(1))
      expect(await generationAt(destination)).toBe(1)
      expect(await foreignKept()).toBe(true)
    })

    on('reads nothing where nothing was written, and leaves it so', async ({ destination, picture }) => {
      const before = await picture()
      expect(await generationAt(destination)).toBe('none')
      await publisher.withdraw?.(destination, releaseForTest(1))
      expect(await picture()).toBe(before)
    })

    on('writes the same release twice as once', async ({ destination, picture }) => {
      await publisher.write(destination, releaseForTest(1))
      const once = await picture()
      await publisher.write(destination, releaseForTest(1))
      expect(await picture()).toBe(once)
    })

    on('replaces an older release and keeps nothing of it', async ({ destination, foreignKept, picture }) => {
      await publisher.write(destination, releaseForTest(1))
      await publisher.write(destination, releaseForTest(2))
      expect(await generationAt(destination)).toBe(2)
      expect((await picture()).includes(`${canary}-1`)).toBe(false)
      expect(await foreignKept()).toBe(true)
    })

    on('reads what a person put there instead', async ({ destination, changeByHand }) => {
      await publisher.write(destination, releaseForTest(1))
      await changeByHand(releaseForTest(1).accessToken.expose(), 'typed-by-hand')
      const token = await publisher.readBack(destination, releaseForTest(1))
      expect(token?.expose()).toBe('typed-by-hand')
    })

    on('leaves the old release whole when a write fails', async ({ destination, picture, block }) => {
      await publisher.write(destination, releaseForTest(1))
      const before = await picture()
      const unblock = await block()
      try {
        expect(await failure(() => publisher.write(destination, releaseForTest(2)))).toBe(
          'destination-unwritable',
        )
        expect(await failure(() => publisher.check(destination))).toBe('destination-unwritable')
      } finally {
        await unblock()
      }
      expect(await picture()).toBe(before)
      await publisher.write(destination, releaseForTest(2))
      expect(await generationAt(destination)).toBe(2)
    })

    on('shows readers one whole release during 200 writes', async ({ destination }) => {
      await publisher.write(destination, releaseForTest(0))
      let writing = true
      let latest = 0
      const oddities: unknown[] = []
      const read = async () => {
        while (writing) {
          const atLeast = latest
          const seen = await generationAt(destination)
          if (typeof seen === 'string' || seen < atLeast) oddities.push({ seen, atLeast })
        }
      }
      const readers = [read(), read(), read()]
      try {
        for (let generation = 1; generation <= 200; generation++) {
          await publisher.write(destination, releaseForTest(generation))
          latest = generation
        }
      } finally {
        writing = false
        await Promise.all(readers)
      }
      expect(oddities).toEqual([])
    })

    on('holds one whole release after kill -9 in a write', async ({ destination, foreignKept }) => {
      for (let round = 1; round <= 6; round++) {
        await killWhileWriting(contract, destination, 3 * round)
        expect(typeof (await generationAt(destination))).toBe('number')
        expect(await foreignKept()).toBe(true)
      }
      await publisher.write(destination, releaseForTest(7))
      expect(await generationAt(destination)).toBe(7)
    })

    on('withdraws what it wrote and nothing else', async ({ destination, picture, foreignKept }) => {
      await publisher.write(destination, releaseForTest(1))
      await publisher.withdraw?.(destination, releaseForTest(1))
      if (!publisher.withdraw) return
      expect(await generationAt(destination)).toBe('none')
      expect((await picture()).includes(canary)).toBe(false)
      expect(await foreignKept()).toBe(true)
      const once = await picture()
      await publisher.withdraw(destination, releaseForTest(1))
      expect(await picture()).toBe(once)
      await publisher.write(destination, releaseForTest(2))
      expect(await generationAt(destination)).toBe(2)
    })

    on('passes a good destination and changes nothing', async ({ destination, picture }) => {
      const before = await picture()
      expect(await failure(() => publisher.check(destination))).toBe('no error')
      expect(await picture()).toBe(before)
    })

    on(
      'names one resource and the same places for destinations that differ by name alone',
      async ({ destination }) => {
        const twin = { ...destination, id: 'twin' }
        const { env } = releaseForTest(1)
        expect(publisher.resource(destination)).toBe(publisher.resource(twin))
        expect(publisher.places(destination, env).join()).toBe(publisher.places(twin, env).join())
      },
    )

    for (const [title, { code, spoil }] of Object.entries(contract.refused)) {
      on(`refuses ${title}`, async ({ destination, picture }) => {
        await publisher.write(destination, releaseForTest(1))
        const before = await picture()
        const spoilt = await spoil(destination)
        expect(await failure(() => publisher.check(spoilt))).toBe(code)
        expect(await failure(() => publisher.write(spoilt, releaseForTest(2)))).toBe(code)
        expect(await picture()).toBe(before)
      })
    }
  })
}

/** Starts a process that writes release after release and kills it in one of them. */
async function killWhileWriting(
  { module, exportName }: PublisherContract,
  destination: Destination,
  afterWrites: number,
): Promise<void> {
  const script = `
    const { writeForEver } = await import(process.argv[1])
    const { [process.argv[3]]: publisher } = await import(process.argv[2])
    await writeForEver(publisher, JSON.parse(process.argv[4]))`
  const args = [import.meta.url, module.href, exportName, JSON.stringify(destination)]
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let written = 0
  child.stdout.on('data', (marks: Buffer) => {
    written += marks.length
    if (written >= afterWrites) child.kill('SIGKILL')
  })
  await new Promise((done) => child.once('close', done))
  if (written < afterWrites) throw new Error('the writing process ended before it was killed')
}

/** The body of the process that is killed: one mark on stdout for every write. */
export async function writeForEver(publisher: Publisher, destination: Destination): Promise<never> {
  for (let generation = 1; ; generation++) {
    await publisher.write(destination, releaseForTest(generation))
    process.stdout.write('.')
  }
}
