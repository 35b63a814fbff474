import { expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import type { AccountStatus } from '../core/keeper.ts'
import { doctor } from './doctor.ts'
import { type FakeHouse, fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'

async function examined(house: FakeHouse) {
  const io = fakeIo()
  const exitCode = await doctor(fakeContext(house, io, true))
  const { checks } = JSON.parse(io.stdout) as {
    checks: { about: string; result: string; message: string; mend?: string }[]
  }
  return { exitCode, of: (about: string) => checks.find((check) => check.about === about) }
}

const withAccounts = (...statuses: AccountStatus[]) => fakeHouse(statuses)

it('is content with a live account', async () => {
  const house = withAccounts(statusOf('kite-main', live))
  const { exitCode, of } = await examined(house)
  expect(exitCode).toBe(0)
  expect(of('kite-main')).toMatchObject({ result: 'ok', message: 'live; ends 06:00 tomorrow (IST), in 21h' })
  expect(of('kite-main, redirect')).toMatchObject({ result: 'ok' })
  expect(house.listening).toBe(false)
  expect(house.calls).toEqual([{ name: 'check', input: { tenantId: 'default', accountId: 'kite-main' } }])
  expect(of('service')).toMatchObject({ result: 'warn', mend: 'openbell up' })
})

it('a login that is due is 3, something broken is 1', async () => {
  const due = await examined(withAccounts(statusOf('kite-main')))
  expect(due.exitCode).toBe(3)
  expect(due.of('kite-main')).toMatchObject({ result: 'warn', mend: 'openbell login kite-main' })
  const problem = {
    remedy: 'fix-settings',
    code: 'settings-refused',
    message: 'The secret is wrong.',
  } as const
  const refused = statusOf('kite-main', { work: { state: 'needs-fixing', problem } })
  const broken = await examined(withAccounts(refused, statusOf('kite-wife')))
  expect(broken.exitCode).toBe(1)
  expect(broken.of('kite-main')).toMatchObject({ result: 'fail', mend: 'openbell edit kite-main' })
})

it.each([
  [60_000, 'ok', 0],
  [-60_000, 'ok', 0],
  [60_001, 'fail', 1],
  [-90_000, 'fail', 1],
])('a clock %i ms off is %s', async (offsetMs, result, exitCode) => {
  const house = withAccounts(statusOf('kite-main', live))
  house.clockOffsets = () => ({ kite: offsetMs })
  const ended = await examined(house)
  expect(ended.of('clock, kite')).toMatchObject({ result })
  expect(ended.exitCode).toBe(exitCode)
})

it('says when the clock was compared with none', async () => {
  expect((await examined(withAccounts(statusOf('kite-main', live)))).of('clock')).toMatchObject({
    result: 'note',
  })
})

it('warns where no login could come back, unless the service holds that port', async () => {
  const house = withAccounts(statusOf('kite-main', live))
  house.listenForLogin = async () => {
    throw new OpenbellError('redirect-not-listenable', 'Port 8079 is taken.')
  }
  expect((await examined(house)).of('kite-main, redirect')).toMatchObject({
    result: 'warn',
    message: 'Port 8079 is taken.',
  })
  house.serviceIsUp = async () => true
  expect((await examined(house)).of('kite-main, redirect')).toMatchObject({ result: 'ok' })
})

it('reads destinations back', async () => {
  const house = withAccounts(statusOf('kite-main', live))
  await house.keeper.addDestination({
    id: 'bot',
    tenantId: 'default',
    kind: 'dotenv',
    settings: { path: '/nowhere/.env' },
  })
  expect((await examined(house)).of('destination bot')).toMatchObject({
    result: 'warn',
    message: 'no account writes there',
  })
  const view = {
    accountId: 'kite-main',
    destinationId: 'bot',
    kind: 'dotenv',
    where: '/nowhere/.env',
    desired: 1,
    delivered: 0,
  }
  house.statuses.set('kite-main', statusOf('kite-main', { ...live, deliveries: [view] }))
  const { exitCode, of } = await examined(house)
  expect(of('destination bot')).toMatchObject({ result: 'fail' })
  expect(exitCode).toBe(1)
})

it('says what it can when the vault stays shut', async () => {
  const io = fakeIo()
  const context = {
    ...fakeContext(fakeHouse(), io),
    house: async () => {
      throw new OpenbellError('vault-locked', 'The vault does not open with this key.')
    },
  }
  expect(await doctor(context)).toBe(1)
  expect(io.stdout).toContain('ok    node: Node.js')
  expect(io.stdout).toContain('fail  vault-locked: The vault does not open with this key.')
  expect(io.stdout.split('\n').every((line) => line.length <= 80)).toBe(true)
})
