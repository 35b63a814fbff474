import { describe, expect, it } from 'vitest'
import { a, House, hour, minute } from './house.ts'

const directions = [
  { name: 'two hours behind the broker', aheadMs: 2 * hour },
  { name: 'two hours ahead of the broker', aheadMs: -2 * hour },
]

describe.each(directions)('a clock that is $name', ({ aheadMs }) => {
  it.each(['rotating', 'repeatable'] as const)(
    'serves a $0 broker without a gap and asks it hardly more than twice as often as ever',
    async (broker) => {
      const house = await House.open({ broker })
      house.issuer.aheadMs = aheadMs
      await house.begin()
      const lifetimeMs = broker === 'rotating' ? hour : 15 * minute
      for (let passed = 0; passed < 8 * hour; passed += minute) {
        await house.clock.advance(minute)
        const access = house.keeper.session(a)?.accessToken.expose() ?? ''
        expect(house.issuer.tokenOf(access)?.endsAt, `after ${passed / minute} min`).toBeGreaterThan(
          house.issuer.now(),
        )
      }
      expect(house.requests('token')).toBeLessThan((2.5 * 8 * hour) / lifetimeMs)
    },
  )

  it('sends nothing for callers who find a token that lives', async () => {
    const house = await House.open({ broker: 'repeatable' })
    house.issuer.aheadMs = aheadMs
    await house.begin()
    const before = house.issuer.arrivals.length
    for (let call = 0; call < 50; call++) await house.keeper.token(a, { minValidMs: minute })
    expect(house.issuer.arrivals.length).toBe(before)
  })

  it('does not stretch or skip a wait that the broker asks for', async () => {
    const house = await House.open({ broker: 'repeatable' })
    house.issuer.aheadMs = aheadMs
    await house.begin()
    house.issuer.faults.token.push({ kind: 'throttled', retryAfter: 60 })
    await house.clock.advance(20 * minute)
    const at = house.issuer.arrivals.filter(({ to }) => to === 'token').map((one) => one.at)
    expect(Math.abs((at[2] ?? 0) - (at[1] ?? 0) - minute)).toBeLessThan(2_000)
  })
})

it.each([
  // Kite's own clock, and the end of a token that it hands out then.
  {
    broker: '05:00 on the 20th',
    from: '2026-11-20T01:30:00Z',
    aheadMs: -2 * hour,
    ends: '2026-11-20T00:30:00.000Z',
  },
  {
    broker: '07:00 on the 20th',
    from: '2026-11-19T23:30:00Z',
    aheadMs: 2 * hour,
    ends: '2026-11-21T00:30:00.000Z',
  },
])("the very first token of Kite is dated by Kite's clock, $broker", async ({ from, aheadMs, ends }) => {
  const house = await House.open({ broker: 'login-only', from })
  house.issuer.aheadMs = aheadMs
  await house.begin()
  const { expiry } = await house.keeper.statusOf(a)
  expect(new Date(expiry?.at ?? 0).toISOString()).toBe(ends)
})

it('an answer that took long says nothing about the time', async () => {
  const house = await House.open({ broker: 'rotating' })
  await house.add('a')
  house.issuer.faults.token.push({ kind: 'late', ms: 5 * minute })
  await house.passing(house.logIn())
  expect(Math.abs(house.keeper.clockOffsets().rotating ?? 0)).toBeLessThan(1_000)
})

it('a login ends what a refusal began, even when the clocks were set in between', async () => {
  const house = await House.open({ broker: 'repeatable' })
  await house.begin()
  house.issuer.revokeAll()
  await house.clock.advance(14 * minute)
  expect((await house.keeper.statusOf(a)).work.state).toBe('waiting-for-person')
  house.issuer.aheadMs = -2 * hour
  // The next process hears the new time first.
  await house.restart()
  await house.logIn()
  expect((await house.keeper.statusOf(a)).work.state).toBe('idle')
  const before = house.requests('token')
  await house.keeper.editAccount(a, { label: 'again', credentials: {} })
  await house.clock.advance(5 * minute)
  expect(house.requests('token') - before).toBeLessThanOrEqual(1)
})
