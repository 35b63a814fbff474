/** The only place where everything is built. Heavy parts are loaded when first used, so that `openbell token` stays quick. */

import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { createKeys } from '../access/keys.ts'
import { ensureLocalKey } from '../access/local-key.ts'
import type { ApiParts } from '../api/env.ts'
import { brokers as shippedBrokers } from '../brokers/index.ts'
import type { Broker } from '../core/broker.ts'
import { OpenbellError } from '../core/errors.ts'
import type { LoginResult } from '../core/keeper.ts'
import type { AccountRef } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import type { Clock } from '../core/time.ts'
import type { Store } from '../core/vault.ts'
import type { Send } from '../core/wire.ts'
import { defaultTimings, type Log, type OnStep, type Timings } from '../engine/deps.ts'
import { createKeeper } from '../engine/keeper.ts'
import { apiKeyFile } from '../host/api-key-file.ts'
import { systemClock } from '../host/clock.ts'
import { createKeyFile, keyFromValue, readKeyFile, type VaultKey } from '../host/key-file.ts'
import { publishers } from '../publishers/index.ts'
import { keyring } from '../stores/envelope.ts'
import { sealed } from '../stores/sealed.ts'
import { openSqlite } from '../stores/sqlite/store.ts'
import type { House, LoginListener, Settings } from './house.ts'

export { readSettings } from './settings.ts'

export interface HouseOptions {
  /** The engine's clock; the store's is always real time, because leases are between processes. */
  clock?: Clock
  timings?: Partial<Timings>
  brokers?: readonly Broker[]
  send?: Send
  onStep?: OnStep
  /** Write the log as JSON lines to stderr; otherwise only warnings and errors, and only for the service. */
  log?: Log
}

/** Opens the vault (made when there is none) and builds a keeper over it, not yet started. */
export async function openHouse(settings: Settings, options: HouseOptions = {}): Promise<House> {
  const clock = options.clock ?? systemClock
  const store = await openStore(settings)
  const brokers = options.brokers ?? shippedBrokers
  const wire = options.send ? { send: options.send, close: () => undefined } : lazyWire(clock)
  const log = options.log ?? lazyLog(settings.logLevel, () => keeper.secrets())
  const keeper = createKeeper({
    store,
    brokers,
    publishers,
    clock,
    send: wire.send,
    random: Math.random,
    randomToken: () => randomBytes(24).toString('base64url'),
    sha256: (text) => createHash('sha256').update(text).digest('hex'),
    holder: `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`,
    egress: 'default',
    log,
    timings: { ...defaultTimings, ...options.timings },
    ...(options.onStep ? { onStep: options.onStep } : {}),
  })
  const keys = createKeys({ ledger: store, clock })
  const zoneOf = (brokerId: string) => brokers.find(({ id }) => id === brokerId)?.rules.zone ?? 'UTC'
  const url = `http://${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${settings.port}`
  let closing: Promise<void> | undefined

  return {
    settings,
    keeper,
    ledger: store,
    keys,
    clockOffsets: () => keeper.clockOffsets(),

    async listenForLogin(accountId, redirectUri) {
      const [{ callbackHandler }, { getRequestListener }, { listenAtRedirect }] = await Promise.all([
        import('../api/callback.ts'),
        import('@hono/node-server'),
        import('../host/listen.ts'),
      ])
      const ref: AccountRef = { tenantId: settings.tenantId, accountId }
      const settled = Promise.withResolvers<LoginResult>()
      // A caller that stops listening before anything came back is not owed an error.
      settled.promise.catch(() => undefined)
      const handler = callbackHandler({
        keeper,
        clock,
        zoneOf,
        ref,
        onResult: (outcome) => {
          if (outcome.kind === 'finished') settled.resolve(outcome.result)
          else if (!isForeign(outcome.error)) settled.reject(outcome.error)
        },
      })
      const listener = await listenAtRedirect(redirectUri, getRequestListener(handler))
      return {
        finished: settled.promise,
        close: () => listener.close(),
      } satisfies LoginListener
    },

    async forward(url) {
      const { forwardTo } = await import('../host/listen.ts')
      return forwardTo(url)
    },

    async serve() {
      const [{ createApi }, { createListener }, { getRequestListener }, { createServer }] = await Promise.all(
        [
          import('../api/app.ts'),
          import('../api/listener.ts'),
          import('@hono/node-server'),
          import('node:http'),
        ],
      )
      await ensureLocalKey(apiKeyFile(settings.apiKeyPath), keys, settings.tenantId)
      const parts: ApiParts = {
        keeper,
        keys,
        clock,
        ready: () => store.listTenants().then(() => undefined),
        isCallbackPath: (path) => isCallbackPath(store, path),
        zoneOf,
        report: (error) =>
          log.error({ error: error instanceof Error ? error.message : 'unknown' }, 'a request failed'),
        settings: { publicUrl: settings.publicUrl },
      }
      const server = createServer(createListener(parts, getRequestListener(createApi(parts).fetch)))
      server.listen(settings.port, settings.host)
      await new Promise<void>((resolve, reject) => {
        server.once('listening', resolve)
        server.once('error', reject)
      })
      return {
        url,
        close: () =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            server.closeAllConnections()
          }),
      }
    },

    async serviceIsUp() {
      const key = await apiKeyFile(settings.apiKeyPath)
        .read()
        .catch(() => undefined)
      // Whoever does not know this vault's key keeps another vault.
      if (key === undefined) return false
      const { request } = await import('node:http')
      return new Promise<boolean>((resolve) => {
        const headers = { authorization: `Bearer ${key.expose()}` }
        const asked = request(`${url}/v1/accounts`, { timeout: 500, headers }, (answer) => {
          answer.resume()
          resolve(answer.statusCode === 200)
        })
        asked.on('error', () => resolve(false))
        asked.on('timeout', () => asked.destroy())
        asked.end()
      })
    },

    close() {
      closing ??= (async () => {
        await keeper.stop()
        wire.close()
        await store.close()
      })()
      return closing
    },
  }
}

async function openStore(settings: Settings): Promise<Store> {
  const { vaultPath, home } = settings
  await mkdir(home, { recursive: true, mode: 0o700 })
  const key = await vaultKey(settings, existsSync(vaultPath))
  const file = await openSqlite({ path: vaultPath, now: systemClock.now, sleep: systemClock.sleep })
  try {
    return await sealed(file, keyring(key))
  } catch (error) {
    await file.close()
    throw error
  }
}

/** A new key only ever comes with a new vault: beside an old one it would hide that the right key is missing. */
async function vaultKey({ keyFromEnvironment, keyPath }: Settings, vaultExists: boolean): Promise<VaultKey> {
  if (keyFromEnvironment !== undefined) return keyFromValue(keyFromEnvironment, 'OPENBELL_VAULT_KEY')
  if (vaultExists || existsSync(keyPath)) return readKeyFile(keyPath)
  try {
    return await createKeyFile(keyPath)
  } catch (error) {
    // Two first commands at once: the other one's key is as good.
    if (error instanceof OpenbellError && error.code === 'conflict') return readKeyFile(keyPath)
    throw error
  }
}

function lazyWire(clock: Clock): { send: Send; close(): void } {
  let opening: Promise<Send & { close(): void }> | undefined
  return {
    async send(request, limits) {
      opening ??= import('../host/wire.ts').then(({ createSend }) => createSend({ clock }))
      return (await opening)(request, limits)
    },
    close: () => void opening?.then((send) => send.close()),
  }
}

/** Most commands log nothing, so the logger is loaded at its first line. */
function lazyLog(level: Settings['logLevel'], secrets: () => Iterable<Secret>): Log {
  let opening: Promise<Log> | undefined
  const at = (line: keyof Log, fields: Record<string, unknown>, message: string) => {
    if (levels.indexOf(line) < levels.indexOf(level)) return
    opening ??= import('../host/log.ts').then(({ createLog }) =>
      createLog({ level, knownSecrets: () => [...secrets()].map((secret) => secret.expose()) }),
    )
    void opening.then((log) => log[line](fields, message))
  }
  return {
    debug: (fields, message) => at('debug', fields, message),
    info: (fields, message) => at('info', fields, message),
    warn: (fields, message) => at('warn', fields, message),
    error: (fields, message) => at('error', fields, message),
  }
}

const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const

async function isCallbackPath(store: Store, path: string): Promise<boolean> {
  for (const tenantId of await store.listTenants()) {
    for (const { redirectUri } of await store.forTenant(tenantId).listApps()) {
      if (redirectUri !== undefined && URL.parse(redirectUri)?.pathname === path) return true
    }
  }
  return false
}

/** Answered on its page and otherwise ignored: the person's own login is still to come. */
function isForeign(error: unknown): boolean {
  return (
    error instanceof OpenbellError && (error.code === 'login-foreign' || error.code === 'login-state-unknown')
  )
}
