/** Our adapters against the simulators, which other hands wrote from the same manuals: over real sockets, in the simulators' time. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { brokers } from '../../src/brokers/index.ts'
import type { NewAccount } from '../../src/core/keeper.ts'
import { Secret } from '../../src/core/secret.ts'
import { type Clock, dayMs, instant } from '../../src/core/time.ts'
import type { Store } from '../../src/core/vault.ts'
import type { EngineKeeper } from '../../src/engine/keeper.ts'
import { systemClock } from '../../src/host/clock.ts'
import { createSend } from '../../src/host/wire.ts'
import { publishers } from '../../src/publishers/index.ts'
import { type Simulators, type SimulatorsOptions, startSimulators } from '../../src/simulators/index.ts'
import { engine, ref, temporaryVault, type Vaults } from '../rig/engine.ts'

// A Friday, 08:30 in India: every login of this morning lasts until tomorrow.
const morning = Date.parse('2026-11-20T08:30:00+05:30')

let vault: Vaults
let store: Store
let simulators: Simulators
let send: ReturnType<typeof createSend>
let keeper: EngineKeeper

async function start(options: SimulatorsOptions = {}): Promise<void> {
  simulators = await startSimulators({ ...options, clock: { source: () => 0, at: morning } })
  const clock: Clock = { now: () => instant(simulators.clock.now()), sleep: systemClock.sleep }
  send = createSend({ clock })
  vault = await temporaryVault()
  store = await vault.open(clock.now)
  keeper = engine({ store, clock, send, brokers, publishers })
}

afterEach(async () => {
  await keeper.stop()
  send.close()
  await store.close()
  await vault.remove()
  await simulators.close()
})

const account = (
  id: string,
  rest: Omit<NewAccount, 'ref' | 'brokerId' | 'environment' | 'credentials'>,
  secrets: Record<string, string>,
): NewAccount => ({
  ref: ref(id),
  brokerId: id,
  environment: 'simulator',
  credentials: Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, new Secret(value)])),
  ...rest,
})

const origin = (url: string) => new URL(url).origin

function accounts() {
  const { fyers, upstox, kite, tastytrade } = simulators
  return {
    fyers: account(
      'fyers',
      { redirectUri: fyers.redirectUri, origins: { api: origin(fyers.api), login: origin(fyers.login) } },
      { appId: fyers.appId, secretKey: fyers.secretKey, pin: fyers.pin },
    ),
    upstox: account(
      'upstox',
      { redirectUri: upstox.redirectUri, origins: { api: upstox.basePath, login: origin(upstox.login) } },
      { apiKey: upstox.clientId, apiSecret: upstox.clientSecret },
    ),
    kite: account(
      'kite',
      { redirectUri: kite.redirectUrl, origins: { api: kite.root, login: origin(kite.login) } },
      { apiKey: kite.apiKey, apiSecret: kite.apiSecret },
    ),
    tastytrade: account(
      'tastytrade',
      { origins: { api: tastytrade.baseUrl } },
      { clientId: tastytrade.clientId, clientSecret: tastytrade.clientSecret },
    ),
  }
}

/** Presses the first user's button on the broker's page and brings back what stands in the redirect. */
async function logIn(id: 'fyers' | 'upstox' | 'kite'): Promise<void> {
  const begun = await keeper.beginLogin(ref(id))
  if (begun.kind !== 'redirect') throw new Error('no redirect')
  const link = new URL(begun.url)
  const body = new URLSearchParams(link.searchParams)
  body.set('user', simulators[id].userIds[0] ?? '')
  const pressed = await fetch(origin(link.href) + link.pathname, { method: 'POST', body, redirect: 'manual' })
  await keeper.finishLogin({
    query: new URL(pressed.headers.get('location') ?? '').searchParams,
    by: 'browser',
  })
}

describe('each broker', () => {
  beforeEach(() => start())

  it.each(['fyers', 'upstox', 'kite'] as const)(
    '%s: a login is live, ends at the broker’s hour, and its death is noticed',
    async (id) => {
      await keeper.addAccount(accounts()[id])
      await logIn(id)
      const status = await keeper.statusOf(ref(id))
      expect(status).toMatchObject({ token: 'live', brokerUserId: simulators[id].userIds[0] })
      const end = id === 'upstox' ? '2026-11-21T03:30:00+05:30' : '2026-11-21T06:00:00+05:30'
      expect(status.expiry).toEqual({ at: Date.parse(end), source: id === 'kite' ? 'broker-rule' : 'jwt' })

      simulators[id].endSession()
      expect((await keeper.check(ref(id))).token).toBe('dead')
      await logIn(id)
      expect((await keeper.statusOf(ref(id))).token).toBe('live')
    },
  )

  it('tastytrade: a pasted grant is live, and renews without a person', async () => {
    await keeper.addAccount(accounts().tastytrade)
    const code = new Secret(simulators.tastytrade.refreshToken)
    await keeper.finishLogin({ ref: ref('tastytrade'), code, by: 'signed-in' })
    expect((await keeper.statusOf(ref('tastytrade'))).token).toBe('live')
    simulators.clock.advance(16 * 60_000)
    expect((await keeper.token(ref('tastytrade'))).generation).toBe(2)
  })

  it('fyers: the retired refresh is tried once, then a person is asked, in words', async () => {
    await keeper.addAccount(accounts().fyers)
    await logIn('fyers')
    simulators.clock.advance(dayMs)
    for (let caller = 0; caller < 20; caller++) {
      await expect(keeper.token(ref('fyers'))).rejects.toMatchObject({ remedy: 'login' })
    }
    const refreshes = simulators.fyers.log().filter(({ path }) => path.includes('validate-refresh-token'))
    expect(refreshes.length).toBe(1)
    expect((await store.forTenant('house').listApps())[0]?.refresh.state).toBe('retired')
  })

  it('upstox: the read-only token of a login never stands where the trading one belongs', async () => {
    const path = join(vault.folder, '.env')
    await keeper.addDestination({ id: 'bot', tenantId: 'house', kind: 'dotenv', settings: { path } })
    await keeper.addAccount({ ...accounts().upstox, destinations: ['bot'] })
    await logIn('upstox')
    const trading = keeper.session(ref('upstox'))?.accessToken.expose()
    expect(keeper.session(ref('upstox'), 'read')).toBeDefined()
    await keeper.start()
    for (let look = 0; look < 3; look++) {
      await keeper.check(ref('upstox'))
      expect(parseEnv(await readFile(path, 'utf8')).UPSTOX_ACCESS_TOKEN).toBe(trading)
      simulators.clock.advance(6 * 60_000)
    }
    expect((await store.forTenant('house').listDeliveries()).map(({ slot }) => slot)).toEqual(['trading'])
  })

  it('upstox: a data-only account lives for months on one pasted token', async () => {
    await keeper.addAccount({ ...accounts().upstox, slot: 'read' })
    const status = await keeper.importToken(ref('upstox'), new Secret(simulators.upstox.mintAnalyticsToken()))
    expect(status).toMatchObject({ token: 'live', slot: 'read' })
    for (let month = 0; month < 11; month++) {
      simulators.clock.advance(30 * dayMs)
      expect((await keeper.check(ref('upstox'))).token).toBe('live')
    }
    expect(await store.forTenant('house').loadOpenLoginRequest('upstox')).toBeUndefined()
    simulators.clock.advance(60 * dayMs)
    expect(keeper.session(ref('upstox'))).toBeUndefined()
  })
})

describe('in the era of the guides', () => {
  it('fyers renews with the PIN for days', async () => {
    await start({ fyers: { era: 'guides' } })
    await keeper.addAccount(accounts().fyers)
    await logIn('fyers')
    for (let day = 0; day < 5; day++) {
      simulators.clock.advance(dayMs)
      expect((await keeper.token(ref('fyers'))).generation).toBe(day + 2)
    }
  })

  it('a wrong PIN is a setting to mend, tried once and never called expiry', async () => {
    await start({ fyers: { era: 'guides' } })
    const input = accounts().fyers
    const wrong = simulators.fyers.pin === '0000' ? '1111' : '0000'
    await keeper.addAccount({ ...input, credentials: { ...input.credentials, pin: new Secret(wrong) } })
    await logIn('fyers')
    simulators.clock.advance(dayMs)
    for (let caller = 0; caller < 5; caller++) {
      await expect(keeper.token(ref('fyers'))).rejects.toMatchObject({ remedy: 'fix-settings' })
    }
    expect(simulators.fyers.log().filter(({ path }) => path.includes('validate-refresh-token')).length).toBe(
      1,
    )
    // Whoever logs in need not wait for the setting to be mended.
    expect(await store.forTenant('house').loadOpenLoginRequest('fyers')).toBeDefined()
    await logIn('fyers')
    simulators.clock.advance(dayMs)
    await expect(keeper.token(ref('fyers'))).rejects.toMatchObject({ remedy: 'login' })
    expect(simulators.fyers.log().filter(({ path }) => path.includes('validate-refresh-token')).length).toBe(
      1,
    )
    await logIn('fyers')
    await keeper.editAccount(ref('fyers'), { credentials: { pin: new Secret(simulators.fyers.pin) } })
    simulators.clock.advance(dayMs)
    expect((await keeper.token(ref('fyers'))).token).toBe('live')
  })

  it('fyers: a renewal whose token is dead at the broker is not believed', async () => {
    await start({ fyers: { era: 'now', refresh: 'dead-token' } })
    await keeper.addAccount(accounts().fyers)
    await logIn('fyers')
    simulators.clock.advance(dayMs)
    await expect(keeper.token(ref('fyers'))).rejects.toMatchObject({ remedy: 'login' })
    expect((await keeper.statusOf(ref('fyers'))).token).toBe('dead')
    expect((await store.forTenant('house').listApps())[0]?.refresh.state).toBe('retired')
  })
})
