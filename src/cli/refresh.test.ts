import { expect, it } from 'vitest'
import { problemError } from '../core/errors.ts'
import type { AccountStatus, Keeper } from '../core/keeper.ts'
import { fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'
import { refresh } from './refresh.ts'

const tasty = statusOf('tasty-main', {
  ...live,
  brokerId: 'tastytrade',
  brokerName: 'tastytrade',
  unattended: true,
})

async function refreshed(before: AccountStatus, renew: Keeper['renew'], json = false) {
  const io = fakeIo()
  const house = fakeHouse([before], { renew })
  const exitCode = await refresh({ account: before.ref.accountId }, fakeContext(house, io, json))
  return { exitCode, stdout: io.stdout, stderr: io.stderr }
}

it('tries once more as a person and says what came of it', async () => {
  const asked: unknown[] = []
  const renew: Keeper['renew'] = async (ref, by) => {
    asked.push([ref.accountId, by])
    return { ...tasty, generation: 2 }
  }
  expect(await refreshed(tasty, renew)).toEqual({
    exitCode: 0,
    stdout: 'Token number 2: tasty-main is live until 19:30 tomorrow (ET), no destinations yet.\n',
    stderr: '',
  })
  expect(asked).toEqual([['tasty-main', 'person']])
  expect(JSON.parse((await refreshed(tasty, renew, true)).stdout)).toMatchObject({
    account: 'tasty-main',
    generation: 2,
    renewed: true,
  })
})

it('does not call an old token a new one', async () => {
  const { stdout } = await refreshed(tasty, async () => tasty)
  expect(stdout).toMatch(/^No new token is in use yet: tasty-main is live/)
})

it.each<[string, Partial<AccountStatus>, 0 | 1 | 3]>([
  ['waits for a person', { token: 'dead', work: { state: 'waiting-for-person' } }, 3],
  ['needs fixing', { token: 'dead', work: { state: 'needs-fixing' } }, 1],
])('ends with the code of what follows: %s', async (_, after, exitCode) => {
  expect(await refreshed(tasty, async () => ({ ...tasty, ...after }))).toMatchObject({ exitCode })
})

it('a broker that renews nothing without a person is not asked, and that is said', async () => {
  const renew = async () => {
    throw new Error('asked')
  }
  const good = await refreshed(statusOf('kite-main', live), renew)
  expect(good).toMatchObject({ exitCode: 0, stderr: '' })
  expect(good.stdout).toBe(
    'Zerodha Kite renews no token without a person, so nothing was sent.\n' +
      'kite-main is already live until 06:00 tomorrow (IST), no destinations yet.\n',
  )
  const dead = await refreshed(statusOf('kite-main'), renew)
  expect(dead).toMatchObject({ exitCode: 3, stderr: 'Log in with `openbell login kite-main`.\n' })
  expect(JSON.parse((await refreshed(statusOf('kite-main'), renew, true)).stdout)).toMatchObject({
    renewed: false,
  })
})

it('passes on what the keeper refuses', async () => {
  const problem = { remedy: 'login', code: 'login-needed', message: 'A person must log in.' } as const
  await expect(
    refreshed(tasty, async () => {
      throw problemError(problem, 'tasty-main')
    }),
  ).rejects.toMatchObject({ code: 'login-needed' })
})
