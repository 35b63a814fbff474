import { expect, it } from 'vitest'
import type { Secret } from '../core/secret.ts'
import { fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'
import { importToken } from './import.ts'

const input = { account: 'kite-main', token: '-' }

it('hands over what stdin holds, without the line end, and says what came of it', async () => {
  const taken: unknown[] = []
  const house = fakeHouse([statusOf('kite-main')], {
    importToken: async (ref, token: Secret, slot) => {
      taken.push([ref.accountId, token.expose(), slot])
      return statusOf('kite-main', live)
    },
  })
  const io = fakeIo([], { readStdin: async () => 'canary-token\n' })
  expect(await importToken({ ...input, slot: 'read' }, fakeContext(house, io))).toBe(0)
  expect(taken).toEqual([['kite-main', 'canary-token', 'read']])
})

it.each([
  [{ ...input, token: 'canary-token' }, /takes only `-`/],
  [{ ...input, slot: 'orders' }, /There is no slot "orders"/],
  [{ ...input, account: 'kite-mian' }, /Did you mean "kite-main"/],
] as const)('refuses %o', async (wrong, sentence) => {
  const io = fakeIo([], { readStdin: async () => 'canary-token' })
  const refused = importToken(wrong, fakeContext(fakeHouse([statusOf('kite-main')]), io))
  await expect(refused).rejects.toThrow(sentence)
  await expect(refused).rejects.not.toThrow('canary')
})

it('refuses an empty stdin', async () => {
  const io = fakeIo([], { readStdin: async () => ' \n' })
  await expect(importToken(input, fakeContext(fakeHouse([statusOf('kite-main')]), io))).rejects.toMatchObject(
    {
      code: 'invalid-field',
      field: 'token',
    },
  )
})
