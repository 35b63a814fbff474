import { expect, it } from 'vitest'
import type { LedgerEvent } from '../core/model.ts'
import { minuteMs, plus } from '../core/time.ts'
import { events } from './events.ts'
import { fakeContext, fakeHouse, fakeIo, live, morning, statusOf } from './fake-house.ts'

function event(seq: number, changes: Partial<LedgerEvent> = {}): LedgerEvent {
  return {
    seq,
    at: plus(morning, seq * minuteMs),
    tenantId: 'default',
    accountId: 'kite-main',
    kind: 'renewed',
    text: `Token number ${seq} is there.`,
    previousHash: `hash-${seq - 1}`,
    hash: `hash-${seq}`,
    ...changes,
  }
}

const statuses = [
  statusOf('kite-main', live),
  statusOf('tasty-main', { brokerId: 'tastytrade', brokerName: 'tastytrade' }),
]
const happened = [
  event(1),
  event(2, { accountId: 'tasty-main', kind: 'login-finished', text: 'Somebody logged in.' }),
  event(3, { accountId: 'gone', kind: 'account-removed', text: 'gone was removed.' }),
]

function house(...kept: LedgerEvent[]) {
  const made = fakeHouse(statuses)
  made.events.push(...kept)
  return made
}

it("tells in the account's broker's time, oldest first", async () => {
  const io = fakeIo()
  expect(await events({}, fakeContext(house(...happened), io))).toBe(0)
  expect(io.stdout).toBe(`\
09:01 (IST)    kite-main   renewed          Token number 1 is there.
22:32 (ET)     tasty-main  login-finished   Somebody logged in.
04:33 (GMT+1)  gone        account-removed  gone was removed.
`)
})

it('breaks a long line on a terminal only', async () => {
  const long = event(1, { text: 'One two three four five six seven eight nine ten eleven twelve thirteen.' })
  const [terminal, pipe] = [fakeIo([], { isTTY: true, width: 60 }), fakeIo([], { width: 60 })]
  for (const io of [terminal, pipe]) await events({}, fakeContext(house(long), io))
  expect(pipe.stdout.trimEnd().split('\n')).toHaveLength(1)
  expect(terminal.stdout).toBe(
    '09:01 (IST)  kite-main  renewed\n    One two three four five six seven eight nine ten eleven\n    twelve thirteen.\n',
  )
})

it('shows the newest of one account', async () => {
  const io = fakeIo()
  const kept = house(event(1), event(2), ...happened.slice(1), event(9))
  await events({ account: 'kite-main', limit: '2' }, fakeContext(kept, io))
  expect([...io.stdout.matchAll(/number (\d)/g)].map(([, seq]) => seq)).toEqual(['2', '9'])
})

it('still tells of an account that is gone, and not of one that never was', async () => {
  const io = fakeIo()
  await events({ account: 'gone' }, fakeContext(house(...happened), io))
  expect(io.stdout).toContain('gone was removed.')
  await expect(
    events({ account: 'kite-mian' }, fakeContext(house(...happened), fakeIo())),
  ).rejects.toMatchObject({ code: 'unknown-account', message: expect.stringContaining('"kite-main"') })
  const empty = fakeIo()
  expect(await events({ account: 'kite-main' }, fakeContext(house(), empty))).toBe(0)
  expect(empty).toMatchObject({ stdout: '', stderr: 'Nothing has happened yet.\n' })
})

it('--json is one object a line', async () => {
  const io = fakeIo()
  await events({}, fakeContext(house(...happened), io, true))
  const lines = io.stdout.trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line).seq)).toEqual([1, 2, 3])
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    seq: 1,
    at: '2026-11-23T03:31:00.000Z',
    tenant: 'default',
    account: 'kite-main',
    kind: 'renewed',
    text: 'Token number 1 is there.',
    previousHash: 'hash-0',
    hash: 'hash-1',
  })
})

it('--follow tells each event once, as it happens, until Ctrl-C', async () => {
  const stop = Promise.withResolvers<void>()
  const kept = house(event(1))
  let looks = 0
  const io = fakeIo([], {
    untilStopped: () => stop.promise,
    sleep: async () => {
      looks++
      if (looks === 2) kept.events.push(event(2), event(3))
      if (looks === 4) stop.resolve()
    },
  })
  expect(await events({ follow: true }, fakeContext(kept, io))).toBe(0)
  expect([...io.stdout.matchAll(/number (\d)/g)].map(([, seq]) => seq)).toEqual(['1', '2', '3'])
})

it('--check names the first broken event and ends with 1', async () => {
  const whole = fakeIo()
  expect(await events({ check: true }, fakeContext(house(...happened), whole))).toBe(0)
  expect(whole.stdout).toBe('ok    the ledger is whole up to its newest event.\n')
  const changed = house(...happened)
  changed.ledger.firstBrokenEvent = async () => event(2)
  const io = fakeIo()
  expect(await events({ check: true }, fakeContext(changed, io))).toBe(1)
  expect(io.stdout).toMatch(/^fail {2}event 2 \(renewed, 09:02 \(IST\)\) does not fit the one before it/)
  const json = fakeIo()
  expect(await events({ check: true }, fakeContext(changed, json, true))).toBe(1)
  expect(JSON.parse(json.stdout)).toMatchObject({ whole: false, firstBroken: { seq: 2 } })
})

it.each([{ limit: '0' }, { limit: '-1' }, { limit: 'ten' }, { check: true, follow: true }])(
  'refuses what means nothing: %o',
  async (input) => {
    await expect(events(input, fakeContext(house(), fakeIo()))).rejects.toMatchObject({ name: 'UsageError' })
  },
)
