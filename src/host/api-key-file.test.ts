import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../core/secret.ts'
import { apiKeyFile } from './api-key-file.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openbell-key-'))
  path = join(folder, 'api-key')
})

afterEach(() => rm(folder, { recursive: true }))

describe('apiKeyFile', () => {
  it('gives back what was put there, in a file for its owner alone', async () => {
    const file = apiKeyFile(path)
    expect(await file.read()).toBeUndefined()
    expect(await file.create(new Secret('ob_canary'))).toBe(true)
    expect((await file.read())?.expose()).toBe('ob_canary')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await file.remove()
    await file.remove()
    expect(await file.read()).toBeUndefined()
  })

  it('lets one of many writers win and keeps no drafts', async () => {
    const file = apiKeyFile(path)
    const wins = await Promise.all(
      Array.from({ length: 8 }, (_, each) => file.create(new Secret(`ob_${each}`))),
    )
    expect(wins.filter(Boolean)).toHaveLength(1)
    expect(await readFile(path, 'utf8')).toBe(`ob_${wins.indexOf(true)}\n`)
    expect(await readdir(folder)).toEqual(['api-key'])
  })

  it('refuses a file that others can read, without saying what is in it', async () => {
    await writeFile(path, 'ob_canary')
    await chmod(path, 0o640)
    const error = await apiKeyFile(path)
      .read()
      .catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'key-file-open' })
    expect(error.message).not.toContain('canary')
  })

  it('refuses a link and a folder', async () => {
    await writeFile(join(folder, 'elsewhere'), 'ob_canary', { mode: 0o600 })
    await symlink(join(folder, 'elsewhere'), path)
    await expect(apiKeyFile(path).read()).rejects.toMatchObject({ code: 'key-file-open' })
    await expect(apiKeyFile(folder).read()).rejects.toMatchObject({ code: 'key-file-open' })
  })
})
