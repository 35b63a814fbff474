import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Destination } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { describePublisher, releaseForTest } from '../testing/describe-publisher.ts'
import { freshFile, refusedFiles } from '../testing/file-destination.ts'
import { tokenFile } from './token-file.ts'

describePublisher(
  { describe, it, expect },
  {
    publisher: tokenFile,
    module: new URL('./token-file.ts', import.meta.url),
    exportName: 'tokenFile',
    // Nothing in such a file is anybody else's but the way its line ends.
    fresh: () =>
      freshFile({ kind: 'token-file', foreign: '\r\n', holdsForeign: (text) => text.endsWith('\r\n') }),
    refused: {
      ...refusedFiles,
      'one file for two tokens': {
        code: 'invalid-field',
        spoil: async (good) => ({
          ...good,
          settings: { ...good.settings, refreshTokenPath: `${good.settings.path}/../destination` },
        }),
      },
      'a relative path of the refresh token': {
        code: 'invalid-field',
        spoil: async (good) => ({ ...good, settings: { ...good.settings, refreshTokenPath: 'refresh.txt' } }),
      },
    },
  },
)

describe('the file', () => {
  let folder: string
  let path: string
  let refreshTokenPath: string
  let destination: Destination
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'openbell-token-'))
    path = join(folder, 'daily_token.txt')
    refreshTokenPath = join(folder, 'refresh_token.txt')
    destination = { id: 'bot', tenantId: 'ours', version: 1, kind: 'token-file', settings: { path } }
  })
  afterEach(() => rm(folder, { recursive: true }))
  const release = { ...releaseForTest(4), accessToken: new Secret('canary-token') }

  it.each([
    [undefined, 'canary-token'],
    ['', 'canary-token'],
    ['canary-old', 'canary-token'],
    ['canary-old\n', 'canary-token\n'],
    ['canary-old\r\n', 'canary-token\r\n'],
    ['\n', 'canary-token\n'],
  ])('that held %j holds the token alone', async (before, after) => {
    if (before !== undefined) await writeFile(path, before)
    await tokenFile.write(destination, release)
    expect(await readFile(path, 'utf8')).toBe(after)
    expect((await tokenFile.readBack(destination, release))?.expose()).toBe('canary-token')
  })

  it('is for its owner alone, and the refresh token is nowhere', async () => {
    await tokenFile.write(destination, release)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await expect(stat(refreshTokenPath)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('has one for the refresh token beside it when asked', async () => {
    const both = { ...destination, settings: { path, refreshTokenPath } }
    await tokenFile.check(both)
    await tokenFile.write(both, release)
    expect(await readFile(refreshTokenPath, 'utf8')).toBe('canary-refresh-4')
    expect((await stat(refreshTokenPath)).mode & 0o777).toBe(0o600)

    const { refreshToken: _, ...without } = release
    await tokenFile.write(both, without)
    expect(await readFile(refreshTokenPath, 'utf8')).toBe('')

    await tokenFile.write(both, release)
    await tokenFile.withdraw?.(both, release)
    expect(await readFile(refreshTokenPath, 'utf8')).toBe('')
    expect(await readFile(path, 'utf8')).toBe('')
  })

  it('is left alone when it holds more than a token', async () => {
    for (const settings of [{ path }, { path: join(folder, 'other'), refreshTokenPath: path }]) {
      await writeFile(path, 'alias ls="ls -l"\n# mine\n')
      const wrong = { ...destination, settings }
      for (const work of [
        () => tokenFile.check(wrong),
        () => tokenFile.write(wrong, release),
        () => tokenFile.withdraw?.(wrong, release),
      ]) {
        await expect(work()).rejects.toMatchObject({ code: 'destination-unwritable' })
      }
      expect(await readFile(path, 'utf8')).toBe('alias ls="ls -l"\n# mine\n')
    }
    expect(await tokenFile.readBack(destination, release)).toBeUndefined()
  })
})
