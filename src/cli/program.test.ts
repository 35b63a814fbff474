import { expect, it } from 'vitest'
import { type ErrorCode, OpenbellError } from '../core/errors.ts'
import type { Keeper } from '../core/keeper.ts'
import type { Io } from './command.ts'
import { commands } from './commands.ts'
import { type FakeHouse, type FakeIo, fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'
import { runProgram } from './program.ts'

interface Run {
  house?: FakeHouse
  io?: FakeIo
}

async function openbell(
  line: string,
  { house = fakeHouse([statusOf('kite-main')]), io = fakeIo() }: Run = {},
) {
  const exitCode = await runProgram({
    commands,
    version: '1.2.3',
    argv: line.split(' ').filter((word) => word !== ''),
    open: ({ json }) => fakeContext(house, io, json),
  })
  return { exitCode, stdout: io.stdout, stderr: io.stderr, house }
}

const fails = (name: keyof Keeper, code: ErrorCode, message: string) =>
  fakeHouse([statusOf('kite-main')], {
    [name]: async () => {
      throw new OpenbellError(code, message)
    },
  })
const good = 'apiKey=abcd1234\napiSecret=canary-kite-secret'

it.each<[string, string, 1 | 2 | 3, RegExp, Run?]>([
  ['unknown command', 'stauts', 2, /^There is no command "stauts". Did you mean `openbell status`\?$/],
  ['unknown nested command', 'destination lst', 2, /Did you mean `openbell destination list`\?$/],
  ['unknown option', 'status --chek', 2, /^Unknown option '--chek'. Did you mean --check\? /],
  ['missing argument', 'token', 2, /^Missing required argument 'account'. See `openbell token --help`.$/],
  ['unknown broker', 'add kit', 2, /^There is no broker "kit". Did you mean "kite"\?$/],
  ['unknown account', 'token kite-mian', 2, /^There is no account "kite-mian". Did you mean "kite-main"\?$/],
  ['unknown destination', 'destination test bot', 2, /^There is no destination "bot".$/],
  ['unknown kind', 'destination add a --kind dotnev --path .env', 2, /^kind: .*Did you mean "dotenv"\?$/],
  ['no path', 'destination add a', 2, /^path is missing: --path <file>./],
  [
    'unknown setting',
    'destination add a --path .env --set accessTokn=X',
    2,
    /^accessTokn: .*Did you mean "accessToken"\?$/,
  ],
  ['setting without a value', 'destination add a --path .env --set x', 2, /^set: it takes name=value/],
  [
    'unknown environment',
    'add kite --environment sandbx --secrets -',
    2,
    /^environment: .*It has: live, simulator.$/,
  ],
  ['origin of a live account', 'add kite --origin api=http://x --secrets -', 2, /^origin: only a simulator/],
  [
    'origin without a role',
    'add kite --environment simulator --origin x --secrets -',
    2,
    /^origin: "x" is not role=url/,
  ],
  [
    'unknown role',
    'add kite --environment simulator --origin apo=http://127.0.0.1:1 --secrets -',
    2,
    /^origin: there is no role "apo". Did you mean "api"\?$/,
  ],
  [
    'missing role',
    'add kite --environment simulator --origin api=http://127.0.0.1:1 --secrets -',
    2,
    /^origin: the role login is missing/,
  ],
  [
    'malformed redirect',
    'add kite --redirect 127.0.0.1/callback --secrets -',
    2,
    /^redirect: It must be a whole http/,
  ],
  [
    'malformed key',
    'add kite other --secrets -',
    2,
    /^apiKey: API key must be 8 letters and digits. It is on the page of your app.$/,
    { io: fakeIo([], { stdin: 'apiKey=x\napiSecret=canary-a' }) },
  ],
  [
    'empty secret',
    'add kite other --secrets -',
    2,
    /^apiSecret: API secret is empty./,
    { io: fakeIo([], { stdin: 'apiKey=abcd1234\napiSecret=' }) },
  ],
  [
    'name taken',
    'add kite kite-main --secrets -',
    2,
    /^There is an account "kite-main" already: choose another name.$/,
  ],
  [
    'same app key twice',
    'add kite other --secrets -',
    2,
    /^The account kite-main uses this key already.$/,
    {
      house: fails('addAccount', 'app-key-taken', 'The account kite-main uses this key already.'),
      io: fakeIo([], { stdin: good }),
    },
  ],
  ['nobody to ask', 'add kite', 2, /^Nobody can be asked here: pipe apiKey, apiSecret in/],
  [
    'nobody to confirm',
    'remove kite-main',
    2,
    /^Removing kite-main cannot be undone: add --yes to mean it.$/,
  ],
  [
    'nobody to confirm a logout',
    'logout kite-main',
    2,
    /^Programs that trade with kite-main will stop: add --yes to mean it.$/,
  ],
  ['logout of nobody', 'logout kite-mian --yes', 2, /Did you mean "kite-main"\?$/],
  ['refresh of nobody', 'refresh kite-mian', 2, /Did you mean "kite-main"\?$/],
  [
    'renewal that the broker refused',
    'refresh tasty-main',
    3,
    /^The grant was revoked\.$/,
    {
      house: fakeHouse([statusOf('tasty-main', { brokerId: 'tastytrade', unattended: true })], {
        renew: async () => {
          throw new OpenbellError('login-needed', 'The grant was revoked.')
        },
      }),
    },
  ],
  ['events of nobody', 'events kite-mian', 2, /Did you mean "kite-main"\?$/],
  ['no number', 'events --limit many', 2, /^--limit takes a whole number above 0/],
  ['two questions at once', 'events kite-main --check', 2, /^--check looks at the whole ledger/],
  ['nothing to do with keys', 'keys', 2, /^`openbell keys` needs to know what to do/],
  ['key without a label', 'keys create --scope admin', 2, /^Required option '--label <text>' not specified/],
  ['unknown key', 'keys revoke 12345678', 2, /^There is no key with this id/],
  ['env of nobody', 'env kite-mian', 2, /Did you mean "kite-main"\?$/],
  ['nothing to run', 'run kite-main', 2, /^Name the program after `--`/],
  ['unknown signal', 'run kite-main --signal HPU -- bot', 2, /^There is no signal "HPU"/],
  ['run for nobody', 'run kite-mian -- bot', 2, /Did you mean "kite-main"\?$/],
  ['setup without a terminal', 'setup', 2, /^setup asks questions and needs a terminal./],
  [
    'URL of another broker',
    'login kite-main --code -',
    3,
    /^This address is Upstox's\.$/,
    {
      house: fails('finishLogin', 'login-foreign', "This address is Upstox's."),
      io: fakeIo([], { stdin: 'http://127.0.0.1/?code=x' }),
    },
  ],
  [
    'reused state',
    'login kite-main --code -',
    3,
    /^This link was used already\.$/,
    {
      house: fails('finishLogin', 'login-state-used', 'This link was used already.'),
      io: fakeIo([], { stdin: 'http://127.0.0.1/?code=x' }),
    },
  ],
  [
    'expired code',
    'login kite-main --code -',
    3,
    /^The code is too old\.$/,
    {
      house: fails('finishLogin', 'login-expired', 'The code is too old.'),
      io: fakeIo([], { stdin: 'abc' }),
    },
  ],
  [
    'empty code',
    'login kite-main --code -',
    2,
    /^code: stdin was empty/,
    { io: fakeIo([], { stdin: '\n' }) },
  ],
  [
    'unknown spend',
    'token kite-main',
    3,
    /^Nobody knows\.$/,
    { house: fails('token', 'spend-unknown', 'Nobody knows.') },
  ],
  [
    'superseded',
    'token kite-main',
    3,
    /^Another program\.$/,
    { house: fails('token', 'session-superseded', 'Another program.') },
  ],
  [
    'wrong vault key',
    'status',
    1,
    /^The vault does not open with this key\.$/,
    { house: fails('status', 'vault-locked', 'The vault does not open with this key.') },
  ],
  [
    'unwritable .env',
    'destination add a --path /x/.env',
    1,
    /^\/x\/.env cannot be written\.$/,
    { house: fails('addDestination', 'destination-unwritable', '/x/.env cannot be written.') },
  ],
])('%s', async (_, line, exitCode, message, run = {}) => {
  const ended = await openbell(line, run)
  expect(ended.stdout).toBe('')
  expect(ended.exitCode).toBe(exitCode)
  expect(ended.stderr).toMatch(/^openbell: [^\n]*\n$/)
  expect(ended.stderr.slice('openbell: '.length, -1)).toMatch(message)
  expect(ended.house.calls).toEqual([])
})

it.each([
  'add kite --api-secret canary-argument',
  'add kite --apiSecret=canary-argument',
  'login kite-main --pin=canary-argument',
  'add kite --secrets canary-argument',
  'login kite-main --code canary-argument',
  'login kite-main canary-argument',
  'login kite-main --cod=canary-argument',
  'edit kite-main --client_secret=canary-argument',
  'keys revoke ob_canary-argument',
  'run kite-main --pin=canary-argument -- bot',
])('a secret as an argument is refused and not repeated: %s', async (line) => {
  const { exitCode, stdout, stderr, house } = await openbell(line)
  expect(exitCode).toBe(2)
  expect(stdout + stderr).not.toContain('canary')
  expect(stderr).toMatch(/^openbell: /)
  expect(house.calls).toEqual([])
})

it('says why a secret is not taken as an option', async () => {
  const { stderr } = await openbell('add kite --api-secret=x')
  expect(stderr).toContain('--api-secret is not taken: other users of this machine can read a command line')
})

it('with --json a failure is one document on stderr, with the field', async () => {
  const { exitCode, stdout, stderr } = await openbell('add kit --json')
  expect(exitCode).toBe(2)
  expect(stdout).toBe('')
  expect(JSON.parse(stderr)).toEqual({
    error: {
      code: 'unknown-broker',
      message: 'There is no broker "kit". Did you mean "kite"?',
      field: 'broker',
    },
  })
  expect(JSON.parse((await openbell('stauts --json')).stderr)).toMatchObject({ error: { code: 'usage' } })
})

it('shows neither message nor cause of an error that nobody foresaw', async () => {
  const house = fakeHouse([], {
    status: async () => {
      throw new TypeError('canary in a message')
    },
  })
  const { exitCode, stderr } = await openbell('status', { house })
  expect(exitCode).toBe(1)
  expect(stderr).toContain('TypeError')
  expect(stderr).not.toContain('canary')
})

it.each(['', '--help', 'help', '-h'])(
  '`openbell %s` shows the first verbs first, and only those that are there',
  async (line) => {
    const { exitCode, stdout, stderr } = await openbell(line)
    expect(exitCode).toBe(0)
    expect(stderr).toBe('')
    const listed = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name)
    expect(listed.slice(0, 5)).toEqual(['setup', 'status', 'login', 'plan', 'doctor'])
    expect(listed).not.toContain('drill')
    expect(listed).not.toContain('demo')
  },
)

const nested = [
  ...['add', 'attach', 'detach', 'list', 'test', 'remove'].map((name) => `destination ${name}`),
  ...['create', 'list', 'revoke'].map((name) => `keys ${name}`),
]

it.each([...commands.map(({ name }) => name), ...nested])(
  '`%s --help` has one sentence, an example and 80 columns',
  async (name) => {
    const { exitCode, stdout } = await openbell(`${name} --help`)
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^Usage: openbell [^\n]*\n\n[A-Z][^\n]*\.\n/)
    expect(stdout).toContain(`\nExample:\n`)
    expect(stdout).toMatch(new RegExp(`\\n  [^\\n]*openbell ${name}`))
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
  },
)

it('what follows `--` belongs to the program that is run', async () => {
  const house = fakeHouse([statusOf('kite-main', live)])
  const commands: (readonly string[])[] = []
  const start: Io['start'] = async (command) => {
    commands.push(command)
    return { ended: Promise.resolve(42), kill: () => undefined }
  }
  const io = fakeIo([], { start })
  const line = 'run kite-main --signal HUP -- bot --json --token=1 --wait -h -- x'
  const { exitCode, stdout, stderr } = await openbell(line, { house, io })
  expect({ exitCode, stdout }).toEqual({ exitCode: 42, stdout: '' })
  expect(commands).toEqual([['bot', '--json', '--token=1', '--wait', '-h', '--', 'x']])
  // --json was not ours: this is for a person.
  expect(stderr).toMatch(/^openbell: no service runs/)
  const options = await openbell('run --wait kite-main -- status --help', { house, io })
  expect(options.exitCode).toBe(42)
  expect(commands[1]).toEqual(['status', '--help'])
})

it('prints the version', async () => {
  expect(await openbell('--version')).toMatchObject({ exitCode: 0, stdout: '1.2.3\n' })
})

it('closes the house also after a failure', async () => {
  let closed = 0
  const house = fakeHouse([statusOf('kite-main', live)])
  house.close = async () => {
    closed++
  }
  await openbell('token kite-main', { house })
  await openbell('token kite-mian', { house })
  expect(closed).toBe(2)
})

it('stops at a prompt with 130, and nothing is stored', async () => {
  const { exitCode, stderr, house } = await openbell('add kite', { io: fakeIo(['', 'abcd1234', 'stop']) })
  expect(exitCode).toBe(130)
  expect(stderr).toContain('Stopped: nothing was changed.')
  expect(house.calls).toEqual([])
})
