import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { fakeSettings } from '../fake-house.ts'
import { checkHome, checkTokenFile, gitView } from './files.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openbell-doctor-'))
})

afterEach(() => rm(folder, { recursive: true }))

const git = (...args: string[]) => execFileSync('git', ['-C', folder, ...args], { stdio: 'ignore' })

it('knows what git would do with a .env', async () => {
  const path = join(folder, '.env')
  await writeFile(path, 'KITE_ACCESS_TOKEN=canary\n', { mode: 0o600 })
  expect(await gitView(path)).toBe('outside')
  git('init', '-q')
  expect(await gitView(path)).toBe('not-ignored')
  await writeFile(join(folder, '.gitignore'), '.env\n')
  expect(await gitView(path)).toBe('ignored')
  git('add', '-f', '.env')
  expect(await gitView(path)).toBe('tracked')
  expect(await checkTokenFile('destination bot', path)).toMatchObject([
    { result: 'fail', mend: `git rm --cached .env && echo .env >> .gitignore (in ${folder})` },
  ])
})

it('sees a .env that everybody can read', async () => {
  const path = join(folder, '.env')
  await writeFile(path, '')
  await chmod(path, 0o644)
  const [open] = await checkTokenFile('destination bot', path)
  expect(open).toMatchObject({ result: 'fail', mend: `chmod 600 ${path}` })
  await chmod(path, 0o640)
  expect(await checkTokenFile('destination bot', path)).toMatchObject([{ result: 'ok' }])
})

it('wants home, key and vault closed to others', async () => {
  const home = join(folder, 'home')
  await mkdir(home, { mode: 0o700 })
  const settings = {
    ...fakeSettings,
    home,
    keyPath: join(home, 'key'),
    vaultPath: join(home, 'vault.db'),
    apiKeyPath: join(home, 'api-key'),
  }
  await writeFile(settings.keyPath, '', { mode: 0o600 })
  await writeFile(settings.vaultPath, '', { mode: 0o600 })
  const results = async () => (await checkHome(settings)).map(({ result }) => result)
  expect(await results()).toEqual(['ok', 'ok', 'ok', 'note'])
  await chmod(home, 0o750)
  await chmod(settings.keyPath, 0o604)
  expect(await results()).toEqual(['fail', 'fail', 'ok', 'note'])
  expect((await checkHome({ ...settings, keyFromEnvironment: 'canary' }))[1]).toMatchObject({ result: 'ok' })
})
