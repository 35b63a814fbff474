import { expect, it } from 'vitest'
import type { LogoutResult } from '../core/keeper.ts'
import { fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'
import { logout } from './logout.ts'

const delivery = (destinationId: string, delivered: number) => ({
  accountId: 'kite-main',
  destinationId,
  kind: 'dotenv',
  where: '/srv/.env',
  desired: 1,
  delivered,
})
const deliveries = [delivery('bot-env', 1), delivery('late-env', 0)]
const before = statusOf('kite-main', { ...live, deliveries })
const after = statusOf('kite-main', {
  token: 'dead',
  deliveries: deliveries.map((each) => ({ ...each, desired: 0, delivered: 0 })),
})

const house = (atBroker: LogoutResult['atBroker'] = 'ended') =>
  fakeHouse([before], { logout: async () => ({ status: after, atBroker }) })

it.each<[LogoutResult['atBroker'], string]>([
  ['ended', ': Zerodha Kite has ended its token.'],
  [
    'refused',
    ' here; Zerodha Kite did not confirm it, so the token may live on there until 06:00 tomorrow (IST).',
  ],
  [
    'not-possible',
    ' here; Zerodha Kite has no call that ends a token, so it lives on there until 06:00 tomorrow (IST).',
  ],
  ['nothing-there', ': it had no living token.'],
])('says what happened at the broker: %s', async (atBroker, sentence) => {
  const io = fakeIo()
  expect(await logout({ account: 'kite-main', yes: true }, fakeContext(house(atBroker), io))).toBe(0)
  expect(io.stdout).toBe(
    `kite-main is logged out${sentence}\nIts token was taken out of bot-env.\n\`openbell login kite-main\` goes on.\n`,
  )
})

it('asks first, and a no changes nothing', async () => {
  const asked = fakeHouse([before])
  await expect(logout({ account: 'kite-main' }, fakeContext(asked, fakeIo(['no'])))).rejects.toThrow(
    'nothing was changed',
  )
  expect(asked.calls).toEqual([])
  await logout({ account: 'kite-main' }, fakeContext(asked, fakeIo(['yes'])))
  expect(asked.calls.map(({ name }) => name)).toEqual(['logout'])
})

it('--json is one document', async () => {
  const io = fakeIo()
  await logout({ account: 'kite-main', yes: true }, fakeContext(house('refused'), io, true))
  expect(JSON.parse(io.stdout)).toMatchObject({
    account: 'kite-main',
    token: 'dead',
    atBroker: 'refused',
    withdrawnFrom: ['bot-env'],
  })
})
