import { describe, expect, it } from 'vitest'
import type { ApiKey } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import { createKeys } from './keys.ts'
import { ensureLocalKey, type KeyFile } from './local-key.ts'

function memory(): { keys: ReturnType<typeof createKeys>; live: () => ApiKey[] } {
  const stored = new Map<string, ApiKey>()
  const ledger = {
    saveKey: async (key: ApiKey) => void stored.set(key.digest, key),
    findKey: async (digest: string) => stored.get(digest),
    listKeys: async () => [...stored.values()],
    revokeKey: async (_: string, id: string) => {
      for (const [digest, key] of stored) if (key.id === id) stored.delete(digest)
    },
  }
  const clock = { now: () => instant(0), sleep: async () => undefined }
  return { keys: createKeys({ ledger, clock }), live: () => [...stored.values()] }
}

function fileWith(content?: Secret): KeyFile & { content: Secret | undefined } {
  return {
    content,
    async read() {
      return this.content
    },
    async create(key) {
      await Promise.resolve()
      if (this.content) return false
      this.content = key
      return true
    },
    async remove() {
      this.content = undefined
    },
  }
}

describe('ensureLocalKey', () => {
  it('makes a key that may read status and tokens and nothing else', async () => {
    const { keys } = memory()
    const file = fileWith()
    const key = await ensureLocalKey(file, keys, 'home')
    expect(file.content).toBe(key)
    expect((await keys.verify(key))?.scopes).toEqual(['status:read', 'token:read'])
  })

  it('keeps the key that is there', async () => {
    const { keys, live } = memory()
    const file = fileWith()
    const first = await ensureLocalKey(file, keys, 'home')
    expect(await ensureLocalKey(file, keys, 'home')).toBe(first)
    expect(live()).toHaveLength(1)
  })

  it('replaces a key that the store does not know', async () => {
    const { keys } = memory()
    const file = fileWith(new Secret('ob_of_an_older_vault'))
    const key = await ensureLocalKey(file, keys, 'home')
    expect(await keys.verify(key)).toBeDefined()
    expect(file.content).toBe(key)
  })

  it('gives all processes that start together the same key, and leaves no other behind', async () => {
    const { keys, live } = memory()
    const file = fileWith()
    const made = await Promise.all(Array.from({ length: 5 }, () => ensureLocalKey(file, keys, 'home')))
    expect(new Set(made.map((key) => key.expose())).size).toBe(1)
    expect(live()).toHaveLength(1)
  })
})
