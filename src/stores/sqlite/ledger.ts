/** Events, each chained to the one before by its hash, and the keys of callers. */

import { createHash } from 'node:crypto'
import type { LedgerEvent } from '../../core/model.ts'
import type { Ledger } from '../../core/vault.ts'
import type { Database } from './database.ts'
import { eventOf, keyOf } from './rows.ts'
import * as sql from './sql.ts'

/** What the first event is chained to. */
const chainStart = ''

/** So many events are checked per tick, so that a long ledger does not stop the event loop. */
const pageSize = 500

export function ledger(db: Database): Ledger {
  return {
    async appendEvents(events) {
      if (events.length === 0) return []
      return db.write(() => {
        const newest = db.one(sql.events.newest)
        let seq = Number(newest?.seq ?? 0)
        let previousHash = String(newest?.hash ?? chainStart)
        return events.map((event) => {
          const linked = { ...event, seq: ++seq, previousHash }
          const hash = hashOf(linked)
          const { at, tenantId, accountId = null, kind, text, generation = null } = event
          db.run(sql.events.add, { seq, at, tenantId, accountId, kind, text, generation, previousHash, hash })
          previousHash = hash
          return { ...linked, hash }
        })
      })
    },

    listEvents: ({ tenantId, accountId, afterSeq = 0, limit }) =>
      db.read(() => {
        const rows =
          accountId === undefined
            ? db.all(sql.events.ofTenant, { tenantId, afterSeq, limit })
            : db.all(sql.events.ofAccount, { tenantId, accountId, afterSeq, limit })
        return rows.reverse().map(eventOf)
      }),

    async firstBrokenEvent() {
      let previous = { seq: 0, hash: chainStart }
      for (;;) {
        const page = await db.read(() =>
          db.all(sql.events.following, { afterSeq: previous.seq, limit: pageSize }).map(eventOf),
        )
        if (page.length === 0) return undefined
        for (const event of page) {
          if (event.previousHash !== previous.hash || event.hash !== hashOf(event)) return event
          previous = event
        }
        await db.letOthersRun()
      }
    },

    saveKey: ({ digest, tenantId, id, label, scopes, createdAt, revokedAt = null }) =>
      db.write(() => {
        db.run(sql.keys.save, {
          digest,
          tenantId,
          id,
          label,
          scopes: JSON.stringify(scopes),
          createdAt,
          revokedAt,
        })
      }),

    findKey: (digest) =>
      db.read(() => {
        const row = db.one(sql.keys.find, { digest })
        return row && keyOf(row)
      }),

    listKeys: (tenantId) => db.read(() => db.all(sql.keys.list, { tenantId }).map(keyOf)),
    revokeKey: (tenantId, id, at) => db.write(() => db.run(sql.keys.revoke, { tenantId, id, at })),
  }
}

/** SHA-256 over a JSON list in this order, as hex; absent members are null. */
function hashOf(event: Omit<LedgerEvent, 'hash'>): string {
  const { previousHash, seq, at, tenantId, accountId = null, kind, text, generation = null } = event
  const covered = JSON.stringify([previousHash, seq, at, tenantId, accountId, kind, text, generation])
  return createHash('sha256').update(covered).digest('hex')
}
