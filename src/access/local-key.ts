/** The key that programs of the same user find by themselves, in a file that only this user can read. */

import type { Secret } from '../core/secret.ts'
import type { Keys } from './keys.ts'
import type { Scope } from './scopes.ts'

/** `host/api-key-file.ts`; typed here because this folder knows no files. */
export interface KeyFile {
  /** Undefined when there is none. */
  read(): Promise<Secret | undefined>
  /** False when a file is there already; it is left alone. */
  create(key: Secret): Promise<boolean>
  remove(): Promise<void>
}

/** A program that trades needs no more; nobody gets a key to change accounts by starting a service. */
const localScopes: readonly Scope[] = ['status:read', 'token:read']

/**
 * The key in the file. Makes one when there is none or when the store does not know the one that is there (a new
 * vault beside an old file). Of processes that start together, all return the same key.
 */
export async function ensureLocalKey(file: KeyFile, keys: Keys, tenantId: string): Promise<Secret> {
  for (;;) {
    const present = await file.read()
    if (present) {
      if (await keys.verify(present)) return present
      await file.remove()
    }
    const { key, record } = await keys.create({
      tenantId,
      label: 'programs on this machine',
      scopes: localScopes,
    })
    if (await file.create(key)) return key
    await keys.revoke(tenantId, record.id)
  }
}
