import { expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import { fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'
import { setup } from './setup.ts'

const typed = ['kite', '', 'abcd1234', 'canary-kite-secret', '']

it('walks from nothing to a logged-in account with a destination', async () => {
  const house = fakeHouse()
  const io = fakeIo([...typed, '', 'yes', 'http://127.0.0.1/?request_token=a'])
  expect(await setup(fakeContext(house, io))).toBe(0)
  expect(house.calls.map(({ name }) => name)).toEqual([
    'addAccount',
    'addDestination',
    'editAccount',
    'finishLogin',
  ])
  expect(house.calls[1]?.input).toMatchObject({ kind: 'dotenv', settings: { path: '/project/.env' } })
  expect(io.stderr).toContain('KITE_ACCESS_TOKEN, KITE_API_KEY')
  expect(io.stdout).toContain('kite-main is live until 06:00 tomorrow (IST), 1 of 1 destinations.')
  expect(io.stdout).toContain('openbell up')
})

it('asks for another file when one cannot be written', async () => {
  const real = fakeHouse().keeper.addDestination
  const house = fakeHouse([], {
    async addDestination(input) {
      if (input.settings.path === '/root/.env') {
        throw new OpenbellError('destination-unwritable', '/root/.env cannot be written.')
      }
      return real(input)
    },
  })
  const io = fakeIo([...typed, '/root/.env', 'none', 'no'])
  expect(await setup(fakeContext(house, io))).toBe(0)
  expect(io.stderr).toContain('/root/.env cannot be written. Name another file.')
})

it('goes on where it stopped', async () => {
  const house = fakeHouse([
    statusOf('kite-main', {
      deliveries: [
        {
          accountId: 'kite-main',
          destinationId: 'e',
          kind: 'dotenv',
          where: '/srv/.env',
          desired: 0,
          delivered: 0,
        },
      ],
    }),
  ])
  const io = fakeIo(['account kite-main', 'stop'])
  await expect(setup(fakeContext(house, io))).rejects.toThrow('the steps before this one are saved')
  expect(io.stderr).toContain('kite-main writes its token to /srv/.env.')
  expect(house.calls).toEqual([])
})

it('does not ask a live account to log in', async () => {
  const io = fakeIo(['account kite-main', 'none'])
  expect(await setup(fakeContext(fakeHouse([statusOf('kite-main', live)]), io))).toBe(0)
  expect(io.stderr).toContain('kite-main is logged in.')
})
