/** An engine over a real SQLite vault in a temporary folder, on virtual time, against whatever a test calls the network. */

import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Broker } from '../../src/core/broker.ts'
import type { AccountRef } from '../../src/core/model.ts'
import type { Publisher } from '../../src/core/publisher.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Clock } from '../../src/core/time.ts'
import type { Store } from '../../src/core/vault.ts'
import type { Send } from '../../src/core/wire.ts'
import { defaultTimings, type OnStep, type Timings } from '../../src/engine/deps.ts'
import { createKeeper, type EngineKeeper } from '../../src/engine/keeper.ts'
import { systemClock } from '../../src/host/clock.ts'
import { keyring } from '../../src/stores/envelope.ts'
import { sealed } from '../../src/stores/sealed.ts'
import { openSqlite } from '../../src/stores/sqlite/store.ts'

export const tenantId = 'house'
export const ref = (accountId: string): AccountRef => ({ tenantId, accountId })

export interface Vaults {
  folder: string
  open(now?: Clock['now']): Promise<Store>
  remove(): Promise<void>
}

export async function temporaryVault(): Promise<Vaults> {
  const folder = await mkdtemp(join(tmpdir(), 'openbell-test-'))
  const key = { secret: new Secret(randomBytes(32).toString('base64')), from: 'a test' }
  return {
    folder,
    async open(now = systemClock.now) {
      const file = await openSqlite({ path: join(folder, 'vault.db'), now, sleep: systemClock.sleep })
      return sealed(file, keyring(key))
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

export interface EngineOptions {
  store: Store
  clock: Clock
  send: Send
  brokers: readonly Broker[]
  publishers?: readonly Publisher[]
  timings?: Partial<Timings>
  onStep?: OnStep
  holder?: string
}

export function engine({
  store,
  clock,
  send,
  brokers,
  publishers = [],
  timings,
  onStep,
  holder = 'test',
}: EngineOptions): EngineKeeper {
  const quiet = () => undefined
  return createKeeper({
    store,
    brokers,
    publishers,
    clock,
    send,
    random: () => 0.5,
    randomToken: () => randomBytes(24).toString('base64url'),
    sha256: (text) => createHash('sha256').update(text).digest('hex'),
    holder: `${holder}:${randomBytes(4).toString('hex')}`,
    egress: 'test',
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    timings: { ...defaultTimings, ...timings },
    ...(onStep ? { onStep } : {}),
  })
}
