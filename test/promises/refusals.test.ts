import { expect, it } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { ref } from '../rig/engine.ts'
import { settled } from '../rig/virtual-clock.ts'
import { a, House, hour, minute } from './house.ts'

/** As a real bot did: 257 attempts in 18 minutes. */
async function insist(house: House): Promise<void> {
  for (let attempt = 0; attempt < 257; attempt++) {
    await expect(house.keeper.token(a)).rejects.toMatchObject({ remedy: 'login' })
    await house.clock.advance(Math.round((18 * minute) / 257))
  }
}

it('257 refused logins in 18 minutes are one request, and one more for each thing that a person does', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  house.issuer.revokeAll()
  const before = house.requests('token')
  const since = () => house.requests('token') - before
  await house.clock.advance(16 * minute)
  expect(since()).toBe(1)
  expect((await house.keeper.statusOf(a)).work.state).toBe('waiting-for-person')

  await insist(house)
  expect(since()).toBe(1)

  await house.keeper.editAccount(a, { credentials: { clientSecret: new Secret('canary-client-secret') } })
  await settled()
  await insist(house)
  expect(since()).toBe(2)

  await expect(house.keeper.renew(a, 'person')).rejects.toMatchObject({ remedy: 'login' })
  await insist(house)
  expect(since()).toBe(3)

  await house.restart()
  await insist(house)
  expect(since()).toBe(3)
})

it('a refusal stays a refusal when the old token is found to be alive', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  house.issuer.faults.token.push({ kind: 'status', status: 503, acts: false })
  await house.clock.advance(13 * minute + 10_000)
  await house.keeper.editAccount(a, { credentials: { clientSecret: new Secret('canary-wrong') } })
  await house.clock.advance(50_000)
  expect((await house.keeper.statusOf(a)).work.state).toBe('needs-fixing')
  const before = house.requests('token')

  const probes = house.requests('me')
  await house.keeper.reportRejected(a, 1)
  await house.clock.advance(30_000)
  expect(house.requests('me')).toBe(probes + 1)
  expect(await house.keeper.statusOf(a)).toMatchObject({ token: 'live', work: { state: 'needs-fixing' } })
  expect(house.requests('token')).toBe(before)
})

it('a refusal stays a refusal when the token before it is confirmed late', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  await house.clock.advance(minute)
  house.issuer.faults.me.push({ kind: 'garbage', acts: false })
  await house.logIn()
  await house.clock.advance(1_000)
  await house.keeper.editAccount(a, { credentials: { clientSecret: new Secret('canary-wrong') } })
  await house.keeper.renew(a, 'person').catch(() => undefined)
  expect(await house.keeper.statusOf(a)).toMatchObject({ token: 'unproven', work: { state: 'needs-fixing' } })
  const before = house.requests('token')
  await house.clock.advance(hour)
  expect(await house.events('accepted')).toHaveLength(2)
  expect(house.requests('token')).toBe(before)
})

it('an outage is asked after by the table: sooner at first, never at once', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  house.issuer.faults.token.push(
    ...Array.from({ length: 50 }, () => ({ kind: 'HTML', acts: false }) as const),
  )
  await house.clock.advance(2 * hour)
  const at = house.issuer.arrivals.filter(({ to }) => to === 'token').map((one) => one.at)
  const gaps = at.slice(2).map((one, index) => Math.round((one - (at[index + 1] ?? 0)) / 1000))
  expect(gaps.slice(0, 8)).toEqual([5, 15, 45, 120, 300, 600, 600, 600])
})

it.each([
  { retryAfter: 0, sooner: 5 },
  { retryAfter: 90, sooner: 90 },
])('a broker that says Retry-After: $retryAfter is asked no sooner than after $sooner s', async (given) => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  house.issuer.faults.token.push({ kind: 'throttled', retryAfter: given.retryAfter })
  await house.clock.advance(16 * minute)
  const at = house.issuer.arrivals.filter(({ to }) => to === 'token').map((one) => one.at)
  expect(((at[2] ?? 0) - (at[1] ?? 0)) / 1000).toBeCloseTo(given.sooner, 0)
})

it('a broker that always says Retry-After: 0 is asked less and less', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  house.issuer.faults.token.push(
    ...Array.from({ length: 500 }, () => ({ kind: 'throttled', retryAfter: 0 }) as const),
  )
  await house.clock.advance(hour + 13 * minute)
  expect(house.requests('token')).toBeLessThan(90)
})

it('a paused account is neither served nor renewed', async () => {
  const house = await House.open({ broker: 'rotating' })
  await house.begin()
  await house.keeper.pauseAccount(a)
  const before = house.issuer.arrivals.length
  expect(house.keeper.session(a)).toBeUndefined()
  await house.clock.advance(3 * hour)
  await expect(house.keeper.token(a)).rejects.toMatchObject({ code: 'account-paused' })
  await expect(house.keeper.renew(a, 'person')).rejects.toMatchObject({ code: 'account-paused' })
  expect(house.issuer.arrivals.length).toBe(before)
  expect((await house.keeper.statusOf(a)).work.state).toBe('paused')

  await house.keeper.resumeAccount(a)
  await house.clock.advance(1_000)
  expect(house.keeper.session(a)?.token).toBe('live')
})

it('after five refusals from one address nothing more is sent from it, not even by the next process', async () => {
  const house = await House.open({ broker: 'repeatable' })
  const accounts = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
  for (const id of accounts) {
    await house.add(id)
    await house.logIn(id, `U-${id}`)
  }
  house.issuer.revokeAll()
  await house.clock.advance(16 * minute)
  const before = house.issuer.arrivals.length
  const sent = () => house.issuer.arrivals.length - before
  for (const id of accounts) await house.keeper.renew(ref(id), 'person').catch(() => undefined)
  expect(sent()).toBe(5)

  // Stopping takes eleven of the fifteen minutes.
  await house.restart()
  for (const id of accounts) {
    await expect(house.keeper.renew(ref(id), 'person')).rejects.toMatchObject({ code: 'broker-locked-out' })
  }
  expect(sent()).toBe(5)
  expect((await house.keeper.statusOf(ref('f'))).work.state).toBe('blocked')

  await house.clock.advance(5 * minute)
  await house.keeper.renew(ref('g'), 'person').catch(() => undefined)
  expect(sent()).toBeGreaterThan(5)
})

it.each(['rotating', 'repeatable'] as const)(
  'while renewals work and probes do not, one renewal follows the other at its time: $0',
  async (broker) => {
    const house = await House.open({ broker })
    await house.begin()
    const at = broker === 'rotating' ? hour : 15 * minute
    house.issuer.faults.token.push({ kind: 'connection refused' })
    house.issuer.faults.me.push(
      ...Array.from({ length: 100 }, () => ({ kind: 'garbage', acts: false }) as const),
    )
    await house.clock.advance(2 * at)
    expect(house.requests('token')).toBeLessThanOrEqual(5)
    expect(house.keeper.session(a)?.token).toBe('unproven')
  },
)
