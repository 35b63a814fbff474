import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Destination } from '../../core/model.ts'
import { Secret } from '../../core/secret.ts'
import { describePublisher, releaseForTest } from '../../testing/describe-publisher.ts'
import { freshFile } from '../../testing/file-destination.ts'
import { jsonFile } from '../json-file.ts'

const template = { api_key: 'k', api_secret: 'canary-foreign-secret', mine: 1 }

describePublisher(
  { describe, it, expect },
  {
    publisher: jsonFile,
    module: new URL('../json-file.ts', import.meta.url),
    exportName: 'jsonFile',
    async fresh() {
      const place = await freshFile({
        kind: 'json-file',
        foreign: JSON.stringify(template),
        holdsForeign: (text) =>
          text.includes('"api_secret": "canary-foreign-secret"') && text.includes('"mine": 1'),
      })
      const { destination } = place
      const settings = { ...destination.settings, shape: 'kite' }
      return { ...place, destination: { ...destination, settings } }
    },
    refused: {
      'a shape that is not there': {
        code: 'invalid-field',
        spoil: async (good) => ({ ...good, settings: { ...good.settings, shape: 'toString' } }),
      },
    },
  },
)

describe('kite_token.json', () => {
  let folder: string
  let path: string
  let destination: Destination
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'openbell-kite-json-'))
    path = join(folder, 'kite_token.json')
    destination = {
      id: 'b',
      tenantId: 'ours',
      version: 1,
      kind: 'json-file',
      settings: { path, shape: 'kite' },
    }
  })
  afterEach(() => rm(folder, { recursive: true }))
  const release = { ...releaseForTest(4), accessToken: new Secret('canary-token') }
  const content = async () => JSON.parse(await readFile(path, 'utf8'))
  const readBack = async () => (await jsonFile.readBack(destination, release))?.expose()

  const ours = {
    api_key: 'canaryappkey',
    access_token: 'canary-token',
    user_id: 'AB1234',
    updated_at: '2026-11-23T03:30:00.004+00:00',
  }

  it('has the field names of the guides', async () => {
    await jsonFile.write(destination, release)
    expect(await content()).toEqual(ours)
  })

  it('keeps the name of the same user and drops that of another', async () => {
    const others = { user_name: 'Asha', email: 'asha@example.test', api_secret: 'canary-s' }
    await writeFile(path, JSON.stringify({ ...others, user_id: 'AB1234' }))
    await jsonFile.write(destination, release)
    expect(await content()).toEqual({ ...others, ...ours })
    await writeFile(path, JSON.stringify({ ...others, user_id: 'ZZ0000' }))
    await jsonFile.write(destination, release)
    expect(await content()).toEqual({ api_secret: 'canary-s', ...ours })
  })

  it('may be one bare string, and stays one', async () => {
    await writeFile(path, '"canary-old"')
    expect(await readBack()).toBe('canary-old')
    await jsonFile.check(destination)
    await jsonFile.write(destination, release)
    expect(await content()).toBe('canary-token')
    expect(await readBack()).toBe('canary-token')
    await jsonFile.withdraw?.(destination, release)
    expect(await readBack()).toBeUndefined()
    await jsonFile.write(destination, release)
    expect(await content()).toBe('canary-token')
  })

  it('may have the token under its other name, and both are kept up to date', async () => {
    await writeFile(path, '{"token":"canary-old"}')
    expect(await readBack()).toBe('canary-old')
    await jsonFile.write(destination, release)
    expect(await content()).toEqual({ token: 'canary-token', ...ours })
    await jsonFile.withdraw?.(destination, release)
    expect(await content()).toEqual({ api_key: 'canaryappkey', user_id: 'AB1234' })
  })
})
