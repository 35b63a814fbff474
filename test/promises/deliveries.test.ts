import { expect, it } from 'vitest'
import { OpenbellError } from '../../src/core/errors.ts'
import type { Publisher } from '../../src/core/publisher.ts'
import type { Secret } from '../../src/core/secret.ts'
import { hourMs, plus } from '../../src/core/time.ts'
import { file } from '../histories/file.ts'
import { settled } from '../rig/virtual-clock.ts'
import { a, House, minute } from './house.ts'

/** A place that holds one token, written when the test lets it. */
interface Place {
  generation: number
  written: number[]
  token: Secret | undefined
  publisher: Publisher
}

function place(kind: string, writing: (generation: number) => Promise<void> = async () => undefined): Place {
  const self: Place = {
    generation: 0,
    written: [],
    token: undefined,
    publisher: {
      kind,
      settings: {},
      needs: ['accessToken'],
      check: async () => undefined,
      resource: () => `file:/${kind}`,
      places: () => ['*'],
      async write(_, { generation, accessToken }) {
        await writing(generation)
        self.written.push(generation)
        self.generation = generation
        self.token = accessToken
      },
      readBack: async () => self.token,
    },
  }
  return self
}

it('a slow writer of generation 7 that ends after the fast one of generation 8 leaves 8 in both places', async () => {
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
  const slow = place('slow', async (generation) => {
    if (generation === 7) await held
  })
  const fast = place('fast')
  const house = await House.open({ broker: 'rotating', publishers: [slow.publisher, fast.publisher] })
  await house.begin(['slow', 'fast'])
  for (let generation = 2; generation <= 8; generation++) {
    await house.keeper.renew(a, 'person')
    await settled()
  }
  expect([slow.generation, fast.generation]).toEqual([6, 8])
  expect((await house.keeper.statusOf(a)).delivered).toEqual({ n: 1, m: 2 })

  letGo()
  await settled()
  expect([slow.generation, fast.generation]).toEqual([8, 8])
  expect(slow.written.slice(-2)).toEqual([7, 8])
  expect((await house.keeper.statusOf(a)).delivered).toEqual({ n: 2, m: 2 })
})

it('a delivery that fails is told, tried again by the table, and recovers; the token is served meanwhile', async () => {
  let fails = true
  const bot = place('bot', async () => {
    if (fails) throw new OpenbellError('destination-unwritable', 'The disk is full.')
  })
  const house = await House.open({ broker: 'rotating', publishers: [bot.publisher] })
  await house.begin(['bot'])
  const { delivered, deliveries } = await house.keeper.statusOf(a)
  expect(delivered).toEqual({ n: 0, m: 1 })
  expect(deliveries[0]?.problem).toMatchObject({ code: 'destination-unwritable' })
  expect(house.keeper.session(a)?.token).toBe('live')
  await house.clock.advance(30_000)
  expect(await house.events('delivery-failed')).toHaveLength(1)

  fails = false
  await house.clock.advance(minute)
  expect(bot.generation).toBe(1)
  const after = await house.keeper.statusOf(a)
  expect(after.delivered).toEqual({ n: 1, m: 1 })
  expect(after.deliveries[0]?.problem).toBeUndefined()
})

it('delivered is said only of what was read back', async () => {
  const bot = place('bot')
  const forgetful = { ...bot.publisher, readBack: async () => undefined }
  const house = await House.open({ broker: 'rotating', publishers: [forgetful] })
  await house.begin(['bot'])
  const { delivered, deliveries } = await house.keeper.statusOf(a)
  expect(bot.generation).toBe(1)
  expect(delivered).toEqual({ n: 0, m: 1 })
  expect(deliveries[0]?.problem).toMatchObject({ code: 'destination-not-read-back' })
})

async function withFile(adopts = false) {
  const bot = file()
  const house = await House.open({
    broker: 'rotating',
    publishers: [bot.publisher],
    adapter: (own) =>
      adopts
        ? {
            ...own,
            adopt: ({ accessToken, now }) => ({
              slot: 'trading',
              accessToken,
              scopes: [],
              expiry: { at: plus(now, hourMs), source: 'broker-rule' },
            }),
          }
        : own,
  })
  await house.begin(['file'])
  return { house, bot, ours: bot.content }
}

const untilRead = 6 * minute

it('a token put there by hand that the broker refuses is reported once and replaced', async () => {
  const { house, bot, ours } = await withFile()
  for (const _ of ['once', 'and again']) {
    bot.content = 'canary-by-hand'
    await house.clock.advance(untilRead)
    expect(bot.content).toBe(ours)
  }
  expect(await house.events('destination-differs')).toEqual([
    'file held a token that Openbell did not write; Rotating does not accept it, so it is replaced by the current one.',
  ])
})

it("another user's token put there by hand is reported and replaced, and never served", async () => {
  const { house, bot, ours } = await withFile(true)
  bot.content = house.issuer.mint('U9')
  await house.clock.advance(untilRead)
  expect(bot.content).toBe(ours)
  expect(house.keeper.session(a)?.accessToken.expose()).toBe(ours)
  expect(await house.events('destination-differs')).toHaveLength(1)
})

it("the user's own token put there by hand is taken over where it can be dated", async () => {
  const { house, bot } = await withFile(true)
  const theirs = house.issuer.mint('U1')
  bot.content = theirs
  await house.clock.advance(untilRead)
  expect(bot.content).toBe(theirs)
  expect(house.keeper.session(a)?.accessToken.expose()).toBe(theirs)
  expect(await house.keeper.statusOf(a)).toMatchObject({
    token: 'live',
    generation: 2,
    delivered: { n: 1, m: 1 },
  })
  expect(await house.events('destination-adopted')).toHaveLength(1)
})

it('a token put there by hand is left alone while the broker cannot be asked about it', async () => {
  const { house, bot, ours } = await withFile()
  bot.content = 'canary-by-hand'
  house.issuer.faults.me.push(...Array.from({ length: 4 }, () => ({ kind: 'connection refused' }) as const))
  await house.clock.advance(5 * minute + 1_000)
  expect(bot.content).toBe('canary-by-hand')
  expect((await house.keeper.statusOf(a)).deliveries[0]?.problem).toMatchObject({
    code: 'destination-changed-by-hand',
  })
  await house.clock.advance(5 * minute)
  expect(bot.content).toBe(ours)
})
