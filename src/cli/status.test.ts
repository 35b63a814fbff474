import { expect, it } from 'vitest'
import type { AccountStatus } from '../core/keeper.ts'
import { hourMs, minuteMs, plus } from '../core/time.ts'
import { fakeContext, fakeHouse, fakeIo, live, morning, statusOf } from './fake-house.ts'
import { status } from './status.ts'

const delivery = (destinationId: string, where: string) => ({
  accountId: 'kite-main',
  destinationId,
  kind: 'dotenv',
  where,
  desired: 1,
  delivered: 1,
})

const good = statusOf('kite-main', {
  ...live,
  expiry: { ...live.expiry, doubtUntil: plus(live.expiry.at, 90 * minuteMs) },
  delivered: { n: 1, m: 1 },
  deliveries: [delivery('bot-env', '/srv/bot/.env')],
  next: {
    at: plus(morning, 23 * hourMs),
    action: 'ask',
    reason: 'the token has ended and a person must log in',
  },
})

const waiting = statusOf('kite-wife', {
  token: 'dead',
  generation: 3,
  expiry: live.expiry,
  evidence: 'refused by profile at 08:40',
  work: {
    state: 'waiting-for-person',
    problem: {
      remedy: 'superseded',
      code: 'session-superseded',
      message:
        'Zerodha Kite ended the session before its time: probably another login with the same API key.',
    },
  },
})

const broken = statusOf('tasty-main', {
  brokerId: 'tastytrade',
  brokerName: 'tastytrade',
  environment: 'sandbox',
  unattended: true,
  token: 'live',
  generation: 9,
  expiry: { at: plus(morning, 10 * minuteMs), source: 'declared' },
  evidence: 'tastytrade accepted customers at 22:25',
  delivered: { n: 0, m: 1 },
  deliveries: [
    {
      ...delivery('tasty-env', '/srv/tasty/.env'),
      delivered: 0,
      problem: {
        remedy: 'fix-settings',
        code: 'destination-unwritable',
        message: '/srv/tasty/.env cannot be written: permission denied.',
      },
    },
  ],
  next: { at: plus(morning, 8 * minuteMs), action: 'refresh', reason: 'two minutes before the end' },
})

async function shown(statuses: readonly AccountStatus[], width: number, colour = false) {
  const io = fakeIo([], { width, colour })
  const exitCode = await status({}, fakeContext(fakeHouse(statuses), io))
  return { exitCode, stdout: io.stdout, stderr: io.stderr }
}

it('is a table at 120 columns', async () => {
  const { stdout } = await shown([good, waiting, broken], 120)
  expect(stdout).toBe(`\
ACCOUNT     BROKER                STATE                 ENDS                          DELIVERED
kite-main   Zerodha Kite          live                  06:00 tomorrow (IST), in 21h  1 of 1
  evidence   Zerodha Kite accepted profile at 08:59; it ends by the broker's rule
  doubt      until 07:30 tomorrow (IST) the broker may end it early
  next       ask at 08:00 tomorrow (IST): the token has ended and a person must log in
kite-wife   Zerodha Kite          ended, waits for you  06:00 tomorrow (IST), in 21h  no destination
  evidence   refused by profile at 08:40
  problem    Zerodha Kite ended the session before its time: probably another login with the same API key.
tasty-main  tastytrade (sandbox)  live                  22:40 (ET), in 10m            0 of 1
  evidence   tastytrade accepted customers at 22:25; the broker said with it when it ends
  next       refresh at 22:38 (ET): two minutes before the end
  problem    tasty-env: /srv/tasty/.env cannot be written: permission denied.
`)
})

it('is a block per account at 80 columns, and no line is longer', async () => {
  const { stdout } = await shown([good, waiting, broken], 80)
  expect(stdout).toBe(`\
kite-main  Zerodha Kite  live
  ends       06:00 tomorrow (IST), in 21h
  delivered  1 of 1
  evidence   Zerodha Kite accepted profile at 08:59; it ends by the broker's
             rule
  doubt      until 07:30 tomorrow (IST) the broker may end it early
  next       ask at 08:00 tomorrow (IST): the token has ended and a person must
             log in

kite-wife  Zerodha Kite  ended, waits for you
  ends       06:00 tomorrow (IST), in 21h
  delivered  no destination
  evidence   refused by profile at 08:40
  problem    Zerodha Kite ended the session before its time: probably another
             login with the same API key.

tasty-main  tastytrade (sandbox)  live
  ends       22:40 (ET), in 10m
  delivered  0 of 1
  evidence   tastytrade accepted customers at 22:25; the broker said with it
             when it ends
  next       refresh at 22:38 (ET): two minutes before the end
  problem    tasty-env: /srv/tasty/.env cannot be written: permission denied.
`)
  expect(stdout.split('\n').every((line) => line.length <= 80)).toBe(true)
})

it('colour only repeats what the words say', async () => {
  const plain = await shown([good, waiting, broken], 120)
  const coloured = await shown([good, waiting, broken], 120, true)
  expect(coloured.stdout).not.toBe(plain.stdout)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters.
  expect(coloured.stdout.replace(/\u001b\[\d+m/g, '')).toBe(plain.stdout)
})

it.each([
  ['nobody waits and nothing is broken', [good], 0],
  ['one waits for a person', [good, waiting], 3],
  ['one needs fixing', [good, broken], 1],
  ['both: the person comes first', [broken, waiting], 3],
  ['a new account', [statusOf('new')], 3],
  ['a paused account without a token', [statusOf('old', { work: { state: 'paused' } })], 0],
  ['no account', [], 0],
] as const)('exit code when %s', async (_, statuses, exitCode) => {
  expect(await shown(statuses, 120)).toMatchObject({ exitCode })
})

it('says on stderr who must log in', async () => {
  expect((await shown([good, waiting], 80)).stderr).toContain('`openbell login kite-wife`')
})

it('asks the broker with --check, and not about an account without a token', async () => {
  const house = fakeHouse([good, statusOf('new')])
  await status({ check: true }, fakeContext(house, fakeIo()))
  expect(house.calls).toEqual([{ name: 'check', input: good.ref }])
})

it('--json has the times in ISO 8601', async () => {
  const io = fakeIo()
  await status({ account: 'kite-main' }, fakeContext(fakeHouse([good]), io, true))
  expect(JSON.parse(io.stdout)).toMatchObject({
    accounts: [
      {
        account: 'kite-main',
        token: 'live',
        expiresAt: '2026-11-24T00:30:00.000Z',
        expirySource: 'broker-rule',
        doubtUntil: '2026-11-24T02:00:00.000Z',
        next: { at: '2026-11-24T02:30:00.000Z' },
      },
    ],
  })
})

it('--watch shows it again until Ctrl-C, on a terminal only', async () => {
  let sleeps = 0
  const stop = Promise.withResolvers<void>()
  const io = fakeIo([], {
    isTTY: true,
    untilStopped: () => stop.promise,
    sleep: async () => {
      if (++sleeps === 3) stop.resolve()
    },
  })
  expect(await status({ watch: true }, fakeContext(fakeHouse([good]), io))).toBe(0)
  expect(io.stdout.match(/kite-main/g)?.length).toBe(3)
  await expect(status({ watch: true }, fakeContext(fakeHouse([good]), fakeIo()))).rejects.toThrow(
    '--watch redraws',
  )
})
