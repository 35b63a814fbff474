import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Destination } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { describePublisher, releaseForTest } from '../testing/describe-publisher.ts'
import { freshFile, refusedFiles } from '../testing/file-destination.ts'
import { dotenv } from './dotenv.ts'

const foreign = '# mine: \xe9\r\nexport OTHER="a\nb" # why\r\nLAST=x\n'

describePublisher(
  { describe, it, expect },
  {
    publisher: dotenv,
    module: new URL('./dotenv.ts', import.meta.url),
    exportName: 'dotenv',
    fresh: () => freshFile({ kind: 'dotenv', foreign, holdsForeign: (text) => text.startsWith(foreign) }),
    refused: {
      ...refusedFiles,
      'a name that is no variable': {
        code: 'invalid-field',
        spoil: async (good) => ({ ...good, settings: { ...good.settings, accessTokenName: 'KITE TOKEN' } }),
      },
      'one name for two values': {
        code: 'invalid-field',
        spoil: async (good) => ({
          ...good,
          settings: { ...good.settings, accessTokenName: 'X', expiryName: 'X' },
        }),
      },
      'neither true nor false': {
        code: 'invalid-field',
        spoil: async (good) => ({ ...good, settings: { ...good.settings, inPlace: 'yes' } }),
      },
    },
  },
)

describe('the variables', () => {
  let folder: string
  let path: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'openbell-dotenv-'))
    path = join(folder, '.env')
  })
  afterEach(() => rm(folder, { recursive: true }))

  function destination(settings: Record<string, string> = {}): Destination {
    return { id: 'bot', tenantId: 'ours', version: 1, kind: 'dotenv', settings: { path, ...settings } }
  }
  const release = { ...releaseForTest(1), accessToken: new Secret('canary-token') }

  it('are token and app key under the usual names, in a file for its owner alone', async () => {
    await dotenv.write(destination(), release)
    expect(await readFile(path, 'utf8')).toBe('KITE_ACCESS_TOKEN=canary-token\nKITE_API_KEY=canaryappkey\n')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('are all named by the operator', async () => {
    const settings = { accessTokenName: 'T', appKeyName: 'K', refreshTokenName: 'R', expiryName: 'E' }
    await dotenv.write(destination(settings), release)
    expect(await readFile(path, 'utf8')).toBe(
      'T=canary-token\nK=canaryappkey\nR=canary-refresh-1\nE=2026-11-23T23:30:00.001Z\n',
    )
  })

  it('say where the token stands', () => {
    expect(dotenv.places(destination(), release.env)).toEqual(['KITE_ACCESS_TOKEN', 'KITE_API_KEY'])
    expect(dotenv.places(destination({ accessTokenName: 'T' }), release.env)).toEqual(['T', 'KITE_API_KEY'])
  })

  it('lose an old refresh token when the new grant has none', async () => {
    const { refreshToken: _, ...without } = release
    await dotenv.write(destination({ refreshTokenName: 'R' }), release)
    await dotenv.write(destination({ refreshTokenName: 'R' }), without)
    expect(await readFile(path, 'utf8')).toContain('\nR=\n')
  })

  it('are emptied by withdrawal, and the app key stays', async () => {
    await writeFile(path, 'export KITE_ACCESS_TOKEN="" # filled in by Openbell\nKITE_API_KEY=x\n')
    await dotenv.write(destination(), release)
    await dotenv.withdraw?.(destination(), release)
    expect(await readFile(path, 'utf8')).toBe(
      'export KITE_ACCESS_TOKEN="" # filled in by Openbell\nKITE_API_KEY=canaryappkey\n',
    )
  })

  it('leave the file untouched when they are right already', async () => {
    await dotenv.write(destination(), release)
    const before = await stat(path)
    await dotenv.write(destination(), release)
    expect((await stat(path)).ino).toBe(before.ino)
  })

  it('are written into the very same file when asked', async () => {
    await writeFile(path, '# mine\n')
    const { ino } = await stat(path)
    await dotenv.write(destination({ inPlace: 'true' }), release)
    await dotenv.withdraw?.(destination({ inPlace: 'true' }), release)
    expect((await stat(path)).ino).toBe(ino)
    expect(await readFile(path, 'utf8')).toBe('# mine\nKITE_ACCESS_TOKEN=\nKITE_API_KEY=canaryappkey\n')
  })

  it('are never a token that no quoting carries', async () => {
    const error = await dotenv
      .write(destination(), { ...release, accessToken: new Secret('canary\nA=1') })
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'invalid-field', field: 'KITE_ACCESS_TOKEN' })
    expect(String(error)).not.toContain('canary')
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('are not squeezed into a file that would read differently then', async () => {
    await writeFile(path, '\uFEFFA= ')
    await expect(dotenv.write(destination(), release)).rejects.toMatchObject({
      code: 'destination-unwritable',
    })
    await expect(dotenv.check(destination())).rejects.toMatchObject({ code: 'destination-unwritable' })
    expect(await readFile(path, 'utf8')).toBe('\uFEFFA= ')
  })
})
