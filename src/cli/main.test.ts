import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
let home: string

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'openbell-cli-'))
})

afterAll(() => rm(home, { recursive: true }))

const children = new Set<ChildProcess>()

// One that a failed test left behind would hold the port.
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
})

function openbell(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, OPENBELL_HOME: home, OPENBELL_PORT: '18931' },
  })
  children.add(child)
  return child
}

async function ended(child: ChildProcess) {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  const exitCode = await new Promise((resolve) => child.on('close', resolve))
  return { exitCode, stdout, stderr }
}

it('runs over a new vault and ends with the code of the command', async () => {
  expect(await ended(openbell('status', '--json'))).toEqual({
    exitCode: 0,
    stdout: '{"accounts":[]}\n',
    stderr: '',
  })
  expect(await ended(openbell('token', 'nobody'))).toMatchObject({ exitCode: 2, stdout: '' })
})

it('is quiet when the reader of its pipe has gone', async () => {
  const child = openbell('--help')
  child.stdout?.destroy()
  expect(await ended(child)).toEqual({ exitCode: 0, stdout: '', stderr: '' })
})

it('takes a secret from a pipe and lets go of the terminal', async () => {
  const child = openbell('add', 'tastytrade', '--secrets', '-')
  child.stdin?.end('clientId=abc\nclientSecret=canary-client-secret\n')
  const { exitCode, stdout, stderr } = await ended(child)
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
  expect(stdout).toContain('tastytrade-main is saved.')
  expect(stdout).not.toContain('canary')
})

it('`run --wait` says what it waits for and ends on SIGTERM', async () => {
  const child = openbell('run', 'tastytrade-main', '--wait', '--', 'echo', 'started')
  let said = ''
  child.stderr?.on('data', (chunk) => {
    said += chunk
  })
  const ending = ended(child)
  await expect.poll(() => said, { timeout: 5_000 }).toContain('waiting')
  child.kill('SIGTERM')
  const { exitCode, stdout, stderr } = await ending
  expect({ exitCode, stdout }).toEqual({ exitCode: 143, stdout: '' })
  expect(stderr).toContain('openbell login tastytrade-main')
})

it('`keys` are made, listed and revoked, and `events` tells a whole story', async () => {
  const { stdout: key } = await ended(openbell('keys', 'create', '--label', 'bot', '--scope', 'token:read'))
  const id = /^ob_([0-9a-f]{8})_[\w-]{43}\n$/.exec(key)?.[1] ?? ''
  expect(await ended(openbell('keys', 'revoke', id))).toMatchObject({ exitCode: 0 })
  const { stdout } = await ended(openbell('keys', 'list', '--json'))
  expect(JSON.parse(stdout).keys).toMatchObject([
    { id, scopes: ['token:read'], revokedAt: expect.anything() },
  ])
  expect(await ended(openbell('keys', 'create', '--label', 'bot', '--scope', 'tokens'))).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('token:read'),
  })
  const told = await ended(openbell('events', '--json'))
  expect(told.stdout.split('\n').map((line) => line && JSON.parse(line).kind)).toContain('account-added')
  expect(await ended(openbell('events', '--check'))).toMatchObject({ exitCode: 0 })
})

it('`up` serves until it is told to stop', async () => {
  const child = openbell('up', '--json')
  const ending = ended(child)
  await new Promise((resolve) => child.stdout?.once('data', resolve))
  expect(await ended(openbell('up'))).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('keeps this vault already'),
  })
  child.kill('SIGTERM')
  const { exitCode, stdout } = await ending
  expect(exitCode).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ url: 'http://127.0.0.1:18931' })
})
