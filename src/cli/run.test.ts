import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import type { AccountStatus } from '../core/keeper.ts'
import { Secret } from '../core/secret.ts'
import { hourMs, plus, secondMs } from '../core/time.ts'
import { type Io, type StopSignal, UsageError, type Variables } from './command.ts'
import { type FakeHouse, fakeContext, fakeHouse, fakeIo, live, morning, statusOf } from './fake-house.ts'
import { type RunInput, runCommand } from './run.ts'
import { openTerminal } from './terminal.ts'

interface Started {
  command: readonly string[]
  variables: Record<string, string | undefined>
  signals: NodeJS.Signals[]
  end(exitCode: number): void
}

/** A terminal in which programs run until the test ends them, or until a signal that `diesOf` them. */
function stage(
  before: AccountStatus = statusOf('kite-main', live),
  { diesOf = ['SIGTERM'] as readonly NodeJS.Signals[] } = {},
) {
  const house = fakeHouse([before])
  house.serviceIsUp = async () => true
  const started: Started[] = []
  let listener: Parameters<Io['onSignal']>[0] | undefined
  const sleeps: { ms: number; over: () => void }[] = []
  const io = fakeIo([], {
    async start(command, variables) {
      const ended = Promise.withResolvers<number>()
      const signals: NodeJS.Signals[] = []
      started.push({ command, variables: exposed(variables), signals, end: ended.resolve })
      return {
        ended: ended.promise,
        kill(signal) {
          signals.push(signal)
          if (diesOf.includes(signal)) ended.resolve(143)
        },
      }
    },
    onSignal(given) {
      listener = given
      return () => {
        listener = undefined
      }
    },
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        sleeps.push({ ms, over: resolve })
        signal?.addEventListener('abort', () => resolve())
        if (signal?.aborted) resolve()
      }),
  })
  return {
    house,
    io,
    started,
    sleeps,
    run: (input: Partial<RunInput> = {}, json = false) =>
      runCommand(
        { account: 'kite-main', command: ['bot', '--pin', '1'], ...input },
        fakeContext(house, io, json),
      ),
    signal: (signal: StopSignal, sentToAll = false) => listener?.(signal, sentToAll),
    listens: () => listener !== undefined,
    becomes(changes: Partial<AccountStatus>) {
      house.statuses.set('kite-main', { ...before, ...changes })
      house.changed()
    },
  }
}

function exposed(variables: Variables): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      name,
      value instanceof Secret ? value.expose() : value,
    ]),
  )
}

const inForce = ({ apiKeys }: FakeHouse) => apiKeys.filter(({ revokedAt }) => revokedAt === undefined)

it('gives the program an address, a key of its own and the token, and ends with its code', async () => {
  const { house, io, started, run, listens } = stage()
  const running = run()
  await expect.poll(() => started).toHaveLength(1)
  expect(started[0]?.command).toEqual(['bot', '--pin', '1'])
  expect(started[0]?.variables).toEqual({
    OPENBELL_URL: 'http://127.0.0.1:8079',
    OPENBELL_KEY: 'canary-key1',
    OPENBELL_VAULT_KEY: undefined,
    KITE_ACCESS_TOKEN: 'canary-access-token',
    KITE_API_KEY: 'key',
  })
  expect(inForce(house)).toMatchObject([
    { label: 'run kite-main: bot', scopes: ['status:read', 'token:read'] },
  ])
  started[0]?.end(7)
  expect(await running).toBe(7)
  expect(inForce(house)).toEqual([])
  expect(listens()).toBe(false)
  expect(io).toMatchObject({ stdout: '', stderr: '' })
})

it.each([
  [hourMs, false],
  [hourMs + secondMs, true],
])('a token that lives %i ms more: handed over is %s', async (ms, handedOver) => {
  const { io, started, run } = stage(
    statusOf('kite-main', { ...live, expiry: { at: plus(morning, ms), source: 'declared' } }),
  )
  const running = run()
  await expect.poll(() => started).toHaveLength(1)
  const { variables } = started[0] as Started
  expect('KITE_API_KEY' in variables).toBe(handedOver)
  // Taken away, where it is not set: what an earlier day left in the environment is not today's.
  expect('KITE_ACCESS_TOKEN' in variables).toBe(true)
  expect(variables.KITE_ACCESS_TOKEN !== undefined).toBe(handedOver)
  expect(io.stderr.includes('the token ends at 10:00 (IST), too soon')).toBe(!handedOver)
  started[0]?.end(0)
  await running
})

it('without a token it starts nothing, makes no key, and says that a person must log in', async () => {
  const { house, started, run } = stage(statusOf('kite-main'))
  await expect(run()).rejects.toMatchObject({ code: 'login-needed' })
  expect(started).toEqual([])
  expect(house.apiKeys).toEqual([])
})

it('--wait says once what it waits for, and starts when the account is live', async () => {
  const { io, started, sleeps, run, becomes } = stage(
    statusOf('kite-main', { work: { state: 'waiting-for-person' } }),
  )
  const running = run({ wait: true })
  await expect.poll(() => io.stderr).toBe('openbell: waiting for a person: `openbell login kite-main`.\n')
  // Looks again by itself as well.
  sleeps[0]?.over()
  await expect.poll(() => sleeps).toHaveLength(2)
  becomes({ token: 'unproven', work: { state: 'idle' } })
  await expect.poll(() => io.stderr).toContain('waiting until kite-main is live; its token: not confirmed.')
  expect(started).toEqual([])
  becomes({ ...live, work: { state: 'idle' } })
  await expect.poll(() => started).toHaveLength(1)
  expect(io.stderr.split('\n')).toHaveLength(3)
  started[0]?.end(0)
  expect(await running).toBe(0)
})

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends the waiting', async (signal, exitCode) => {
  const { io, started, run, signal: send } = stage(statusOf('kite-main'))
  const running = run({ wait: true })
  await expect.poll(() => io.stderr).toContain('waiting')
  send(signal)
  expect(await running).toBe(exitCode)
  expect(started).toEqual([])
})

it('passes signals on, but for what the keyboard has sent to the program already', async () => {
  const { started, run, signal } = stage(undefined, { diesOf: [] })
  const running = run()
  await expect.poll(() => started).toHaveLength(1)
  signal('SIGINT', true)
  signal('SIGINT')
  signal('SIGTERM')
  expect(started[0]?.signals).toEqual(['SIGINT', 'SIGTERM'])
  started[0]?.end(0)
  expect(await running).toBe(0)
})

it.each([{}, { signal: 'hup' }])(
  'a new token: nothing, or the signal that was asked for: %o',
  async (input) => {
    const { house, started, run, becomes } = stage()
    const running = run(input)
    await expect.poll(() => started).toHaveLength(1)
    house.changed()
    becomes({ ...live, evidence: 'accepted again' })
    becomes({ ...live, generation: 2 })
    if (input.signal) await expect.poll(() => started[0]?.signals).toEqual(['SIGHUP'])
    becomes({ ...live, generation: 2 })
    becomes({ ...live, generation: 3 })
    if (input.signal) await expect.poll(() => started[0]?.signals).toEqual(['SIGHUP', 'SIGHUP'])
    else expect(started[0]?.signals).toEqual([])
    started[0]?.end(0)
    expect(await running).toBe(0)
    expect(started).toHaveLength(1)
  },
)

it('--restart ends the program and starts it anew with the new token, under the same key', async () => {
  const { house, io, started, run, becomes } = stage()
  const running = run({ restart: true })
  await expect.poll(() => started).toHaveLength(1)
  house.keeper.token = async (ref) => ({
    ref,
    slot: 'trading',
    generation: 2,
    token: 'live',
    accessToken: new Secret('canary-new-token'),
    headers: {},
    expiry: live.expiry,
  })
  becomes({ ...live, generation: 2 })
  await expect.poll(() => started).toHaveLength(2)
  expect(started[0]?.signals).toEqual(['SIGTERM'])
  expect(started[1]?.variables).toMatchObject({
    KITE_ACCESS_TOKEN: 'canary-new-token',
    OPENBELL_KEY: 'canary-key1',
  })
  expect(io.stderr).toBe('openbell: there is token number 2; starting bot anew.\n')
  expect(inForce(house)).toHaveLength(1)
  started[1]?.end(5)
  expect(await running).toBe(5)
  expect(inForce(house)).toEqual([])
})

it('--restart makes a program end that does not, after ten seconds', async () => {
  const { started, sleeps, run, becomes } = stage(undefined, { diesOf: ['SIGKILL'] })
  const running = run({ restart: true })
  await expect.poll(() => started).toHaveLength(1)
  becomes({ ...live, generation: 2 })
  await expect.poll(() => started[0]?.signals).toEqual(['SIGTERM'])
  sleeps.find(({ ms }) => ms === 10 * secondMs)?.over()
  await expect.poll(() => started).toHaveLength(2)
  expect(started[0]?.signals).toEqual(['SIGTERM', 'SIGKILL'])
  started[1]?.end(0)
  await running
})

it('--restart starts nothing anew once it was told to end', async () => {
  const { started, run, becomes, signal } = stage(undefined, { diesOf: [] })
  const running = run({ restart: true })
  await expect.poll(() => started).toHaveLength(1)
  becomes({ ...live, generation: 2 })
  await expect.poll(() => started[0]?.signals).toEqual(['SIGTERM'])
  signal('SIGINT')
  started[0]?.end(130)
  expect(await running).toBe(130)
  expect(started).toHaveLength(1)
})

it('--restart leaves the program alone while there is nothing to give it', async () => {
  const { house, started, run, becomes, sleeps } = stage()
  const running = run({ restart: true })
  await expect.poll(() => started).toHaveLength(1)
  let asked = 0
  house.keeper.token = async () => {
    asked++
    throw new OpenbellError('login-needed', 'A person must log in.')
  }
  becomes({ ...live, generation: 2 })
  await expect.poll(() => asked).toBe(1)
  await expect.poll(() => sleeps.length).toBeGreaterThan(1)
  expect(started[0]?.signals).toEqual([])
  started[0]?.end(0)
  expect(await running).toBe(0)
})

it('where no service runs it says so and keeps the accounts itself', async () => {
  const { house, io, started, run } = stage()
  house.serviceIsUp = async () => false
  let kept = 0
  house.keeper.start = async () => void kept++
  const running = run()
  await expect.poll(() => started).toHaveLength(1)
  expect(kept).toBe(1)
  expect(io.stderr).toBe(
    'openbell: no service runs, so nothing answers at http://127.0.0.1:8079; `openbell up` starts it.\n',
  )
  started[0]?.end(0)
  await running
})

it('--json leaves stdout to the program and says nothing of its own', async () => {
  const { house, io, started, run } = stage()
  house.serviceIsUp = async () => false
  const running = run({}, true)
  await expect.poll(() => started).toHaveLength(1)
  started[0]?.end(0)
  await running
  expect(io).toMatchObject({ stdout: '', stderr: '' })
})

it('a program that cannot be started leaves no key in force', async () => {
  const { house, io, run } = stage()
  io.start = async () => {
    throw new UsageError('There is no program "bot".')
  }
  await expect(run()).rejects.toThrow('There is no program "bot".')
  expect(house.apiKeys).toHaveLength(1)
  expect(inForce(house)).toEqual([])
})

it.each([
  [{ command: [] }, 'Name the program after `--`'],
  [{ signal: 'HUPP' }, 'There is no signal "HUPP". Did you mean "SIGHUP"?'],
  [{ signal: 'HUP', restart: true }, '--signal and --restart exclude each other'],
])('refuses %o', async (input, message) => {
  const { started, run } = stage()
  await expect(run(input)).rejects.toThrow(message)
  await expect(run(input)).rejects.toMatchObject({ name: 'UsageError' })
  expect(started).toEqual([])
})

it('a real program finds it all in its environment, and nothing on a command line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'openbell-run-'))
  const seen = join(folder, 'seen.json')
  const { start } = openTerminal()
  const house = fakeHouse([statusOf('kite-main', live)])
  house.serviceIsUp = async () => true
  house.keys.create = async ({ tenantId, label, scopes }) => ({
    key: new Secret("canary'; exit 9 #\n$(exit 9)"),
    record: { id: '1', tenantId, digest: '', label, scopes, createdAt: morning },
  })
  const script = `
    const { writeFileSync, readFileSync, existsSync } = require('node:fs')
    const commandLine = existsSync('/proc/self/cmdline') ? readFileSync('/proc/self/cmdline', 'utf8') : ''
    writeFileSync(process.argv[1], JSON.stringify({ env: process.env, argv: process.argv.slice(1), commandLine }))
    process.exit(42)`
  const command = [process.execPath, '-e', script, seen, 'a b', '$HOME', '']
  const context = fakeContext(house, fakeIo([], { start }))
  process.env.KITE_API_SECRET_OF_MINE = 'kept'
  process.env.OPENBELL_VAULT_KEY = 'canary-vault-key'
  try {
    expect(await runCommand({ account: 'kite-main', command }, context)).toBe(42)
    const { env, argv, commandLine } = JSON.parse(await readFile(seen, 'utf8'))
    expect(env).toMatchObject({
      PATH: process.env.PATH,
      KITE_API_SECRET_OF_MINE: 'kept',
      KITE_ACCESS_TOKEN: 'canary-access-token',
      KITE_API_KEY: 'key',
      OPENBELL_URL: 'http://127.0.0.1:8079',
      OPENBELL_KEY: "canary'; exit 9 #\n$(exit 9)",
    })
    expect(env.OPENBELL_VAULT_KEY).toBeUndefined()
    expect(argv).toEqual([seen, 'a b', '$HOME', ''])
    expect(commandLine).not.toContain('canary')
  } finally {
    delete process.env.KITE_API_SECRET_OF_MINE
    delete process.env.OPENBELL_VAULT_KEY
    await rm(folder, { recursive: true })
  }
})

it('a real program that a signal ends, and one that is not there', async () => {
  const { start } = openTerminal()
  const child = await start([process.execPath, '-e', 'setInterval(() => {}, 1000)'], {})
  child.kill('SIGTERM')
  expect(await child.ended).toBe(143)
  child.kill('SIGKILL')
  await expect(start(['openbell-no-such-program'], {})).rejects.toMatchObject({
    name: 'UsageError',
    message:
      'There is no program "openbell-no-such-program" that can be started: check its name and its path.',
  })
})
