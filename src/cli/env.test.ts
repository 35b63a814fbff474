import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { kite } from '../brokers/kite.ts'
import type { ReadySession } from '../core/keeper.ts'
import { Secret } from '../core/secret.ts'
import { env } from './env.ts'
import { fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'
import { sessionVariables, shellQuoted } from './variables.ts'

it('prints what a shell takes, and nothing else', async () => {
  const io = fakeIo()
  expect(await env({ account: 'kite-main' }, fakeContext(fakeHouse([statusOf('kite-main', live)]), io))).toBe(
    0,
  )
  expect(io).toMatchObject({
    stdout: "export KITE_ACCESS_TOKEN='canary-access-token'\nexport KITE_API_KEY='key'\n",
    stderr: '',
  })
  const json = fakeIo()
  await env({ account: 'kite-main' }, fakeContext(fakeHouse([statusOf('kite-main', live)]), json, true))
  expect(JSON.parse(json.stdout)).toEqual({
    account: 'kite-main',
    generation: 1,
    expiresAt: '2026-11-24T00:30:00.000Z',
    variables: { KITE_ACCESS_TOKEN: 'canary-access-token', KITE_API_KEY: 'key' },
  })
})

it('without a token it prints nothing and says that a person must log in', async () => {
  const io = fakeIo()
  const printing = env({ account: 'kite-main' }, fakeContext(fakeHouse([statusOf('kite-main')]), io))
  await expect(printing).rejects.toMatchObject({ code: 'login-needed' })
  expect(io.stdout).toBe('')
})

it('any text comes out of a shell as it went in', () => {
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
  fc.assert(
    fc.property(text, (value) => {
      const script = `X=${shellQuoted(value)}; printf %s "$X"`
      expect(execFileSync('sh', ['-c', script], { encoding: 'utf8' })).toBe(value)
    }),
    { numRuns: 50 },
  )
  expect(execFileSync('sh', ['-c', `printf %s ${shellQuoted('\'$(id)`\\\n"')}`], { encoding: 'utf8' })).toBe(
    '\'$(id)`\\\n"',
  )
})

it('holds the app key where the session has one, and leaves it out otherwise', () => {
  const accessToken = new Secret('canary-access-token')
  const session = {
    accessToken,
    appKey: new Secret('canary-app-key'),
  } as Partial<ReadySession> as ReadySession
  expect(Object.keys(sessionVariables(kite, session))).toEqual(['KITE_ACCESS_TOKEN', 'KITE_API_KEY'])
  const bare = { accessToken } as Partial<ReadySession> as ReadySession
  expect(Object.keys(sessionVariables(kite, bare))).toEqual(['KITE_ACCESS_TOKEN'])
})
