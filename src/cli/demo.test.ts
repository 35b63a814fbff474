import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { demo } from './demo.ts'
import { fakeContext, fakeHouse, fakeIo } from './fake-house.ts'

it.each([
  ['a pipe', false, /bot-env/],
  ['a terminal', true, /kite-main +Zerodha Kite \(simulator\)/],
])('runs on %s and cleans up behind itself', async (_, isTTY, expected) => {
  const stop = Promise.withResolvers<void>()
  const io = fakeIo([], {
    isTTY,
    width: 120,
    untilStopped: () => stop.promise,
    sleep: async () => stop.resolve(),
  })
  expect(await demo(fakeContext(fakeHouse(), io))).toBe(0)
  expect(io.stdout).toMatch(expected)
  const [, folder = ''] = /or read +(\S+)\/bot\n/.exec(io.stdout) ?? []
  expect(folder).toMatch(/openbell-demo-/)
  expect(existsSync(folder)).toBe(false)
})
