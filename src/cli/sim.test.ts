import { expect, it } from 'vitest'
import type { NewAccount } from '../core/keeper.ts'
import { commands } from './commands.ts'
import { fakeContext, fakeHouse, fakeIo, firstInput, kiteInfo } from './fake-house.ts'
import { runProgram } from './program.ts'
import { sim } from './sim.ts'

it('prints commands that work as they stand', async () => {
  const io = fakeIo()
  expect(await sim(fakeContext(fakeHouse(), io))).toBe(0)
  const block = /^openbell (add kite [\s\S]*?) <<'END'\n([\s\S]*?)\nEND$/m.exec(io.stdout)
  const [, command = '', stdin = ''] = block ?? []
  const apiKey = { ...kiteInfo.credentials.apiKey, pattern: /\S+/ }
  const apiSecret = { ...kiteInfo.credentials.apiSecret, pattern: /\S+/ }
  const brokers = () => [{ ...kiteInfo, credentials: { apiKey, apiSecret } as typeof kiteInfo.credentials }]
  const house = fakeHouse([], { brokers })
  const exitCode = await runProgram({
    commands,
    version: '0',
    argv: command.replaceAll('\\\n', ' ').split(/\s+/),
    open: () => fakeContext(house, fakeIo([], { stdin })),
  })
  expect(exitCode).toBe(0)
  const { ref, environment, origins, redirectUri } = firstInput<NewAccount>(house)
  expect({ name: ref.accountId, environment }).toEqual({ name: 'kite-sim', environment: 'simulator' })
  expect(origins).toEqual({ login: expect.stringMatching(/^http:/), api: expect.stringMatching(/^http:/) })
  expect(redirectUri).toMatch(/^http:\/\/127\.0\.0\.1/)
  expect(io.stdout).toMatch(/^openbell add tastytrade tastytrade-sim /m)
  expect(io.stdout).toMatch(/ \| openbell login tastytrade-sim --code -$/m)
})

it('--json is one line', async () => {
  const io = fakeIo()
  await sim(fakeContext(fakeHouse(), io, true))
  expect(io.stdout.trimEnd().split('\n')).toHaveLength(1)
  expect(JSON.parse(io.stdout)).toMatchObject({
    kite: { apiKey: expect.any(String) },
    control: expect.any(String),
  })
})
