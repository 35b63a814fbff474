/** A vault in one SQLite file. It writes secrets as it gets them: use it only inside `stores/sealed.ts`. */

import type { Breaker, LoginAttempt, Slot } from '../../core/model.ts'
import type { Clock, Instant } from '../../core/time.ts'
import type { Vault } from '../../core/vault.ts'
import type { Sealable } from '../sealed.ts'
import { Database, type Row } from './database.ts'
import { ledger } from './ledger.ts'
import { docOf, leaseOf, secretsOf, toDoc, toSecrets } from './rows.ts'
import { compareAndSet } from './saving.ts'
import * as sql from './sql.ts'
import { tenantVault } from './tenant.ts'

/** How soon a change by another process is noticed. A look costs a few microseconds. */
const lookEveryMs = 250

/** So many rows are re-sealed per transaction, so that other work and other writers get their turn. */
const pageSize = 100

export interface SqliteOptions {
  /** The vault's file. Made, with its folder, when it is missing; private to this user. */
  path: string
  /** The store's clock. Every process on one vault must use the same. */
  now(): Instant
  /** Waits in real time, whatever `now` says. */
  sleep: Clock['sleep']
}

/** Throws `vault-newer`, `vault-corrupt`, `vault-busy`, `vault-full`, `vault-locked` (may only be read) or `vault-missing`. */
export async function openSqlite({ path, now, sleep }: SqliteOptions): Promise<Sealable> {
  const db = await Database.open({ path, sleep })
  const closing = new AbortController()
  return {
    ...vault(db, now),
    ...ledger(db),
    ...sealing(db),
    onChange: (listener) => watch(db, sleep, closing.signal, listener),
    async close() {
      closing.abort()
      db.close()
    },
  }
}

function vault(db: Database, now: () => Instant): Omit<Vault, 'onChange' | 'close'> {
  return {
    now: async () => now(),
    forTenant: (tenantId) => tenantVault(db, now, tenantId),
    listTenants: () => db.read(() => db.all(sql.tenants.list).map((row) => row.tenant_id as string)),

    due: (at, limit) => db.read(() => db.all(sql.sessions.due, { at, limit }).map(dueOf)),
    nextDue: () => db.read(() => db.one(sql.sessions.nextDue)?.due_at as Instant | undefined),

    takeLease: (name, holder, termMs) =>
      db.write(() => leaseOf(db.one(sql.leases.take, { name, holder, now: now(), until: now() + termMs }))),
    extendLease: ({ name, holder, fence }, termMs) =>
      db.write(() =>
        leaseOf(db.one(sql.leases.extend, { name, holder, fence, now: now(), until: now() + termMs })),
      ),
    dropLease: ({ name, holder, fence }) => db.write(() => db.run(sql.leases.drop, { name, holder, fence })),
    readLease: (name) => db.read(() => leaseOf(db.one(sql.leases.load, { name, now: now() }))),

    takeLoginAttempt: (stateHash, at, only) =>
      db.write(() => {
        const row = db.one(sql.loginAttempts.load, { stateHash })
        if (!row) return { outcome: 'unknown' }
        const attempt = docOf<LoginAttempt>(row)
        const { tenantId, accountId } = attempt.ref
        if (only && (only.tenantId !== tenantId || only.accountId !== accountId))
          return { outcome: 'foreign' }
        if (row.used_at !== null)
          return { outcome: 'used', attempt: { ...attempt, usedAt: row.used_at as Instant } }
        if (at >= attempt.expiresAt) return { outcome: 'expired', attempt }
        db.run(sql.loginAttempts.use, { stateHash, at })
        return { outcome: 'taken', attempt: { ...attempt, usedAt: at } }
      }),

    loadBreaker: (key) =>
      db.read(() => {
        const row = db.one(sql.breakers.load, { key })
        return row && docOf<Breaker>(row)
      }),
    saveBreaker: (breaker, expectedVersion) =>
      compareAndSet(db, breaker, expectedVersion, {
        ...sql.breakers,
        key: { key: breaker.key },
        columns: (next) => ({ doc: toDoc(next) }),
      }),

    proveWritable: () =>
      db.write(() => {
        db.run(sql.scratch.fill)
        db.run(sql.scratch.clear)
      }),
  }
}

function sealing(db: Database): Pick<Sealable, 'loadMeta' | 'changeMeta' | 'rewriteSecrets'> {
  const load = (name: string) => db.one(sql.meta.load, { name })?.value as string | undefined
  return {
    loadMeta: (name) => db.read(() => load(name)),
    changeMeta: (name, change) => db.write(() => db.run(sql.meta.save, { name, value: change(load(name)) })),

    async rewriteSecrets(rewrite) {
      let total = 0
      for (const { page, save } of sql.secretColumns) {
        for (let after = 0, last = false; !last; ) {
          const done = await db.write(() => {
            const rows = db.all(page, { after, limit: pageSize })
            const counts = rows.map((row) => {
              const before = Object.entries(secretsOf(row))
              const secrets = Object.fromEntries(before.map(([field, secret]) => [field, rewrite(secret)]))
              const changed = before.filter(([field, secret]) => !secrets[field]?.equals(secret)).length
              if (changed > 0) db.run(save, { id: row.id as number, secrets: toSecrets(secrets) })
              return changed
            })
            return {
              changed: counts.reduce((sum, count) => sum + count, 0),
              end: Number(rows.at(-1)?.id ?? 0),
            }
          })
          total += done.changed
          after = done.end
          last = done.end === 0
          await db.letOthersRun()
        }
      }
      return total
    },
  }
}

function watch(db: Database, sleep: Clock['sleep'], closed: AbortSignal, listener: () => void): () => void {
  const stopping = new AbortController()
  const signal = AbortSignal.any([stopping.signal, closed])
  // Whoever reads a vault that cannot be read hears of it; a look just finds no change.
  const version = () => db.read(() => db.dataVersion()).catch(() => undefined)
  async function look(): Promise<void> {
    let seen = await version()
    while (!signal.aborted) {
      await sleep(lookEveryMs, signal)
      if (signal.aborted) return
      const found = await version()
      if (found !== undefined && found !== seen) {
        seen = found
        listener()
      }
    }
  }
  void look()
  return () => stopping.abort()
}

function dueOf(row: Row) {
  return {
    ref: { tenantId: row.tenant_id as string, accountId: row.account_id as string },
    slot: row.slot as Slot,
    dueAt: row.due_at as Instant,
  }
}
