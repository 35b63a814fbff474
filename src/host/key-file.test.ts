import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isOpenbellError, type OpenbellError } from '../core/errors.ts'
import { createKeyFile, keyFromValue, readKeyFile } from './key-file.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'openbell-key-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

async function failureOf(work: Promise<unknown>): Promise<OpenbellError> {
  try {
    await work
  } catch (error) {
    if (isOpenbellError(error)) return error
    throw error
  }
  throw new Error('nothing failed')
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

describe('a key file', () => {
  it('is made private with its folder, and read back the same', async () => {
    const umask = process.umask(0)
    try {
      const path = join(folder, 'home', 'vault.key')
      const made = await createKeyFile(path)
      expect([modeOf(path), modeOf(join(folder, 'home'))]).toEqual(['600', '700'])
      expect(Buffer.from(made.secret.expose(), 'base64').length).toBe(32)
      const read = await readKeyFile(path)
      expect(read.secret.equals(made.secret)).toBe(true)
      expect(read.from).toBe(path)
      expect(inspect(read)).not.toContain(made.secret.expose())
      expect(readdirSync(join(folder, 'home'))).toEqual(['vault.key'])
    } finally {
      process.umask(umask)
    }
  })

  it('is made once, however many make it', async () => {
    const path = join(folder, 'vault.key')
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => createKeyFile(path)))
    const made = results.filter((result) => result.status === 'fulfilled')
    const refused = results.filter((result) => result.status === 'rejected')
    expect(made.length).toBe(1)
    expect(refused.map(({ reason }) => reason.code)).toEqual(Array(7).fill('conflict'))
    expect(readFileSync(path, 'utf8').trim()).toBe(made[0]?.value.secret.expose())
    expect(readdirSync(folder)).toEqual(['vault.key'])
  })

  it.each([0o640, 0o604, 0o620, 0o666])('open to others (%o) is refused with the mend', async (mode) => {
    const path = join(folder, 'my key')
    await createKeyFile(path)
    chmodSync(path, mode)
    const failure = await failureOf(readKeyFile(path))
    expect(failure.code).toBe('key-file-open')
    expect(failure.message).toContain(`chmod 600 '${path}'`)
    expect(failure.message).not.toContain(readFileSync(path, 'utf8').trim())
    chmodSync(path, 0o600)
    await readKeyFile(path)
  })

  it('that is missing or cannot be read is said to be', async () => {
    expect((await failureOf(readKeyFile(join(folder, 'none')))).code).toBe('key-missing')
    mkdirSync(join(folder, 'a-folder'), { mode: 0o700 })
    expect((await failureOf(readKeyFile(join(folder, 'a-folder')))).code).toBe('key-missing')
  })

  it.each([
    '',
    'canary-not-a-key',
    Buffer.alloc(31).toString('base64'),
    `${Buffer.alloc(32).toString('base64')}=!`,
  ])('that holds no key is refused (%#)', async (text) => {
    const path = join(folder, 'vault.key')
    writeFileSync(path, text, { mode: 0o600 })
    const failure = await failureOf(readKeyFile(path))
    expect(failure.code).toBe('invalid-config')
    expect(failure.message).toContain(path)
    expect(failure.message).not.toContain('canary')
  })
})

describe('a key from the environment', () => {
  it('is taken as it is, or refused by the name of its variable', async () => {
    const text = Buffer.alloc(32, 9).toString('base64')
    const key = keyFromValue(` ${text}\n`, 'OPENBELL_VAULT_KEY')
    expect(key.secret.expose()).toBe(text)
    expect(key.from).toBe('OPENBELL_VAULT_KEY')
    expect(() => keyFromValue('canary-short', 'OPENBELL_VAULT_KEY')).toThrow(
      /^OPENBELL_VAULT_KEY holds no vault key/,
    )
  })
})
