/** One vault that several processes open by its folder and key. */

import { join } from 'node:path'
import { Secret } from '../../src/core/secret.ts'
import type { Store } from '../../src/core/vault.ts'
import { systemClock } from '../../src/host/clock.ts'
import { keyring } from '../../src/stores/envelope.ts'
import { sealed } from '../../src/stores/sealed.ts'
import { openSqlite } from '../../src/stores/sqlite/store.ts'

export async function openVault({ folder, key }: { folder: string; key: string }): Promise<Store> {
  const file = await openSqlite({
    path: join(folder, 'vault.db'),
    now: systemClock.now,
    sleep: systemClock.sleep,
  })
  return sealed(file, keyring({ secret: new Secret(key), from: 'a test' }))
}
