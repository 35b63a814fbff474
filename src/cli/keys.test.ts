import { expect, it } from 'vitest'
import { scopes } from '../access/scopes.ts'
import { fakeContext, fakeHouse, fakeIo } from './fake-house.ts'
import { create, list, revoke, scopesHelp } from './keys.ts'

const bot = { label: 'bot', scope: ['status:read', 'token:read', 'status:read'] }

it('prints a new key once, alone on stdout', async () => {
  const house = fakeHouse()
  const io = fakeIo()
  expect(await create(bot, fakeContext(house, io))).toBe(0)
  expect(io.stdout).toBe('canary-key1\n')
  expect(io.stderr).toBe('Key key1 (bot) may status:read, token:read. It is shown this once:\n')
  const json = fakeIo()
  await create(bot, fakeContext(house, json, true))
  expect(JSON.parse(json.stdout)).toEqual({
    id: 'key2',
    label: 'bot',
    scopes: ['status:read', 'token:read'],
    createdAt: '2026-11-23T03:30:00.000Z',
    key: 'canary-key2',
  })
})

it('lists what keys may and never a key', async () => {
  const house = fakeHouse()
  const empty = fakeIo()
  await list(fakeContext(house, empty))
  expect(empty.stdout).toContain('There is no key yet.')
  for (let n = 0; n < 2; n++) await create(bot, fakeContext(house, fakeIo()))
  await revoke({ id: 'key2' }, fakeContext(house, fakeIo()))
  const [text, json] = [fakeIo(), fakeIo()]
  await list(fakeContext(house, text))
  await list(fakeContext(house, json, true))
  expect(text.stdout).toBe(`\
ID    LABEL  MAY                     MADE   STATE
key1  bot    status:read token:read  04:30  in force
key2  bot    status:read token:read  04:30  revoked 04:30
`)
  expect(JSON.parse(json.stdout).keys).toMatchObject([
    { id: 'key1' },
    { id: 'key2', revokedAt: '2026-11-23T03:30:00.000Z' },
  ])
  expect(text.stdout + json.stdout).not.toContain('canary')
  expect(json.stdout).not.toContain('digest')
})

it('revokes by id, once', async () => {
  const house = fakeHouse()
  await create(bot, fakeContext(house, fakeIo()))
  const said = async (json = false) => {
    const io = fakeIo()
    expect(await revoke({ id: 'key1' }, fakeContext(house, io, json))).toBe(0)
    return io.stdout
  }
  expect(await said()).toBe('Key key1 (bot) is revoked.\n')
  expect(house.apiKeys[0]?.revokedAt).toBeDefined()
  expect(await said()).toBe('Key key1 (bot) was revoked already.\n')
  expect(JSON.parse(await said(true))).toEqual({ revoked: 'key1', already: true })
})

it('does not repeat an id that is not there: it may be a key', async () => {
  const typed = revoke({ id: 'ob_canary' }, fakeContext(fakeHouse(), fakeIo()))
  await expect(typed).rejects.toMatchObject({ name: 'UsageError' })
  await expect(typed).rejects.not.toThrow('canary')
})

it('its help names every scope', () => {
  for (const scope of scopes) expect(scopesHelp).toContain(scope)
})
