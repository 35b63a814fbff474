/** Temporary homes with live sessions in their vaults, and a tastytrade that answers within the process. */

import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHouse } from '../src/compose/compose.ts'
import type { Settings } from '../src/compose/house.ts'
import type { AccountRef } from '../src/core/model.ts'
import { Secret } from '../src/core/secret.ts'
import { dayMs, hourMs, minuteMs, plus } from '../src/core/time.ts'
import { Answer, type Send } from '../src/core/wire.ts'
import { systemClock } from '../src/host/clock.ts'
import { readKeyFile } from '../src/host/key-file.ts'
import { keyring } from '../src/stores/envelope.ts'
import { sealed } from '../src/stores/sealed.ts'
import { openSqlite } from '../src/stores/sqlite/store.ts'

const tenantId = 'house'

export function accountRef(number: number): AccountRef {
  return { tenantId, accountId: `account-${number}` }
}

export interface Home {
  settings: Settings
  remove(): Promise<void>
}

export async function temporaryHome(under = tmpdir()): Promise<Home> {
  const home = await mkdtemp(join(under, 'openbell-bench-'))
  return {
    settings: settingsOf(home, await freePort()),
    remove: () => rm(home, { recursive: true, force: true }),
  }
}

export function settingsOf(home: string, port: number): Settings {
  return {
    home,
    vaultPath: join(home, 'vault.db'),
    keyPath: join(home, 'vault.key'),
    keyFromEnvironment: undefined,
    apiKeyPath: join(home, 'api.key'),
    host: '127.0.0.1',
    port,
    publicUrl: undefined,
    logLevel: 'silent',
    tenantId,
  }
}

/** `cold`: the access token has ended an hour ago and the refresh token is good. */
export async function addAccounts(
  settings: Settings,
  count: number,
  kind: 'live' | 'cold' = 'live',
): Promise<void> {
  // The house makes the vault and its key; the accounts then go straight into the store, ten thousand in seconds.
  await (await openHouse(settings)).close()
  const file = await openSqlite({ path: settings.vaultPath, now: systemClock.now, sleep: systemClock.sleep })
  const store = await sealed(file, keyring(await readKeyFile(settings.keyPath)))
  const vault = store.forTenant(tenantId)
  const now = systemClock.now()
  for (let number = 0; number < count; number++) {
    const ref = accountRef(number)
    const id = ref.accountId
    const expiry = { at: plus(now, kind === 'live' ? dayMs : -hourMs), source: 'declared' as const }
    await vault.saveApp(
      {
        id,
        tenantId,
        version: 0,
        brokerId: 'tastytrade',
        environment: 'simulator',
        credentials: { clientId: new Secret(`client-${id}`), clientSecret: new Secret(madeUp(30)) },
        fingerprint: createHash('sha256').update(id).digest('hex'),
        origins: { api: 'http://127.0.0.1:9' },
        refresh: { state: 'auto' },
      },
      0,
    )
    await vault.saveAccount(
      {
        id,
        tenantId,
        version: 0,
        appId: id,
        personId: 'owner',
        label: id,
        markets: [],
        destinations: [],
        paused: false,
        createdAt: now,
      },
      0,
    )
    const [grant] = await vault.recordGrants([
      {
        id: `grant of ${id}`,
        ref,
        slot: 'trading',
        accessToken: new Secret(madeUp(64)),
        refresh: { token: new Secret(madeUp(120)) },
        scopes: [],
        expiry,
        origin: 'login',
        sentAt: now,
        receivedAt: now,
        appVersion: 1,
      },
    ])
    await vault.saveSession(
      {
        ref,
        slot: 'trading',
        version: 0,
        fence: 0,
        generation: grant?.generation ?? 0,
        token: kind === 'live' ? 'live' : 'dead',
        expiry,
        acceptedAt: now,
        acceptedBy: 'accounts',
        work: { state: 'idle' },
        renewedAt: now,
        dueAt: plus(expiry.at, -2 * minuteMs),
      },
      0,
    )
  }
  await store.close()
}

/** What a near broker takes; also what lets other work run while a renewal waits, as a socket would. */
const answerMs = 20

/** A tastytrade without sockets that accepts everything; counts the token requests. */
export function nearTastytrade(): { send: Send; tokenRequests(): number } {
  let tokenRequests = 0
  return {
    tokenRequests: () => tokenRequests,
    async send({ url }) {
      const isToken = url.endsWith('/oauth/token')
      if (isToken) tokenRequests++
      await systemClock.sleep(answerMs)
      return new Answer({
        status: 200,
        headers: { date: new Date(systemClock.now()).toUTCString() },
        body: isToken
          ? { access_token: madeUp(64), token_type: 'Bearer', expires_in: dayMs / 1_000 }
          : { data: { items: [] } },
        receivedAt: systemClock.now(),
      })
    },
  }
}

function madeUp(bytes: number): string {
  return randomBytes(bytes).toString('base64url')
}

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
  await new Promise((resolve) => server.close(resolve))
  return port
}
