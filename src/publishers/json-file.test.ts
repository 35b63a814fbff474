import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Destination } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { describePublisher, releaseForTest } from '../testing/describe-publisher.ts'
import { freshFile, refusedFiles } from '../testing/file-destination.ts'
import { jsonFile } from './json-file.ts'

describePublisher(
  { describe, it, expect },
  {
    publisher: jsonFile,
    module: new URL('./json-file.ts', import.meta.url),
    exportName: 'jsonFile',
    fresh: () =>
      freshFile({
        kind: 'json-file',
        foreign: '{"mine":{"big":12345678901234567890},"__proto__":1}',
        holdsForeign: (text) => text.includes('12345678901234567890') && text.includes('"__proto__": 1'),
      }),
    refused: refusedFiles,
  },
)

describe('the file', () => {
  let folder: string
  let path: string
  let destination: Destination
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'openbell-json-'))
    path = join(folder, 'session.json')
    destination = { id: 'bot', tenantId: 'ours', version: 1, kind: 'json-file', settings: { path } }
  })
  afterEach(() => rm(folder, { recursive: true }))
  const release = { ...releaseForTest(4), accessToken: new Secret('canary-token') }

  it('holds the session under plain names, for its owner alone', async () => {
    await jsonFile.write(destination, release)
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      broker: 'kite',
      environment: 'simulator',
      account: 'kite-main',
      slot: 'trading',
      user_id: 'AB1234',
      app_key: 'canaryappkey',
      access_token: 'canary-token',
      generation: 4,
      issued_at: '2026-11-23T03:30:00.004Z',
      expires_at: '2026-11-23T23:30:00.004Z',
    })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('keeps nothing of an earlier account', async () => {
    const { brokerUserId: _, appKey: __, ...without } = release
    await jsonFile.write(destination, release)
    await jsonFile.write(destination, without)
    const content = JSON.parse(await readFile(path, 'utf8'))
    expect(content.user_id).toBeUndefined()
    expect(content.app_key).toBeUndefined()
  })

  it('is the very same file when asked, and empty when all is withdrawn', async () => {
    await writeFile(path, '')
    const { ino } = await stat(path)
    const inPlace = { ...destination, settings: { path, inPlace: 'true' } }
    await jsonFile.write(inPlace, release)
    await jsonFile.withdraw?.(inPlace, release)
    expect((await stat(path)).ino).toBe(ino)
    expect(await readFile(path, 'utf8')).toBe('{}\n')
  })

  it.each(['', ' \n', '\uFEFF{}', '{}'])('may be there and empty: %j', async (text) => {
    await writeFile(path, text)
    await jsonFile.check(destination)
    await jsonFile.write(destination, release)
    expect((await jsonFile.readBack(destination, release))?.expose()).toBe('canary-token')
  })

  it.each(['[1]', 'null', '"canary"', '{"access_token":"canary', 'canary=1'])(
    'is left alone when it holds %s',
    async (text) => {
      await writeFile(path, text)
      expect(await jsonFile.readBack(destination, release)).toBeUndefined()
      for (const work of [
        () => jsonFile.check(destination),
        () => jsonFile.write(destination, release),
        () => jsonFile.withdraw?.(destination, release),
      ]) {
        const error = await Promise.resolve(work()).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'destination-unwritable' })
        expect(String((error as Error).cause) + String(error)).not.toContain('canary')
      }
      expect(await readFile(path, 'utf8')).toBe(text)
    },
  )
})
