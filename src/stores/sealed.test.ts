import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isOpenbellError, type OpenbellError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import { systemClock } from '../host/clock.ts'
import { keyFromValue, type VaultKey } from '../host/key-file.ts'
import { furnish, sampleApp, sampleEvent, sampleGrant } from '../testing/describe-vault.ts'
import { keyring, reseal, seal, unseal } from './envelope.ts'
import { type SealedStore, sealed } from './sealed.ts'
import { openSqlite } from './sqlite/store.ts'

const keyOf = (byte: number): VaultKey =>
  keyFromValue(Buffer.alloc(32, byte).toString('base64'), `/home/asha/key-${byte}`)
const oldKey = keyOf(1)
const newKey = keyOf(2)

let folder: string
let path: string
let opened: { close(): Promise<void> }[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'openbell-vault-'))
  path = join(folder, 'vault.db')
  opened = []
})

afterEach(async () => {
  for (const store of opened) await store.close()
  rmSync(folder, { recursive: true })
})

async function open(...keys: [VaultKey, ...VaultKey[]]): Promise<SealedStore> {
  const inner = await openSqlite({ path, now: systemClock.now, sleep: systemClock.sleep })
  opened.push(inner)
  return sealed(inner, keyring(...keys))
}

/** Behind the store's back, as somebody with the file would. */
function tamper(statements: string): void {
  const db = new DatabaseSync(path)
  db.exec(statements)
  db.close()
}

async function failureOf(work: Promise<unknown>): Promise<OpenbellError> {
  try {
    await work
  } catch (error) {
    if (isOpenbellError(error)) return error
    throw error
  }
  throw new Error('nothing failed')
}

describe('a sealed value', () => {
  const ring = keyring(newKey, oldKey)

  it('opens to what it was, in its own place only', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 300 }).filter((value) => value.isWellFormed()),
        fc.tuple(fc.string(), fc.nat()),
        fc.tuple(fc.string(), fc.nat()),
        (value, place, elsewhere) => {
          const closed = seal(ring, new Secret(value), place)
          expect(unseal(ring, closed, place).expose()).toBe(value)
          if (JSON.stringify(place) !== JSON.stringify(elsewhere)) {
            expect(() => unseal(ring, closed, elsewhere)).toThrow('does not open in its place')
          }
        },
      ),
    )
  })

  it('never looks the same twice', () => {
    const value = new Secret('canary-same')
    expect(seal(ring, value, []).equals(seal(ring, value, []))).toBe(false)
  })

  it('notices every changed byte', () => {
    const closed = seal(ring, new Secret('canary-value'), ['here']).expose()
    const [format = '', id = '', base64 = ''] = closed.split(':')
    const bytes = Buffer.from(base64, 'base64')
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes)
      changed[i] = (changed[i] ?? 0) ^ 1
      const forged = new Secret(`${format}:${id}:${changed.toString('base64')}`)
      expect(() => unseal(ring, forged, ['here'])).toThrow('does not open in its place')
    }
    for (const broken of [
      '',
      'canary in the clear',
      `${format}:${id}:`,
      `${format}:${id}:${base64.slice(0, 100)}`,
    ]) {
      expect(() => unseal(ring, new Secret(broken), ['here'])).toThrow('does not open in its place')
    }
  })

  it('moves to another key without being opened', () => {
    const closed = seal(keyring(oldKey), new Secret('canary-value'), ['here'])
    const moved = reseal(ring, closed)
    expect(unseal(keyring(newKey), moved, ['here']).expose()).toBe('canary-value')
    expect(() => unseal(keyring(oldKey), moved, ['here'])).toThrow('sealed with another key')
    expect(reseal(ring, moved).equals(moved)).toBe(true)
  })
})

describe('a sealed vault', () => {
  it('has no secret in its files, and would have without sealing', async () => {
    async function secretsInFiles(): Promise<string[]> {
      // By another process: closing one of the files here would drop SQLite's locks on it.
      const bytes = execFileSync('sh', ['-c', 'cat "$0"*', path], { maxBuffer: 1e8 }).toString('latin1')
      expect(bytes).toContain('fingerprint-ours')
      return [...new Set(bytes.match(/canary-(key|secret|access|refresh)/g))].toSorted()
    }
    const store = await open(oldKey)
    await furnish(store, 'ours')
    await store.forTenant('ours').recordGrants([sampleGrant('ours')])
    expect(await secretsInFiles()).toEqual([])

    path = join(folder, 'raw.db')
    const raw = await openSqlite({ path, now: systemClock.now, sleep: systemClock.sleep })
    opened.push(raw)
    await furnish(raw, 'ours')
    await raw.forTenant('ours').recordGrants([sampleGrant('ours')])
    expect(await secretsInFiles()).toEqual(['canary-access', 'canary-key', 'canary-refresh', 'canary-secret'])
  })

  it('refuses another key at once and names where the key came from', async () => {
    await furnish(await open(oldKey), 'ours')
    const failure = await failureOf(open(newKey))
    expect(failure.code).toBe('vault-locked')
    expect(failure.message).toContain('/home/asha/key-2')
    expect(failure.message).not.toContain(newKey.secret.expose())
    expect((await (await open(oldKey)).forTenant('ours').loadApp('kite-app'))?.version).toBe(1)
  })

  const moves: [string, string][] = [
    ['another field', `UPDATE apps SET secrets = json_set(secrets, '$.apiKey', secrets ->> '$.apiSecret')`],
    ['another tenant', `UPDATE apps SET secrets = (SELECT secrets FROM apps WHERE tenant_id = 'theirs')`],
    ['another version', `UPDATE apps SET version = 2, doc = json_set(doc, '$.version', 2)`],
    ['the clear', `UPDATE apps SET secrets = json_set(secrets, '$.apiKey', 'forged')`],
  ]
  it.each(moves)('notices an app’s credential that was moved to %s', async (_, statement) => {
    const store = await open(oldKey)
    await furnish(store, 'ours')
    await furnish(store, 'theirs')
    tamper(statement)
    expect((await failureOf(store.forTenant('ours').loadApp('kite-app'))).code).toBe('vault-corrupt')
    expect((await failureOf(store.forTenant('ours').listApps())).code).toBe('vault-corrupt')
  })

  it('notices a token that was moved to another grant or field', async () => {
    const store = await open(oldKey)
    await furnish(store, 'ours')
    const vault = store.forTenant('ours')
    await vault.recordGrants([sampleGrant('ours', { id: 'g1' }), sampleGrant('ours', { id: 'g2' })])
    tamper(`UPDATE grants SET secrets = (SELECT secrets FROM grants WHERE id = 'g1') WHERE id = 'g2'`)
    expect((await failureOf(vault.loadGrant('kite-main', 2))).code).toBe('vault-corrupt')
    expect((await vault.loadGrant('kite-main', 1))?.accessToken.expose()).toBe('canary-access-g1')
    tamper(`UPDATE grants SET secrets = json_set(secrets, '$.accessToken', secrets ->> '$.refreshToken')`)
    expect((await failureOf(vault.loadGrant('kite-main', 1))).code).toBe('vault-corrupt')
  })

  it('lets other work run during long work', async () => {
    const store = await open(oldKey)
    await furnish(store, 'ours')
    const vault = store.forTenant('ours')
    await vault.recordGrants(Array.from({ length: 1_000 }, (_, i) => sampleGrant('ours', { id: `g${i}` })))
    await store.appendEvents(Array.from({ length: 3_000 }, (_, i) => sampleEvent('ours', `event ${i}`)))
    const both = await open(newKey, oldKey)
    for (const work of [
      () => vault.listGrants('kite-main'),
      () => store.firstBrokenEvent(),
      () => both.rotate(),
    ]) {
      let turns = 0
      const timer = setInterval(() => turns++, 1)
      await work()
      clearInterval(timer)
      expect(turns).toBeGreaterThanOrEqual(3)
    }
  })

  it('changes its key while it is used', async () => {
    const old = await open(oldKey)
    await furnish(old, 'ours')
    const grants = Array.from({ length: 250 }, (_, i) => sampleGrant('ours', { id: `g${i}` }))
    await old.forTenant('ours').recordGrants(grants)

    const both = await open(newKey, oldKey)
    expect((await failureOf(open(oldKey))).code).toBe('vault-locked')
    const late = both.forTenant('ours')
    const [count] = await Promise.all([
      both.rotate(),
      late.saveApp(sampleApp('ours', { credentials: { apiKey: new Secret('canary-new') } }), 1),
    ])
    expect(count).toBeGreaterThanOrEqual(500)
    expect(await both.rotate()).toBe(0)

    const vault = (await open(newKey)).forTenant('ours')
    expect((await vault.loadApp('kite-app'))?.credentials.apiKey?.expose()).toBe('canary-new')
    expect((await vault.loadApp('kite-app'))?.version).toBe(2)
    expect((await vault.listGrants('kite-main')).map((grant) => grant.refresh?.token.expose())).toEqual(
      grants.map((grant) => grant.refresh?.token.expose()).toReversed(),
    )
    expect((await failureOf(open(oldKey))).code).toBe('vault-locked')
  })
})
