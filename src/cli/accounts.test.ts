import { expect, it } from 'vitest'
import { edit } from './edit.ts'
import { fakeContext, fakeHouse, fakeIo, firstInput, live, statusOf } from './fake-house.ts'
import { pause } from './pause.ts'
import { plan } from './plan.ts'
import { remove } from './remove.ts'
import { resume } from './resume.ts'
import { token } from './token.ts'

const house = () => fakeHouse([statusOf('kite-main', live)])

it('token prints the token alone, the headers, or all of it as JSON', async () => {
  const plain = fakeIo()
  expect(await token({ account: 'kite-main' }, fakeContext(house(), plain))).toBe(0)
  expect(plain).toMatchObject({ stdout: 'canary-access-token\n', stderr: '' })
  const header = fakeIo()
  await token({ account: 'kite-main', header: true }, fakeContext(house(), header))
  expect(header.stdout).toBe('X-Kite-Version: 3\nAuthorization: token key:canary-access-token\n')
  const json = fakeIo()
  await token({ account: 'kite-main' }, fakeContext(house(), json, true))
  expect(JSON.parse(json.stdout)).toMatchObject({
    accessToken: 'canary-access-token',
    headers: { Authorization: 'token key:canary-access-token' },
    expiresAt: '2026-11-24T00:30:00.000Z',
    expirySource: 'broker-rule',
  })
})

it('edit changes only what is named', async () => {
  const edited = house()
  const redirect = 'http://127.0.0.1:5000/cb'
  await edit({ account: 'kite-main', label: 'Mine', redirect }, fakeContext(edited, fakeIo()))
  expect(firstInput(edited)).toEqual({ label: 'Mine', redirectUri: redirect })
  const asked = house()
  await edit({ account: 'kite-main' }, fakeContext(asked, fakeIo(['', 'canary-new'])))
  expect(Object.keys(firstInput<{ credentials: object }>(asked).credentials)).toEqual(['apiSecret'])
  const kept = house()
  const io = fakeIo(['', ''])
  await edit({ account: 'kite-main' }, fakeContext(kept, io))
  expect(kept.calls).toEqual([])
  expect(io.stdout).toBe('Nothing was changed.\n')
})

it('pause and resume say what follows', async () => {
  const paused = house()
  const io = fakeIo()
  await pause({ account: 'kite-main' }, fakeContext(paused, io))
  expect(paused.statuses.get('kite-main')?.work.state).toBe('paused')
  expect(io.stdout).toContain('`openbell resume kite-main` goes on')
  await resume({ account: 'kite-main' }, fakeContext(paused, io))
  expect(paused.statuses.get('kite-main')?.work.state).toBe('idle')
})

it('remove asks first, and a no changes nothing', async () => {
  const asked = house()
  await expect(remove({ account: 'kite-main' }, fakeContext(asked, fakeIo(['no'])))).rejects.toThrow(
    'nothing was changed',
  )
  expect(asked.statuses.size).toBe(1)
  await remove({ account: 'kite-main' }, fakeContext(asked, fakeIo(['yes'])))
  expect(asked.statuses.size).toBe(0)
  const sure = house()
  await remove({ account: 'kite-main', yes: true }, fakeContext(sure, fakeIo()))
  expect(sure.statuses.size).toBe(0)
})

it('plan says when, what and why', async () => {
  const io = fakeIo()
  await plan({}, fakeContext(house(), io))
  expect(io.stdout).toBe('kite-main\n  09:05 (IST), in 5m  probe  the token is not confirmed\n')
})
