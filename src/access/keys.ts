/** API keys: random, shown once, kept as a SHA-256 digest, checked with one hash and one look-up. */

import { hash, randomBytes } from 'node:crypto'
import { OpenbellError } from '../core/errors.ts'
import type { ApiKey } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type Clock, secondMs } from '../core/time.ts'
import type { Ledger } from '../core/vault.ts'
import { isScope, scopes } from './scopes.ts'

/** A key that another process revokes is still honoured here for this long at most; one revoked here, not at all. */
export const stalenessMs = 5 * secondMs

export interface NewKey {
  tenantId: string
  /** For people: which program uses it. */
  label: string
  scopes: readonly string[]
}

export interface Keys {
  /** The key itself is in no store: whoever loses it makes a new one. Throws `invalid-field`. */
  create(input: NewKey): Promise<{ key: Secret; record: ApiKey }>
  /** Undefined for a key that is unknown or revoked. A new key is known at once, also when another process made it. */
  verify(key: Secret): Promise<ApiKey | undefined>
  list(tenantId: string): Promise<ApiKey[]>
  revoke(tenantId: string, id: string): Promise<void>
}

type KeyLedger = Pick<Ledger, 'saveKey' | 'findKey' | 'listKeys' | 'revokeKey'>

export function createKeys({ ledger, clock }: { ledger: KeyLedger; clock: Clock }): Keys {
  /** By digest. Only keys that were found, so that guessing fills no memory. */
  const known = new Map<string, { record: ApiKey; readAt: number }>()
  let revocations = 0

  return {
    async create({ tenantId, label, scopes: wanted }) {
      const foreign = wanted.find((scope) => !isScope(scope))
      if (wanted.length === 0 || foreign !== undefined) {
        const what = foreign === undefined ? 'A key needs a scope' : `There is no scope "${foreign}"`
        throw new OpenbellError('invalid-field', `${what}: choose from ${scopes.join(', ')}.`, {
          field: 'scopes',
        })
      }
      // 4 bytes tell keys apart in a list; 32 are out of reach of guessing, so that a plain fast hash is enough.
      const id = randomBytes(4).toString('hex')
      const key = new Secret(`ob_${id}_${randomBytes(32).toString('base64url')}`)
      const record = { id, tenantId, digest: digestOf(key), label, scopes: wanted, createdAt: clock.now() }
      await ledger.saveKey(record)
      return { key, record }
    },

    async verify(key) {
      const digest = digestOf(key)
      const now = clock.now()
      const cached = known.get(digest)
      // Also not from the future: a clock that is set back must not keep a key alive.
      if (cached && now >= cached.readAt && now - cached.readAt < stalenessMs) return cached.record

      const before = revocations
      const record = await ledger.findKey(digest)
      if (!record || record.revokedAt !== undefined) {
        known.delete(digest)
        return undefined
      }
      // What was read before a revocation may be what was revoked.
      if (revocations === before) known.set(digest, { record, readAt: now })
      return record
    },

    list: (tenantId) => ledger.listKeys(tenantId),

    async revoke(tenantId, id) {
      await ledger.revokeKey(tenantId, id, clock.now())
      revocations++
      for (const [digest, { record }] of known) {
        if (record.id === id && record.tenantId === tenantId) known.delete(digest)
      }
    },
  }
}

function digestOf(key: Secret): string {
  return hash('sha256', key.expose(), 'hex')
}
