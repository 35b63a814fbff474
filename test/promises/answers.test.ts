import { describe, expect, it } from 'vitest'
import type { Broker } from '../../src/core/broker.ts'
import { Secret } from '../../src/core/secret.ts'
import { plus } from '../../src/core/time.ts'
import { a, House, hour, minute } from './house.ts'

/** Like a JWT that says that it has ended, from a broker that accepts the renewal. */
const endedTokens =
  (howMany: number) =>
  (own: Broker): Broker => {
    let left = howMany
    const { refresh } = own
    if (!refresh) return own
    return {
      ...own,
      refresh: {
        ...refresh,
        read(answer, input) {
          const draft = refresh.read(answer, input)
          return left-- > 0 ? { ...draft, expiry: { at: plus(input.now, -hour), source: 'jwt' } } : draft
        },
      },
    }
  }

describe('a renewal that brings a token which has already ended', () => {
  it.each(['rotating', 'repeatable'] as const)(
    'keeps what came with it, serves the old one, and renews again by the table: $0',
    async (broker) => {
      const house = await House.open({ broker, adapter: endedTokens(1) })
      await house.begin()
      const grantsOf = () => house.store.forTenant('house').listGrants('a')
      const before = house.requests('token')
      while (house.requests('token') === before) await house.clock.advance(1_000)
      expect(await grantsOf()).toHaveLength(2)
      expect(house.keeper.session(a)?.generation).toBe(1)
      expect((await house.keeper.statusOf(a)).work.state).toBe('retrying')

      await house.clock.advance(6_000)
      expect(house.requests('token')).toBe(before + 2)
      expect(await house.keeper.statusOf(a)).toMatchObject({
        token: 'live',
        generation: 3,
        work: { state: 'idle' },
      })
      const sent = house.issuer.arrivals.filter(({ to }) => to === 'token').map(({ secret }) => secret)
      if (broker === 'rotating') expect(new Set(sent).size).toBe(sent.length)
    },
  )

  it('is not asked again and again when every one has ended', async () => {
    const house = await House.open({ broker: 'rotating', adapter: endedTokens(1_000) })
    await house.begin()
    await house.clock.advance(3 * hour)
    expect(house.requests('token')).toBeLessThan(25)
    const sent = house.issuer.arrivals.filter(({ to }) => to === 'token').map(({ secret }) => secret)
    expect(new Set(sent).size).toBe(sent.length)
  })
})

it('a new token that the broker refuses does not end the family: its refresh token is the next to be used', async () => {
  const house = await House.open({ broker: 'rotating' })
  await house.begin()
  house.issuer.faults.token.push({ kind: 'token already dead' })
  await house.clock.advance(59 * minute)
  expect(house.keeper.session(a)?.generation).toBe(1)
  await house.clock.advance(minute)
  expect(await house.keeper.statusOf(a)).toMatchObject({
    token: 'live',
    generation: 3,
    work: { state: 'idle' },
  })
  expect(house.requests('token')).toBe(3)
})

it('a renewal that brings no refresh token keeps the old one', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  house.issuer.faults.token.push({ kind: 'no refresh token' }, { kind: 'no refresh token' })
  await house.clock.advance(hour)
  expect((await house.keeper.statusOf(a)).generation).toBeGreaterThanOrEqual(5)
  const [, ...renewals] = house.issuer.arrivals.filter(({ to }) => to === 'token')
  expect(new Set(renewals.map(({ secret }) => secret)).size).toBe(1)
  expect(house.keeper.session(a)?.token).toBe('live')
})

it('a broker that hands over the same token again and then refuses it is believed', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  house.issuer.killAccess()
  house.issuer.faults.token.push({ kind: 'same token again' })
  await house.keeper.renew(a, 'person').catch(() => undefined)
  expect(house.keeper.session(a)).toBeUndefined()
  await house.clock.advance(10_000)
  expect(house.keeper.session(a)?.token).toBe('live')
})

it('a token that was refused and comes again is not served before the broker has accepted it', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  await house.clock.advance(2 * minute)
  house.issuer.killAccess()
  house.issuer.faults.token.push(...Array.from({ length: 3 }, () => ({ kind: 'same token again' }) as const))
  // Of the old one, and then nothing of the one that comes again.
  house.issuer.faults.me.push({ kind: 'late', ms: 0 }, { kind: 'timeout', acts: false })
  await house.keeper.reportRejected(a, 1)
  for (let second = 0; second < 60; second++) {
    await house.clock.advance(1_000)
    if (house.keeper.session(a)) break
  }
  const access = house.keeper.session(a)?.accessToken.expose() ?? ''
  expect(access === '' || house.issuer.tokenOf(access)?.ended === false).toBe(true)
  expect(house.requests('token')).toBeLessThanOrEqual(5)
  await house.clock.advance(5 * minute)
  expect(house.keeper.session(a)?.token).toBe('live')
})

it('a token before it that still lives is restored when the new one is refused', async () => {
  const house = await House.open({ broker: 'rotating' })
  await house.begin()
  const first = house.keeper.session(a)?.accessToken.expose() ?? ''
  await house.clock.advance(minute)
  await house.logIn()
  expect(house.keeper.session(a)?.generation).toBe(2)
  await house.clock.advance(minute)
  house.issuer.end(house.keeper.session(a)?.accessToken.expose() ?? '')
  await house.keeper.reportRejected(a, 2)
  expect(house.keeper.session(a)?.accessToken.expose()).toBe(first)
  expect(await house.keeper.statusOf(a)).toMatchObject({ token: 'live', generation: 1 })
  expect(await house.events('restored')).toHaveLength(1)

  // And from there it goes on unattended.
  await house.clock.advance(2 * hour)
  expect(house.keeper.session(a)?.token).toBe('live')
})

it('a caller who wants more than any token has causes no renewal for each call', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  const before = house.requests('token')
  for (let call = 0; call < 100; call++) {
    await house.keeper.token(a, { minValidMs: hour })
    await house.clock.advance(9_000)
  }
  expect(house.requests('token') - before).toBeLessThanOrEqual(3)
})

it('an answer that was recorded by a process that then died is taken into use by the next', async () => {
  const house = await House.open({ broker: 'login-only' })
  await house.add('a')
  await house.keeper.start()
  await house.clock.advance(minute)
  expect((await house.keeper.statusOf(a)).work.state).toBe('waiting-for-person')
  const vault = house.store.forTenant('house')
  const access = house.issuer.mint('U1')
  await vault.recordGrants([
    {
      id: 'canary-grant',
      ref: a,
      slot: 'trading',
      accessToken: new Secret(access),
      scopes: [],
      expiry: { at: plus(house.clock.now(), hour), source: 'declared' },
      brokerUserId: 'U1',
      origin: 'login',
      sentAt: house.clock.now(),
      receivedAt: house.clock.now(),
      appVersion: 1,
    },
  ])
  await house.restart()
  expect(house.keeper.session(a)?.accessToken.expose()).toBe(access)
})

it('a token that the broker refused is not served while an older one is asked about', async () => {
  const house = await House.open({ broker: 'rotating' })
  await house.begin()
  await house.clock.advance(minute)
  await house.logIn()
  await house.clock.advance(minute)
  house.issuer.revokeAll()
  house.issuer.faults.me.push({ kind: 'late', ms: 0 }, { kind: 'timeout', acts: false })
  const complaint = house.keeper.reportRejected(a, 2)
  await house.clock.advance(1_000)
  expect(house.requests('me')).toBe(4)
  expect(house.keeper.session(a)).toBeUndefined()
  await house.passing(complaint)
})
