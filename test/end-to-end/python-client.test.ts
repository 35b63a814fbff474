/** clients/python/openbell.py as a user's program runs it: the system's Python, a real service, simulated brokers. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createSocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { openHouse } from '../../src/compose/compose.ts'
import type { House } from '../../src/compose/house.ts'
import { readSettings } from '../../src/compose/settings.ts'
import { Secret } from '../../src/core/secret.ts'
import { type Simulators, startSimulators } from '../../src/simulators/index.ts'

const python = spawnSync('python3', ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? ''
const [, major = 0, minor = 0] = (/^Python (\d+)\.(\d+)/.exec(python) ?? []).map(Number)
const missing =
  major === 3 && minor >= 8 ? '' : ` (skipped: python3 is ${python || 'not there'}, 3.8 is needed)`

const folderOfClient = join(import.meta.dirname, '../../clients/python')
const kite = { tenantId: 'house', accountId: 'kite-main' }
const tasty = { tenantId: 'house', accountId: 'tasty-main' }

describe.skipIf(missing !== '')(`the Python client${missing}`, { timeout: 60_000 }, () => {
  let folder: string
  let home: string
  let port: number
  let simulators: Simulators
  let house: House
  let server: { close(): Promise<void> }
  const children = new Set<ChildProcess>()

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'openbell-python-'))
    home = join(folder, 'home')
    port = await freePort()
    simulators = await startSimulators()
    house = await openHouse(
      readSettings({ OPENBELL_HOME: home, OPENBELL_PORT: String(port), OPENBELL_LOG: 'silent' }),
    )
    server = await house.serve()
  })

  afterAll(async () => {
    await server.close()
    await house.close()
    await simulators.close()
    await rm(folder, { recursive: true })
  })

  beforeEach(async () => {
    const { kite: k, tastytrade: t } = simulators
    await house.keeper.addAccount({
      ref: kite,
      brokerId: 'kite',
      environment: 'simulator',
      credentials: { apiKey: new Secret(k.apiKey), apiSecret: new Secret(k.apiSecret) },
      redirectUri: k.redirectUrl,
      origins: { api: k.root, login: new URL(k.login).origin },
    })
    await house.keeper.addAccount({
      ref: tasty,
      brokerId: 'tastytrade',
      environment: 'simulator',
      credentials: { clientId: new Secret(t.clientId), clientSecret: new Secret(t.clientSecret) },
      origins: { api: t.baseUrl },
    })
  })

  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL')
    simulators.tastytrade.faults.clear()
    for (const ref of [kite, tasty]) await house.keeper.removeAccount(ref)
  })

  interface Ran {
    code: number | null
    out: string
    err: string
  }

  function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const child = spawn('python3', ['-B', ...args], {
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        PYTHONPATH: folderOfClient,
        PYTHONUNBUFFERED: '1',
        OPENBELL_HOME: home,
        OPENBELL_URL: `http://127.0.0.1:${port}`,
        // A proxy would get the key: it must never be asked about this machine.
        http_proxy: 'http://127.0.0.1:1',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(child)
    child.once('close', () => children.delete(child))
    return child
  }

  async function finished(child: ChildProcess): Promise<Ran> {
    let out = ''
    let err = ''
    child.stdout?.on('data', (chunk: Buffer) => (out += chunk))
    child.stderr?.on('data', (chunk: Buffer) => (err += chunk))
    const [code] = await once(child, 'close')
    return { code, out, err }
  }

  /** Runs the lines with `bell` there already; what they print last is JSON. */
  async function run<T>(lines: string, env: Record<string, string> = {}): Promise<T> {
    const { code, out, err } = await finished(start(['-c', program(lines)], env))
    expect(code, err).toBe(0)
    return JSON.parse(out)
  }

  function program(lines: string): string {
    return `
import json, openbell, sys, threading, time
def problem(work):
    try:
        work()
    except openbell.OpenbellError as error:
        return dict(vars(error), type=type(error).__name__, said=str(error))
def say(value):
    print(json.dumps(value))
bell = openbell.Openbell()
${lines}`
  }

  async function logInToKite(replace = false): Promise<string> {
    const { kite: k } = simulators
    const body = new URLSearchParams({ api_key: k.apiKey, user: k.userIds[0] ?? '', redirect_params: '' })
    const answer = await fetch(k.login, { method: 'POST', body, redirect: 'manual' })
    const code = new URL(answer.headers.get('location') ?? '').searchParams.get('request_token') ?? ''
    await house.keeper.finishLogin({ ref: kite, code: new Secret(code), by: 'signed-in', replace })
    return tokenOf(kite)
  }

  async function logInToTasty(): Promise<string> {
    const code = new Secret(simulators.tastytrade.refreshToken)
    await house.keeper.finishLogin({ ref: tasty, code, by: 'signed-in' })
    return tokenOf(tasty)
  }

  function tokenOf(ref: typeof kite): string {
    return house.keeper.session(ref)?.accessToken.expose() ?? 'none'
  }

  it('returns the token that the keeper serves, also by the short functions', async () => {
    const token = await logInToKite()
    const seen = await run('say([bell.token("kite-main"), openbell.token("kite-main"), repr(bell)])')
    expect(seen).toEqual([token, token, `Openbell('http://127.0.0.1:${port}')`])
  })

  it('returns headers that the broker accepts', async () => {
    await logInToKite()
    const seen = await run(
      `
import urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(urllib.request.Request(sys.argv[0] and "${simulators.kite.root}/user/profile", headers=bell.headers("kite-main"))) as answer:
    say(json.load(answer)["data"]["user_id"])`,
    )
    expect(seen).toBe(simulators.kite.userIds[0])
  })

  it('says that a person must log in, and how', async () => {
    const seen = await run('say(problem(lambda: bell.token("kite-main")))')
    expect(seen).toMatchObject({
      type: 'LoginNeeded',
      code: 'login-needed',
      remedy: 'login',
      command: 'openbell login kite-main',
    })
  })

  it('says that it passes, and when to ask again', async () => {
    await logInToTasty()
    simulators.tastytrade.endSession()
    simulators.tastytrade.faults.set({ kind: 'status', status: 503, path: '/oauth/token' })
    await house.keeper.check(tasty)
    const seen = await run<{ retry_after: number }>('say(problem(lambda: bell.token("tasty-main")))')
    expect(seen).toMatchObject({ type: 'NotReady', code: 'broker-unavailable' })
    expect(seen.retry_after).toBeGreaterThanOrEqual(1)
    expect(seen.retry_after).toBeLessThanOrEqual(3_600)
  })

  it.each([
    ['canary-key-of-nobody', 'key-invalid'],
    ['canary\nX-More: 1', 'key-invalid'],
  ])('refuses the key %j without repeating it', async (key, code) => {
    const seen = await run<{ said: string }>(
      'say([problem(lambda: bell.token("kite-main")), problem(lambda: bell.wait_until_live("kite-main"))])',
      { OPENBELL_KEY: key },
    )
    expect(seen).toMatchObject([{ type: 'OpenbellError', code }, { code }])
    expect(JSON.stringify(seen)).not.toContain('canary')
  })

  it('says where it looked for a key', async () => {
    const seen = await run('say(problem(lambda: bell.token("kite-main")))', {
      OPENBELL_HOME: join(folder, 'other'),
    })
    expect(seen).toMatchObject({
      code: 'key-required',
      detail: expect.stringContaining(join(folder, 'other', 'api.key')),
    })
  })

  it('says so when there is no such account, and names those there are', async () => {
    const seen = await run(
      'say([problem(lambda: getattr(bell, name)("a/b")) for name in ("token", "status")])',
    )
    expect(seen).toMatchObject([
      { code: 'unknown-account' },
      { code: 'unknown-account', detail: expect.stringContaining('kite-main, tasty-main') },
    ])
  })

  it('says that the service is away, and that something else answers', async () => {
    const other = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const { port: otherPort } = other.address() as AddressInfo
    const seen = await run(`
urls = ["http://127.0.0.1:${await freePort()}", "http://127.0.0.1:${otherPort}"]
say([problem(lambda: openbell.Openbell(url).token("kite-main")) for url in urls])`)
    expect(seen).toMatchObject([
      { code: 'service-unreachable', remedy: 'retry' },
      { code: 'answer-not-understood' },
    ])
  })

  it('follows no redirect with the key', async () => {
    const paths: string[] = []
    const other = createServer((request, response) => {
      paths.push(request.url ?? '')
      response.writeHead(307, { location: `http://localhost:${port}/v1/accounts/kite-main/token` }).end()
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    await logInToKite()
    const { port: otherPort } = other.address() as AddressInfo
    const seen = await run(
      `say(problem(lambda: openbell.Openbell("http://127.0.0.1:${otherPort}").token("kite-main")))`,
    )
    expect(seen).toMatchObject({ code: 'answer-not-understood' })
    expect(paths).toHaveLength(1)
  })

  it.each([
    'http://bot.example.test',
    'http://127.0.0.1.example.test',
    'https://u:p@example.test',
    'ftp://127.0.0.1',
  ])('sends no key to %s', async (url) => {
    expect(await run(`say(problem(lambda: openbell.Openbell(${JSON.stringify(url)})))`)).toMatchObject({
      code: 'invalid-config',
    })
  })

  it('asks the service once for a thousand calls of many threads, and again after 15 seconds', async () => {
    await logInToKite()
    const seen = await run(`
real, asked = bell._get, []
def counted(path, timeout):
    asked.append(path)
    time.sleep(0.1)
    return real(path, timeout)
bell._get = counted
threads = [threading.Thread(target=lambda: [bell.token("kite-main") for _ in range(100)]) for _ in range(10)]
for thread in threads: thread.start()
for thread in threads: thread.join()
first = len(asked)
now = time.time
time.time = lambda: now() + 16
bell.token("kite-main")
bell.token("kite-main")
say([first, len(asked)])`)
    expect(seen).toEqual([1, 2])
  })

  it('keeps the last token while the service is away, until shortly before its end', async () => {
    await logInToTasty()
    const seen = await run(`
token = bell.token("tasty-main")
def away(path, timeout):
    raise openbell.OpenbellError("service-unreachable", "away", "retry")
bell._get = away
now = time.time
left = bell._known["tasty-main"]["ends_at"] - now()
kept = []
for later in (20, left - 40, left - 20, left + 5):
    time.time = lambda: now() + later
    kept.append(problem(lambda: kept.append(bell.token("tasty-main") == token)))
say([each if each is True else each and each["code"] for each in kept])`)
    expect(seen).toEqual([true, null, true, null, 'service-unreachable', 'service-unreachable'])
  })

  it('forgets a token when the service says that there is none', async () => {
    await logInToKite()
    const seen = run<unknown[]>(`
bell.token("kite-main")
open(${JSON.stringify(join(folder, 'had'))}, "w").close()
now = time.time
time.time = lambda: now() + 16
end = time.monotonic() + 20
found = None
while found is None and time.monotonic() < end:
    found = problem(lambda: bell.token("kite-main"))
    bell._known.get("kite-main", {}).update(asked_at=0)
    time.sleep(0.05)
say([found["code"], bell._known])`)
    await expect
      .poll(
        () =>
          readFile(join(folder, 'had')).then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true)
    await house.keeper.logout(kite)
    expect(await seen).toEqual(['login-needed', {}])
  })

  it('waits until a login finishes', async () => {
    const child = start(['-c', program('print("waiting")\nsay(bell.wait_until_live("kite-main", 30))')])
    const ran = finished(child)
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
    await expect.poll(() => child.exitCode, { interval: 500, timeout: 2_000 }).toBeNull()
    const token = await logInToKite()
    const { code, out } = await ran
    expect({ code, out }).toEqual({ code: 0, out: `waiting\n"${token}"\n` })
  })

  it('says what is in the way when it has waited long enough', async () => {
    const seen = await run(`
began = time.monotonic()
found = problem(lambda: bell.wait_until_live("kite-main", 1.5))
say([found["type"], round(time.monotonic() - began)])`)
    expect(seen).toEqual(['LoginNeeded', 2])
  })

  it('does not take a token for live that the broker has not confirmed', async () => {
    simulators.tastytrade.faults.set({ kind: 'status', status: 503, method: 'GET' })
    const token = await logInToTasty()
    const seen = await run(
      'say([problem(lambda: bell.wait_until_live("tasty-main", 1))["type"], bell.token("tasty-main")])',
    )
    expect(seen).toEqual(['NotReady', token])
  })

  it('tells each renewal once, whatever the callback does', async () => {
    const before = await logInToTasty()
    const child = start([
      '-c',
      program(`
def renewed(token):
    print(token)
    raise ValueError("about " + token)
bell.token("tasty-main")
stop = bell.on_renewed("tasty-main", renewed, every=0.2)
time.sleep(0.7)
print("watching")
for line in iter(lambda: time.sleep(0.1), 1): pass`),
    ])
    const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })[
      Symbol.asyncIterator
    ]()
    let err = ''
    child.stderr?.on('data', (chunk: Buffer) => (err += chunk))
    const line = async () => (await lines.next()).value
    expect(await line()).toBe('watching')
    const tokens = [before]
    for (let time = 0; time < 2; time++) {
      await house.keeper.renew(tasty, 'person')
      tokens.push(tokenOf(tasty))
      expect(await line()).toBe(tokens.at(-1))
    }
    expect(new Set(tokens).size).toBe(3)
    child.kill('SIGKILL')
    await once(child, 'close')
    expect((await lines.next()).done).toBe(true)
    expect(err).toContain('raised ValueError')
    for (const token of tokens) expect(err).not.toContain(token)
  })

  it('shows on the command line how an account stands, and the token only when asked', async () => {
    const main = join(folderOfClient, 'openbell.py')
    expect(await finished(start([main, 'kite-main']))).toMatchObject({
      code: 3,
      err: expect.stringMatching(/ Run: openbell login kite-main\n$/),
    })
    const token = await logInToKite()
    const shown = await finished(start([main, 'kite-main']))
    expect(shown).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^kite-main: live until 20/) })
    expect(shown.out).not.toContain(token)
    expect(await finished(start([main, 'kite-main', '--token']))).toEqual({
      code: 0,
      err: '',
      out: `${token}\n`,
    })
    expect(await finished(start([main, 'nobody']))).toMatchObject({ code: 1, out: '' })
    expect(await finished(start([main]))).toMatchObject({ code: 2, out: '' })
  })
})

async function freePort(): Promise<number> {
  const server = createSocketServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
