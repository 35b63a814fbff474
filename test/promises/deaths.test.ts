import { expect, it } from 'vitest'
import { settled } from '../rig/virtual-clock.ts'
import { a, House, hour, minute } from './house.ts'

/** 08:00 in Kolkata. */
const eight = '2026-11-20T02:30:00Z'

it('a session that dies at 11:00 is asked for once, with the likely cause; the second time that day it needs fixing', async () => {
  const house = await House.open({ broker: 'login-only', from: eight })
  await house.begin()
  await house.clock.advance(3 * hour)

  house.issuer.killAccess()
  for (let complaint = 0; complaint < 20; complaint++) await house.keeper.reportRejected(a, 1)
  await settled()
  expect(house.keeper.session(a)).toBeUndefined()
  const first = await house.keeper.statusOf(a)
  expect(first).toMatchObject({
    token: 'dead',
    work: { state: 'waiting-for-person', problem: { code: 'session-superseded' } },
  })
  expect(first.work.problem?.message).toContain('another program or a second login')
  expect(await house.events('login-asked')).toHaveLength(1)

  await house.logIn()
  expect((await house.keeper.statusOf(a)).token).toBe('live')
  await house.clock.advance(hour)
  house.issuer.killAccess()
  await house.keeper.reportRejected(a, 2)
  await settled()
  const second = await house.keeper.statusOf(a)
  expect(second.work).toMatchObject({ state: 'needs-fixing', problem: { code: 'session-superseded' } })
  expect(second.work.problem?.message).toContain('second time today')
  expect(await house.events('login-asked')).toHaveLength(1)

  const sent = house.issuer.arrivals.length
  await house.clock.advance(4 * hour)
  expect(house.issuer.arrivals.length).toBe(sent)
})

it('what happened yesterday does not count today', async () => {
  const house = await House.open({ broker: 'login-only', from: eight })
  await house.begin()
  for (const generation of [1, 2]) {
    await house.clock.advance(2 * hour)
    house.issuer.killAccess()
    await house.keeper.reportRejected(a, generation)
    await settled()
    expect((await house.keeper.statusOf(a)).work.state).toBe('waiting-for-person')
    await house.clock.advance(22 * hour)
    await house.logIn()
  }
})

it('a login at 06:40 is accepted, in doubt until 07:30, and asked about at 07:31', async () => {
  const house = await House.open({ broker: 'login-only', from: '2026-11-20T01:10:00Z' })
  await house.begin()
  const status = await house.keeper.statusOf(a)
  expect(status.token).toBe('live')
  expect(new Date(status.expiry?.doubtUntil ?? 0).toISOString()).toBe('2026-11-20T02:00:00.000Z')
  const probes = house.requests('me')
  await house.clock.advance(50 * minute + 30_000)
  expect(house.requests('me')).toBe(probes)
  await house.clock.advance(minute)
  expect(house.requests('me')).toBe(probes + 1)
  expect((await house.keeper.statusOf(a)).token).toBe('live')
  await house.clock.advance(5 * hour)
  expect(house.requests('me')).toBe(probes + 1)
})

it('a token that the morning flush took is no takeover: a person is asked, and the flush is named', async () => {
  const house = await House.open({ broker: 'login-only', from: '2026-11-20T01:10:00Z' })
  await house.begin()
  await house.clock.advance(40 * minute)
  house.issuer.killAccess()
  await house.clock.advance(15 * minute)
  const { token, work } = await house.keeper.statusOf(a)
  expect(token).toBe('dead')
  expect(work).toMatchObject({ state: 'waiting-for-person', problem: { code: 'login-needed' } })
  expect(work.problem?.message).toContain('07:30')
  expect(await house.events('superseded')).toEqual([])
})

it('the end of one token that waits behind a login does not end the next', async () => {
  const house = await House.open({ broker: 'login-only', from: eight })
  await house.begin()
  await house.keeper.pauseAccount(a)
  await house.clock.advance(24 * hour)
  house.issuer.faults.token.push({ kind: 'late', ms: 3_000 })
  const login = house.logIn()
  await settled()
  await house.keeper.resumeAccount(a)
  await house.clock.advance(minute)
  await login
  expect(await house.keeper.statusOf(a)).toMatchObject({
    token: 'live',
    generation: 2,
    work: { state: 'idle' },
  })
})

it('a suspicion is looked into although somebody else tried to log in meanwhile', async () => {
  const house = await House.open({ broker: 'login-only', from: eight })
  await house.begin()
  await house.keeper.reportRejected(a, 1)
  expect((await house.keeper.statusOf(a)).token).toBe('suspect')
  await expect(house.logIn('a', 'U9')).rejects.toMatchObject({ code: 'login-other-user' })
  await house.clock.advance(2 * minute)
  expect((await house.keeper.statusOf(a)).token).toBe('live')
})
