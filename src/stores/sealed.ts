/** Wraps a store so that it holds no secret in the clear: credentials and tokens pass through here in both directions. */

import type { App, Grant, NewGrant } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import type { Store, TenantVault } from '../core/vault.ts'
import { systemClock } from '../host/clock.ts'
import { type Keyring, reseal, seal, unseal, wrongKey } from './envelope.ts'

/** What sealing needs of a store beyond keeping a vault. */
export interface Sealable extends Store {
  loadMeta(name: string): Promise<string | undefined>
  /** In one transaction; may call `change` more than once. What it throws is thrown, and nothing is changed. */
  changeMeta(name: string, change: (value: string | undefined) => string): Promise<void>
  /** Replaces every stored secret in its place; versions stay. Returns how many it changed. */
  rewriteSecrets(rewrite: (stored: Secret) => Secret): Promise<number>
}

export type SealedStore = Store & {
  /**
   * Puts everything under the ring's current key and forgets the others. Other processes may go on, provided that they
   * were started with the same ring. Returns how many values were re-sealed.
   */
  rotate(): Promise<number>
}

/** The ids of all keys that may have sealed something in this vault. */
const keysInUse = 'keys-in-use'

/** Throws `vault-locked` when the ring lacks a key that this vault was sealed with. */
export async function sealed(store: Sealable, ring: Keyring): Promise<SealedStore> {
  if (!usable(ring, await store.loadMeta(keysInUse)).includes(ring.current)) {
    await store.changeMeta(keysInUse, (value) =>
      [...new Set([...usable(ring, value), ring.current])].join(' '),
    )
  }
  return overlay(store, {
    forTenant: (tenantId: string) => sealedTenant(store.forTenant(tenantId), ring),

    async rotate() {
      let total = 0
      // Until a whole pass finds nothing: meanwhile another process may have written behind our back.
      for (let changed = -1; changed !== 0; total += changed) {
        changed = await store.rewriteSecrets((stored) => reseal(ring, stored))
      }
      await store.changeMeta(keysInUse, () => ring.current)
      return total
    },
  })
}

function usable(ring: Keyring, remembered: string | undefined): string[] {
  const ids = remembered === undefined ? [] : remembered.split(' ')
  if (ids.some((id) => !ring.keys.has(id))) throw wrongKey(ring)
  return ids
}

function sealedTenant(vault: TenantVault, ring: Keyring): TenantVault {
  const { tenantId } = vault

  const appPlace = (app: App, version: number, field: string) => ['app', tenantId, app.id, version, field]
  const grantPlace = ({ ref, id }: NewGrant, field: string) => ['grant', tenantId, ref.accountId, id, field]

  function openApp(app: App): App {
    const opened = Object.entries(app.credentials).map(([field, secret]) => [
      field,
      unseal(ring, secret, appPlace(app, app.version, field)),
    ])
    return { ...app, credentials: Object.fromEntries(opened) }
  }

  function closeGrant(grant: NewGrant): NewGrant {
    const { accessToken, refresh } = grant
    return {
      ...grant,
      accessToken: seal(ring, accessToken, grantPlace(grant, 'accessToken')),
      ...(refresh && {
        refresh: { ...refresh, token: seal(ring, refresh.token, grantPlace(grant, 'refresh')) },
      }),
    }
  }

  function openGrant(grant: Grant): Grant {
    const { accessToken, refresh } = grant
    return {
      ...grant,
      accessToken: unseal(ring, accessToken, grantPlace(grant, 'accessToken')),
      ...(refresh && {
        refresh: { ...refresh, token: unseal(ring, refresh.token, grantPlace(grant, 'refresh')) },
      }),
    }
  }

  return overlay(vault, {
    listApps: async () => eachInTurn(await vault.listApps(), openApp),

    async loadApp(id: string) {
      const app = await vault.loadApp(id)
      return app && openApp(app)
    },

    async saveApp(app: App, expectedVersion: number) {
      const closed = Object.entries(app.credentials).map(([field, secret]) => [
        field,
        seal(ring, secret, appPlace(app, expectedVersion + 1, field)),
      ])
      const saved = await vault.saveApp({ ...app, credentials: Object.fromEntries(closed) }, expectedVersion)
      return saved && { ...saved, credentials: app.credentials }
    },

    recordGrants: async (grants: readonly NewGrant[], intentKey?: string) =>
      (await vault.recordGrants(grants.map(closeGrant), intentKey)).map(openGrant),

    async loadGrant(accountId: string, generation: number) {
      const grant = await vault.loadGrant(accountId, generation)
      return grant && openGrant(grant)
    },

    listGrants: async (...query: Parameters<TenantVault['listGrants']>) =>
      eachInTurn(await vault.listGrants(...query), openGrant),
  })
}

/** Unsealing a record takes some 50 µs, so a long list must let other work run in between. */
const recordsPerTick = 200

async function eachInTurn<Item>(items: readonly Item[], open: (item: Item) => Item): Promise<Item[]> {
  const opened: Item[] = []
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % recordsPerTick === 0) await systemClock.sleep(1)
    opened.push(open(item))
  }
  return opened
}

/** `base` with some members replaced, whether its members are its own or its class's. */
function overlay<Base extends object, Members extends object>(base: Base, members: Members): Base & Members {
  return new Proxy(base, {
    get(target, name) {
      if (Object.hasOwn(members, name)) return Reflect.get(members, name)
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  }) as Base & Members
}
