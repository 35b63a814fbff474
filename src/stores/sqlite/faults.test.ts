import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isOpenbellError, type OpenbellError } from '../../core/errors.ts'
import { instant } from '../../core/time.ts'
import type { Store } from '../../core/vault.ts'
import { fill, furnish, sampleBreaker, sampleEvent } from '../../testing/describe-vault.ts'
import { inOurWords } from './failures.ts'
import * as sql from './sql.ts'
import { openSqlite } from './store.ts'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'openbell-vault-'))
  path = join(folder, 'vault.db')
})

afterEach(() => rmSync(folder, { recursive: true }))

const now = () => instant(1_000)
/** Real waiting would take 10 s; this lets other work run and counts. */
let sleptMs = 0
async function sleep(ms: number): Promise<void> {
  sleptMs += ms
  await new Promise((done) => setImmediate(done))
}
const open = (at = path) => openSqlite({ path: at, now, sleep })

async function failureOf(work: Promise<unknown>): Promise<OpenbellError> {
  try {
    await work
  } catch (error) {
    if (isOpenbellError(error)) return error
    throw error
  }
  throw new Error('nothing failed')
}

async function makeVault(): Promise<void> {
  const store = await open()
  await furnish(store, 'ours')
  await fill(store.forTenant('ours'))
  await store.appendEvents(
    Array.from({ length: 200 }, (_, i) => sampleEvent('ours', `event ${i} ${'x'.repeat(100)}`)),
  )
  await store.close()
}

describe('a file that is no vault of ours', () => {
  it.each([
    ['text', () => writeFileSync(path, 'This is not a database. '.repeat(500)), 'vault-corrupt'],
    ['a short text', () => writeFileSync(path, 'hello'), 'vault-corrupt'],
    [
      'another program’s database',
      () => execute(path, 'CREATE TABLE mine (a); PRAGMA user_version = 1'),
      'vault-corrupt',
    ],
    ['a newer vault', () => execute(path, 'PRAGMA user_version = 999'), 'vault-newer'],
  ])('is refused and left as it was: %s', async (_, make, code) => {
    if (code === 'vault-newer') await makeVault()
    make()
    const before = readFileSync(path)
    const failure = await failureOf(open())
    expect(failure.code).toBe(code)
    expect(failure.message).toContain(path)
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  it('cannot be a folder', async () => {
    expect((await failureOf(open(folder))).code).toBe('vault-missing')
  })

  it('cannot lie inside a file', async () => {
    writeFileSync(path, '')
    expect((await failureOf(open(join(path, 'vault.db')))).code).toBe('vault-missing')
  })
})

describe('a damaged vault', () => {
  it('answers in our words wherever the damage is', async () => {
    await makeVault()
    const whole = readFileSync(path)
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: whole.length - 600 }),
        fc.uint8Array({ minLength: 16, maxLength: 600 }),
        async (offset, noise) => {
          const damaged = Buffer.from(whole)
          damaged.set(noise, offset)
          const copy = join(folder, 'copy.db')
          for (const end of ['', '-wal', '-shm']) rmSync(copy + end, { force: true })
          writeFileSync(copy, damaged)
          let store: Store | undefined
          try {
            store = await open(copy)
            await readEverything(store)
          } catch (error) {
            seen.add(isOpenbellError(error) ? error.code : `not ours: ${error}`)
          } finally {
            await store?.close()
          }
        },
      ),
      { numRuns: 150 },
    )
    expect([...seen].filter((code) => code !== 'vault-corrupt' && code !== 'vault-newer')).toEqual([])
    expect(seen.has('vault-corrupt')).toBe(true)
  })

  it('answers in our words when it was cut off', async () => {
    await makeVault()
    const whole = readFileSync(path)
    const copy = join(folder, 'copy.db')
    writeFileSync(copy, whole.subarray(0, Math.floor(whole.length / 2)))
    const failure = await failureOf(open(copy).then(readEverything))
    expect(failure.code).toBe('vault-corrupt')
  })
})

async function readEverything(store: Store): Promise<void> {
  const vault = store.forTenant('ours')
  await vault.listApps()
  await vault.listAccounts()
  await vault.listPeople()
  await vault.listDestinations()
  await vault.listIntents('kite-main')
  await vault.listGrants('kite-main')
  await vault.listSessions()
  await vault.listDeliveries()
  await vault.loadOpenLoginRequest('kite-main')
  await store.listTenants()
  await store.nextDue()
  await store.listKeys('ours')
  await store.listEvents({ tenantId: 'ours', limit: 1_000 })
  await store.firstBrokenEvent()
}

describe('a vault that another program writes to', () => {
  it('can be opened and read, and says so after 10 s of waiting to write', async () => {
    await makeVault()
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    try {
      const store = await open()
      expect((await store.forTenant('ours').listAccounts()).length).toBe(1)
      sleptMs = 0
      const failures = await Promise.all([
        failureOf(store.saveBreaker(sampleBreaker(), 0)),
        failureOf(store.proveWritable()),
      ])
      expect(failures.map((failure) => failure.code)).toEqual(['vault-busy', 'vault-busy'])
      expect(sleptMs).toBeGreaterThanOrEqual(10_000)
      expect(sleptMs).toBeLessThan(11_000)
      other.exec('ROLLBACK')
      expect((await store.saveBreaker(sampleBreaker(), 0))?.version).toBe(1)
      await store.close()
    } finally {
      other.close()
    }
  })
})

describe('a new vault', () => {
  it('is made once when two open it while a third has the lock', async () => {
    const third = new DatabaseSync(path)
    third.exec('PRAGMA journal_mode = WAL; BEGIN IMMEDIATE')
    sleptMs = 0
    const opening = [open(), open()]
    while (sleptMs < 100) await sleep(0.1)
    third.exec('ROLLBACK')
    for (const store of await Promise.all(opening)) {
      await store.proveWritable()
      await store.close()
    }
    third.close()
  })
})

describe('the ledger', () => {
  it('notices an event that was taken out of the middle, or from the start', async () => {
    await makeVault()
    execute(path, 'DELETE FROM events WHERE seq = 150')
    const store = await open()
    expect((await store.firstBrokenEvent())?.seq).toBe(151)
    execute(path, 'DELETE FROM events WHERE seq < 10')
    expect((await store.firstBrokenEvent())?.seq).toBe(10)
    await store.close()
  })
})

describe('the files of a vault', () => {
  const mode = (file: string) => (statSync(file).mode & 0o777).toString(8)

  it('are private whatever the umask, and so is the folder that is made', async () => {
    const umask = process.umask(0)
    try {
      const inner = join(folder, 'deep', 'home', 'vault.db')
      const store = await open(inner)
      await furnish(store, 'ours')
      expect([mode(inner), mode(`${inner}-wal`), mode(`${inner}-shm`)]).toEqual(['600', '600', '600'])
      expect([mode(join(folder, 'deep')), mode(join(folder, 'deep', 'home'))]).toEqual(['700', '700'])
      await store.close()
    } finally {
      process.umask(umask)
    }
  })

  it('become private when somebody opened them to others', async () => {
    await makeVault()
    chmodSync(path, 0o644)
    const store = await open()
    await furnish(store, 'theirs')
    expect([mode(path), mode(`${path}-wal`)]).toEqual(['600', '600'])
    await store.close()
  })
})

describe('what SQLite throws', () => {
  it('is a full vault when there is no room', () => {
    expect(codeOf(':memory:', {}, 'PRAGMA max_page_count = 2; CREATE TABLE t (a); CREATE TABLE u (a)')).toBe(
      'vault-full',
    )
  })

  it('is a locked vault when it may only be read', async () => {
    await makeVault()
    expect(codeOf(path, { readOnly: true }, 'DELETE FROM sessions')).toBe('vault-locked')
  })

  it('is told apart from our own mistakes', async () => {
    expect(codeOf(':memory:', {}, 'SELECT nothing')).toBe('internal')
    const store = await open()
    await store.close()
    await store.close()
    expect((await failureOf(store.proveWritable())).code).toBe('internal')
    const mistake = new TypeError('a mistake')
    expect(inOurWords(mistake, path)).toBe(mistake)
  })

  function codeOf(file: string, options: object, statement: string): unknown {
    const db = new DatabaseSync(file, options)
    try {
      db.exec(statement)
    } catch (error) {
      const failure = inOurWords(error, path)
      return isOpenbellError(failure) ? failure.code : failure
    } finally {
      db.close()
    }
  }
})

describe('every statement', () => {
  it('finds its rows by an index', async () => {
    await makeVault()
    copyFileSync(path, join(folder, 'plans.db'))
    const db = new DatabaseSync(join(folder, 'plans.db'))
    const statements = Object.values(sql).flatMap((group) =>
      Array.isArray(group) ? group.flatMap((each) => Object.values(each)) : Object.values(group),
    )
    const scans = statements.filter((statement) =>
      db
        .prepare(`EXPLAIN QUERY PLAN ${statement}`)
        .all()
        .some(
          ({ detail }) =>
            /SCAN|TEMP B-TREE/.test(String(detail)) && !/USING (COVERING )?INDEX/.test(String(detail)),
        ),
    )
    db.close()
    expect(statements.length).toBeGreaterThan(40)
    // Listing intents sorts the few of one account by time; the newest event and scratch are read from an end.
    expect(scans).toEqual([sql.intents.list, sql.events.newest])
  })
})

function execute(file: string, statements: string): void {
  const db = new DatabaseSync(file)
  db.exec(statements)
  db.close()
}
