import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { instant, plus } from '../../core/time.ts'
import type { Store } from '../../core/vault.ts'
import { systemClock } from '../../host/clock.ts'
import { keyFromValue } from '../../host/key-file.ts'
import { describeVault, type VaultUnderTest } from '../../testing/describe-vault.ts'
import { keyring } from '../envelope.ts'
import { type Sealable, sealed } from '../sealed.ts'
import { openSqlite } from './store.ts'

async function fresh(wrap: (store: Sealable) => Promise<Store>): Promise<VaultUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'openbell-vault-'))
  const path = join(folder, 'vault.db')
  let at = instant(Date.UTC(2026, 10, 23))
  const opened: Store[] = []
  const reopen = async () => {
    const store = await wrap(await openSqlite({ path, now: () => at, sleep: systemClock.sleep }))
    opened.push(store)
    return store
  }
  return {
    store: await reopen(),
    reopen,
    async passTime(ms) {
      at = plus(at, ms)
    },
    async forgeEvent(seq, text) {
      const forger = new DatabaseSync(path)
      forger.prepare('UPDATE events SET text = ? WHERE seq = ?').run(text, seq)
      forger.close()
    },
    async close() {
      for (const store of opened) await store.close()
      rmSync(folder, { recursive: true })
    },
  }
}

const ring = keyring(keyFromValue(Buffer.alloc(32, 7).toString('base64'), 'OPENBELL_VAULT_KEY'))

describeVault({ describe, it, expect }, 'sqlite', () => fresh(async (store) => store))
describeVault({ describe, it, expect }, 'sealed sqlite', () => fresh((store) => sealed(store, ring)))
