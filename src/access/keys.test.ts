import { inspect } from 'node:util'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ApiKey } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type Instant, instant, plus } from '../core/time.ts'
import { createKeys, stalenessMs } from './keys.ts'
import { allows, scopes } from './scopes.ts'

function memoryLedger() {
  const stored = new Map<string, ApiKey>()
  return {
    stored,
    finds: 0,
    async saveKey(key: ApiKey) {
      stored.set(key.digest, key)
    },
    async findKey(digest: string) {
      this.finds++
      return stored.get(digest)
    },
    async listKeys(tenantId: string) {
      return [...stored.values()].filter((key) => key.tenantId === tenantId)
    },
    async revokeKey(tenantId: string, id: string, at: Instant) {
      for (const [digest, key] of stored) {
        if (key.id === id && key.tenantId === tenantId) stored.set(digest, { ...key, revokedAt: at })
      }
    },
  }
}

let ledger: ReturnType<typeof memoryLedger>
let now: Instant
const clock = { now: () => now, sleep: async () => undefined }
const open = () => createKeys({ ledger, clock })
const forBot = { tenantId: 'home', label: 'bot', scopes: ['token:read'] }

beforeEach(() => {
  ledger = memoryLedger()
  now = instant(1_795_000_000_000)
})

describe('create', () => {
  it('gives a key that verifies and stores nothing from which it could be had', async () => {
    const keys = open()
    const { key, record } = await keys.create(forBot)
    expect(key.expose()).toMatch(/^ob_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/)
    expect(record).toMatchObject({ tenantId: 'home', label: 'bot', scopes: ['token:read'], createdAt: now })
    expect(await keys.verify(key)).toEqual(record)
    expect(await keys.list('home')).toEqual([record])
    expect(inspect([...ledger.stored], { depth: 9 })).not.toContain(key.expose().slice(12, 20))
  })

  it('never gives the same key twice', async () => {
    const keys = open()
    const made = await Promise.all(Array.from({ length: 200 }, () => keys.create(forBot)))
    expect(new Set(made.map(({ key }) => key.expose())).size).toBe(200)
  })

  it.each([[[]], [['token:read', 'everything']]])('refuses the scopes %j', async (wanted) => {
    await expect(open().create({ ...forBot, scopes: wanted })).rejects.toMatchObject({
      code: 'invalid-field',
      field: 'scopes',
    })
    expect(ledger.stored.size).toBe(0)
  })
})

describe('verify', () => {
  it('knows no key that nobody made', async () => {
    const keys = open()
    const { key } = await keys.create(forBot)
    await keys.verify(key)
    await fc.assert(
      fc.asyncProperty(fc.string(), async (tail) => {
        fc.pre(tail !== '')
        expect(await keys.verify(new Secret(key.expose() + tail))).toBeUndefined()
        expect(await keys.verify(new Secret(tail))).toBeUndefined()
      }),
    )
  })

  it('asks the store once per five seconds, not once per request', async () => {
    const keys = open()
    const { key } = await keys.create(forBot)
    for (let request = 0; request < 100; request++) await keys.verify(key)
    expect(ledger.finds).toBe(1)
    now = plus(now, stalenessMs)
    await keys.verify(key)
    expect(ledger.finds).toBe(2)
  })

  it('refuses a key at once after it was revoked here', async () => {
    const keys = open()
    const { key, record } = await keys.create(forBot)
    const other = await keys.create(forBot)
    await keys.verify(key)
    await keys.verify(other.key)
    await keys.revoke('home', record.id)
    expect(await keys.verify(key)).toBeUndefined()
    expect(await keys.verify(other.key)).toBeDefined()
  })

  it('refuses a key within five seconds after another process revoked it, and takes a new one at once', async () => {
    const service = open()
    const cli = open()
    const { key, record } = await cli.create(forBot)
    expect(await service.verify(key)).toBeDefined()
    await cli.revoke('home', record.id)
    now = plus(now, stalenessMs - 1)
    expect(await service.verify(key)).toBeDefined()
    now = plus(now, 1)
    expect(await service.verify(key)).toBeUndefined()

    const next = await cli.create(forBot)
    expect(await service.verify(next.key)).toBeDefined()
  })

  it('does not remember what it read before a revocation', async () => {
    const keys = open()
    const { key, record } = await keys.create(forBot)
    const find = ledger.findKey
    ledger.findKey = async (digest) => {
      const read = ledger.stored.get(digest)
      await keys.revoke('home', record.id)
      return read
    }
    await keys.verify(key)
    ledger.findKey = find
    expect(await keys.verify(key)).toBeUndefined()
  })

  it('does not honour a remembered key longer because the clock was set back', async () => {
    const keys = open()
    const { key, record } = await keys.create(forBot)
    await keys.verify(key)
    await ledger.revokeKey('home', record.id, now)
    now = plus(now, -3_600_000)
    expect(await keys.verify(key)).toBeUndefined()
  })

  it("does not let one tenant revoke another's key", async () => {
    const keys = open()
    const { key, record } = await keys.create(forBot)
    await keys.revoke('other', record.id)
    expect(await keys.verify(key)).toBeDefined()
  })
})

describe('allows', () => {
  it('is exactly what the key names, and everything for admin', () => {
    for (const held of scopes) {
      for (const asked of scopes) {
        expect(allows({ scopes: [held] }, asked)).toBe(held === asked || held === 'admin')
      }
    }
  })
})
