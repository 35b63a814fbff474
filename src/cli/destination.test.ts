import { expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import { addDestination, attach, detach, list, remove, test } from './destination.ts'
import { fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'

it('takes a path from the folder it is called in', async () => {
  const house = fakeHouse()
  const io = fakeIo()
  await addDestination(
    { id: 'bot', path: '../.env', set: ['accessToken=KITE=TOKEN'] },
    fakeContext(house, io),
  )
  expect(house.calls[0]?.input).toMatchObject({
    kind: 'dotenv',
    settings: { path: '/.env', accessToken: 'KITE=TOKEN' },
  })
  expect(io.stdout).toContain('`openbell destination attach <account> bot`')
})

it('attaches beside what is attached, once, and detaches only what is named', async () => {
  const house = fakeHouse([statusOf('kite-main', live)])
  for (const id of ['one', 'two']) await addDestination({ id, path: id }, fakeContext(house, fakeIo()))
  const changes = () => house.calls.filter(({ name }) => name === 'editAccount').map(({ input }) => input)
  for (const destination of ['one', 'two', 'two']) {
    await attach({ account: 'kite-main', destination }, fakeContext(house, fakeIo()))
  }
  expect(changes()).toEqual([{ destinations: ['one'] }, { destinations: ['one', 'two'] }])
  const io = fakeIo()
  await detach({ account: 'kite-main', destination: 'one' }, fakeContext(house, io))
  expect(changes().at(-1)).toEqual({ destinations: ['two'] })
  expect(io.stdout).toBe('kite-main writes to two: 1 of 1.\n')
  await expect(
    detach({ account: 'kite-main', destination: 'tow' }, fakeContext(house, fakeIo())),
  ).rejects.toThrow('Did you mean "two"?')
})

it('lists who writes where', async () => {
  const house = fakeHouse([statusOf('kite-main', live)])
  await addDestination({ id: 'bot', path: '.env' }, fakeContext(house, fakeIo()))
  await attach({ account: 'kite-main', destination: 'bot' }, fakeContext(house, fakeIo()))
  const io = fakeIo()
  await list(fakeContext(house, io))
  expect(io.stdout).toBe(
    'DESTINATION  KIND    WHERE          WRITTEN BY\nbot          dotenv  /project/.env  kite-main\n',
  )
})

it.each([
  [{ desired: 2, delivered: 2 }, 0, 'ok    /e: holds the current token'],
  [{ desired: 0, delivered: 0 }, 0, 'ok    /e: writable, and there is no token to write yet'],
  [{ desired: 2, delivered: 1 }, 1, 'fail  /e: not the current token yet'],
  [
    {
      desired: 2,
      delivered: 2,
      problem: { remedy: 'retry', code: 'destination-not-read-back', message: 'Gone.' },
    },
    1,
    'fail  /e: Gone.',
  ],
] as const)('test says what it read: %o', async (view, exitCode, line) => {
  const deliveries = [{ accountId: 'kite-main', destinationId: 'bot', kind: 'dotenv', where: '/e', ...view }]
  const house = fakeHouse([statusOf('kite-main', { ...live, deliveries })])
  await addDestination({ id: 'bot', path: '/e' }, fakeContext(house, fakeIo()))
  const io = fakeIo()
  expect(await test({ id: 'bot' }, fakeContext(house, io))).toBe(exitCode)
  expect(io.stdout).toBe(`${line}\n`)
})

it('removes, unless the keeper says that it is in use', async () => {
  const house = fakeHouse()
  await addDestination({ id: 'bot', path: '/e' }, fakeContext(house, fakeIo()))
  house.keeper.removeDestination = async () => {
    throw new OpenbellError('still-in-use', 'kite-main writes there.')
  }
  await expect(remove({ id: 'bot' }, fakeContext(house, fakeIo()))).rejects.toMatchObject({
    code: 'still-in-use',
  })
})
