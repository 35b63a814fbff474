import { expect, it } from 'vitest'
import type { NewAccount } from '../core/keeper.ts'
import { add } from './add.ts'
import { fakeContext, fakeHouse, fakeIo, firstInput, statusOf } from './fake-house.ts'

const stdin = 'apiKey=abcd1234\napiSecret=canary-kite-secret'

it('asks for name, credentials and redirect, then saves, and asks again what has a wrong shape', async () => {
  const house = fakeHouse()
  const io = fakeIo(['', 'wrong', 'abcd1234', '', 'canary-kite-secret', '', 'no'])
  expect(await add({ broker: 'kite' }, fakeContext(house, io))).toBe(0)
  const { ref, credentials, redirectUri, environment } = firstInput<NewAccount>(house)
  expect(ref.accountId).toBe('kite-main')
  expect(environment).toBe('live')
  expect(redirectUri).toBe('http://127.0.0.1:8079/callback')
  expect(credentials.apiKey?.expose()).toBe('abcd1234')
  expect(credentials.apiSecret?.expose()).toBe('canary-kite-secret')
  expect(io.stderr).toContain('API key must be 8 letters and digits.')
  expect(io.stderr).toContain('API secret is empty.')
  expect(io.stdout + io.stderr).not.toContain('canary')
  expect(io.stdout).toContain('Log in with `openbell login kite-main`.')
})

it('goes on to the login when wanted, and its Ctrl-C leaves the account', async () => {
  const house = fakeHouse()
  const io = fakeIo(['mine', 'abcd1234', 'canary-kite-secret', '', 'yes', 'stop'])
  await expect(add({ broker: 'kite' }, fakeContext(house, io))).rejects.toThrow(
    'Stopped: mine stays saved; `openbell login mine` goes on.',
  )
  expect(house.statuses.has('mine')).toBe(true)
})

it('takes everything from stdin without a question', async () => {
  const house = fakeHouse()
  const io = fakeIo([], { stdin })
  expect(await add({ broker: 'kite', secrets: '-' }, fakeContext(house, io))).toBe(0)
  expect(io.asked).toEqual([])
  expect(io.stdout).toContain('Its redirect URI is http://127.0.0.1:8079/callback')
})

it('passes a simulator’s origins on', async () => {
  const house = fakeHouse()
  const origin = ['login=http://127.0.0.1:7001', 'api=http://127.0.0.1:7002']
  const input = { broker: 'kite', name: 'sim', environment: 'simulator', origin, secrets: '-' }
  await add(input, fakeContext(house, fakeIo([], { stdin })))
  expect(house.calls[0]?.input).toMatchObject({
    environment: 'simulator',
    origins: { login: 'http://127.0.0.1:7001', api: 'http://127.0.0.1:7002' },
  })
})

it('asks a paste-grant broker for no redirect', async () => {
  const house = fakeHouse()
  const io = fakeIo(['', 'id', 'canary-secret', 'no'])
  await add({ broker: 'tastytrade' }, fakeContext(house, io))
  expect(house.calls[0]?.input).not.toHaveProperty('redirectUri')
})

it('finds a taken name before anybody types a secret', async () => {
  const io = fakeIo(['unasked'])
  const house = fakeHouse([statusOf('kite-main')])
  await expect(add({ broker: 'kite', name: 'kite-main' }, fakeContext(house, io))).rejects.toMatchObject({
    code: 'name-taken',
  })
  expect(io.asked).toEqual([])
})
