import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Destination } from '../core/model.ts'
import {
  type DestinationUnderTest,
  describePublisher,
  releaseForTest,
} from '../testing/describe-publisher.ts'
import { runCommand } from './command/run.ts'
import { command } from './command.ts'

/** Keeps the last document in a folder that is its argument. */
const keeper = `#!/bin/sh
IFS= read -r document || exit 1
case $document in
  '{"action":"write"'*) printf %s "$document" > "$1/new.$$" && mv "$1/new.$$" "$1/state" ;;
  '{"action":"read"'*) [ ! -e "$1/state" ] || cat "$1/state" ;;
  '{"action":"withdraw"'*) rm -f "$1/state" ;;
esac
`

async function program(text: string): Promise<{ folder: string; path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'openbell-command-'))
  const path = join(folder, 'program')
  await writeFile(path, text, { mode: 0o700 })
  return { folder, path }
}

async function own(text: string): Promise<{ folder: string; path: string }> {
  const made = await program(text)
  onTestFinished(() => rm(made.folder, { recursive: true }))
  return made
}

function destinationOf(argv: unknown, readBack?: string): Destination {
  const settings = { command: JSON.stringify(argv), ...(readBack === undefined ? {} : { readBack }) }
  return { id: 'bot', tenantId: 'ours', version: 1, kind: 'command', settings }
}

async function fresh(): Promise<DestinationUnderTest> {
  const { folder, path } = await program(keeper)
  const place = join(folder, 'place')
  const state = join(place, 'state')
  await mkdir(place)
  await writeFile(join(place, 'foreign'), 'mine')
  return {
    destination: destinationOf([path, place], 'true'),
    async picture() {
      // A writer that outlived its killed parent may still be about to rename.
      const names = (await readdir(place)).filter((name) => !name.startsWith('new.')).sort()
      const texts = names.map(async (name) => `${name}\n${await readFile(join(place, name), 'utf8')}`)
      return (await Promise.all(texts)).join('\n')
    },
    foreignKept: async () => (await readFile(join(place, 'foreign'), 'utf8')) === 'mine',
    changeByHand: async (from, to) => writeFile(state, (await readFile(state, 'utf8')).replace(from, to)),
    async block() {
      await chmod(path, 0o600)
      return () => chmod(path, 0o700)
    },
    close: () => rm(folder, { recursive: true }),
  }
}

const spoilt = (command: string) => ({
  code: 'invalid-field' as const,
  spoil: async (good: Destination) => ({ ...good, settings: { ...good.settings, command } }),
})

describePublisher(
  { describe, it, expect },
  {
    publisher: command,
    module: new URL('./command.ts', import.meta.url),
    exportName: 'command',
    fresh,
    refused: {
      'a command line': spoilt('/bin/cat -n'),
      'JSON that is no array': spoilt('{"0":"/bin/cat"}'),
      'an empty array': spoilt('[]'),
      'a program looked up in the PATH': spoilt('["cat"]'),
      'an argument that is no string': spoilt('["/bin/cat",1]'),
      'an argument that no program can get': spoilt('["/bin/cat","\\u0000"]'),
      'a setting it does not know': {
        code: 'invalid-field',
        spoil: async (good) => ({ ...good, settings: { ...good.settings, path: '/bin/cat' } }),
      },
      'neither true nor false': {
        code: 'invalid-field',
        spoil: async (good) => ({ ...good, settings: { ...good.settings, readBack: 'yes' } }),
      },
      'a program that is not there': {
        code: 'destination-unwritable',
        spoil: async (good) => ({ ...good, settings: { command: '["/nowhere/at/all"]' } }),
      },
      'a folder': {
        code: 'destination-unwritable',
        spoil: async (good) => ({ ...good, settings: { command: JSON.stringify([tmpdir()]) } }),
      },
    },
  },
)

describe('the program', () => {
  it('gets the release on stdin, and nothing of it or of our environment elsewhere', async () => {
    vi.stubEnv('OPENBELL_VAULT_KEY', 'canary-vault-key')
    const { folder, path } = await own(
      '#!/bin/sh\ncd "$1"; cat > in; env > env; echo "$@" > argv; pwd > /dev/null\n',
    )
    await command.write(destinationOf([path, folder, 'two words']), releaseForTest(3))
    const read = (name: string) => readFile(join(folder, name), 'utf8')
    expect(JSON.parse(await read('in'))).toEqual({
      action: 'write',
      broker: 'kite',
      environment: 'simulator',
      account: 'kite-main',
      slot: 'trading',
      user_id: 'AB1234',
      app_key: 'canaryappkey',
      access_token: releaseForTest(3).accessToken.expose(),
      generation: 3,
      issued_at: '2026-11-23T03:30:00.003Z',
      expires_at: '2026-11-23T23:30:00.003Z',
    })
    expect(await read('argv')).toBe(`${folder} two words\n`)
    expect(await read('env')).toContain('PATH=')
    expect(await read('env')).not.toContain('canary')
  })

  it('is never asked to read unless it can', async () => {
    const { folder, path } = await own('#!/bin/sh\ntouch "$1/ran"; echo {}\n')
    expect(await command.readBack(destinationOf([path, folder]), releaseForTest(1))).toBeUndefined()
    expect(await readdir(folder)).toEqual(['program'])
  })

  it.each([
    ['exit 7', 'exit code 7'],
    ['kill -9 $$', 'was killed'],
    ['cat', 'ok'],
    ['echo canary done', 'something else than one JSON'],
    ['yes canary', 'printed more than 1 MB'],
    ['exec 0<&-; echo null', 'ok'],
    ['echo canary >&2', 'ok'],
  ])('%s', async (line, said) => {
    const { path } = await own(`#!/bin/sh\n${line}\n`)
    const outcome = await command.write(destinationOf([path]), releaseForTest(1)).then(
      () => 'ok',
      (error: Error) => error.message,
    )
    expect(outcome).toMatch(new RegExp(said))
    expect(outcome).not.toContain('canary')
  })

  it('is asked to end when its time is over, and then ended', async () => {
    const { folder, path } = await own(
      '#!/bin/sh\ntrap "touch $1/asked" TERM\necho $$ > "$1/pid"\nwhile :; do sleep 0.05; done\n',
    )
    const limits = { runMs: 300, endMs: 300 }
    await expect(runCommand([path, folder], {}, limits)).rejects.toThrow('did not end within 0.3 s')
    expect(await readdir(folder)).toContain('asked')
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'))
    expect(() => process.kill(pid, 0)).toThrow()
  })

  it('does not hold us up by what it leaves running', async () => {
    const { path } = await own('#!/bin/sh\nsleep 3 &\nexit 0\n')
    const began = performance.now()
    await expect(runCommand([path], {}, { runMs: 200, endMs: 200 })).rejects.toThrow('did not end')
    expect(performance.now() - began).toBeLessThan(2_000)
  })
})
