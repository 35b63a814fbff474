/** What a broker may be able to do besides: refresh on trial, end a token, date a bare one, tokens in several slots. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Broker } from '../src/core/broker.ts'
import type { Publisher } from '../src/core/publisher.ts'
import { Secret } from '../src/core/secret.ts'
import { plus } from '../src/core/time.ts'
import type { Store } from '../src/core/vault.ts'
import type { EngineKeeper } from '../src/engine/keeper.ts'
import { rotatingBroker } from '../src/testing/rotating-broker.ts'
import { engine, ref, temporaryVault, type Vaults } from './rig/engine.ts'
import { type Issuer, issuer, rotatingAccount } from './rig/issuer.ts'
import { type VirtualClock, virtualClock } from './rig/virtual-clock.ts'

const minute = 60_000
const a = ref('a')

let vault: Vaults
let store: Store
let clock: VirtualClock
let issued: Issuer
let keeper: EngineKeeper

beforeEach(async () => {
  vault = await temporaryVault()
  clock = virtualClock('2026-11-20T04:00:00Z')
  store = await vault.open(clock.now)
  issued = issuer(clock)
})

afterEach(async () => {
  const stopped = keeper.stop()
  await clock.advance(20 * minute)
  await stopped
  await store.close()
  await vault.remove()
})

function keep(changes: Partial<Broker>): void {
  keeper = engine({ store, clock, send: issued.send, brokers: [{ ...rotatingBroker, ...changes }] })
}

async function logIn(): Promise<void> {
  await keeper.addAccount(rotatingAccount('a'))
  await keeper.finishLogin({ ref: a, code: new Secret(issued.code()), by: 'signed-in' })
}

const kinds = async () =>
  (await keeper.events({ tenantId: 'house', accountId: 'a' })).map(({ kind }) => kind as string)

describe('a refresh on trial', () => {
  const onTrial = { refresh: { ...rotatingBroker.refresh, onTrial: true } }

  it('is given up for the app at the first refusal, and its credentials bring it back', async () => {
    keep(onTrial)
    await logIn()
    issued.revokeAll()
    await keeper.start()
    const before = issued.requests.token
    await clock.advance(26 * 60 * minute)
    expect(issued.requests.token - before).toBe(1)
    expect(await kinds()).toContain('refresh-retired')
    const [app] = await store.forTenant('house').listApps()
    expect(app?.refresh.state).toBe('retired')

    await keeper.finishLogin({ ref: a, code: new Secret(issued.code()), by: 'signed-in' })
    expect((await keeper.statusOf(a)).token).toBe('live')
    const again = issued.requests.token
    await clock.advance(61 * minute)
    expect(issued.requests.token).toBe(again)
    expect((await keeper.statusOf(a)).work.state).toBe('waiting-for-person')

    await keeper.editAccount(a, { credentials: { clientSecret: new Secret('canary-client-secret') } })
    expect((await store.forTenant('house').listApps())[0]?.refresh.state).toBe('auto')
  })

  it('is given up when it hands over a token that the broker does not accept', async () => {
    keep(onTrial)
    await logIn()
    await keeper.start()
    const real = issued.send
    issued.next = []
    await clock.advance(57 * minute)
    // The next answer looks like a renewal; whatever it holds is dead on arrival.
    keeper.onChange(() => undefined)
    issued.next = [
      () => undefined,
      () => {
        issued.killAccess()
        return undefined
      },
    ]
    expect(real).toBe(issued.send)
    await clock.advance(5 * minute)
    expect(await kinds()).toContain('refresh-retired')
    expect((await keeper.statusOf(a)).work.state).toBe('waiting-for-person')
  })

  it('is not tried without the credentials that it needs', async () => {
    keep({ refresh: { ...rotatingBroker.refresh, onTrial: true, needs: ['pin'] } })
    await logIn()
    await keeper.start()
    const before = issued.requests.token
    await clock.advance(61 * minute)
    expect(issued.requests.token).toBe(before)
    expect((await keeper.statusOf(a)).work.state).toBe('waiting-for-person')
  })
})

describe('logging out', () => {
  it('stops serving and renewing, asks nobody, and ends with the next login', async () => {
    keep({})
    await logIn()
    await keeper.start()
    const { atBroker, status } = await keeper.logout(a)
    expect(atBroker).toBe('not-possible')
    expect(status).toMatchObject({ token: 'dead', work: { state: 'waiting-for-person' } })
    expect(keeper.session(a)).toBeUndefined()
    const before = issued.requests.token
    await clock.advance(120 * minute)
    await expect(keeper.token(a)).rejects.toMatchObject({ code: 'login-needed' })
    expect(issued.requests.token).toBe(before)
    expect(await store.forTenant('house').loadOpenLoginRequest('a')).toBeUndefined()
    await keeper.finishLogin({ ref: a, code: new Secret(issued.code()), by: 'signed-in' })
    expect((await keeper.statusOf(a)).token).toBe('live')
  })
})

describe('a bare token', () => {
  const adopt: Broker['adopt'] = ({ accessToken, now, slot = 'trading' }) => ({
    slot,
    accessToken,
    scopes: [],
    expiry: { at: plus(now, 60 * minute), source: 'broker-rule' },
  })

  it('is taken over once the broker accepts it', async () => {
    keep({ adopt })
    await logIn()
    const token = keeper.session(a)?.accessToken as Secret
    await keeper.logout(a)
    const status = await keeper.importToken(a, token)
    expect(status).toMatchObject({ token: 'live', generation: 2 })
  })

  it('that the broker refuses changes nothing but says so', async () => {
    keep({ adopt })
    await keeper.addAccount(rotatingAccount('a'))
    await expect(keeper.importToken(a, new Secret('canary-stranger'))).rejects.toMatchObject({
      remedy: 'login',
    })
    expect(keeper.session(a)).toBeUndefined()
  })

  it('cannot be taken over where it cannot be dated', async () => {
    keep({})
    await keeper.addAccount(rotatingAccount('a'))
    await expect(keeper.importToken(a, new Secret('canary'))).rejects.toMatchObject({ code: 'not-supported' })
  })

  it('in another slot lives beside the account’s own, and nobody is asked for it', async () => {
    const [probe] = rotatingBroker.probes
    keep({ adopt, probes: [{ ...probe, slots: ['trading', 'read'] }] })
    await logIn()
    await keeper.start()
    const token = keeper.session(a)?.accessToken as Secret
    await keeper.importToken(a, token, 'read')
    expect(keeper.session(a, 'read')?.slot).toBe('read')
    expect((await keeper.status('house')).map(({ slot }) => slot)).toEqual(['trading', 'read'])
    await clock.advance(90 * minute)
    expect(keeper.session(a, 'read')).toBeUndefined()
    expect(keeper.session(a)).toBeDefined()
    expect(await store.forTenant('house').loadOpenLoginRequest('a')).toBeUndefined()
  })

  it('is never called live where no call can prove it', async () => {
    keep({ adopt })
    await logIn()
    const status = await keeper.importToken(a, new Secret('canary-read'), 'read')
    expect(status.token).toBe('unproven')
  })
})

describe('a destination without read-back', () => {
  it('is handed each token once and is never called delivered', async () => {
    const handed: string[] = []
    const blind: Publisher = {
      kind: 'blind',
      settings: {},
      needs: ['accessToken'],
      check: async () => undefined,
      resource: () => 'blind',
      places: () => [],
      acknowledges: () => true,
      write: async (_, { accessToken }) => {
        handed.push(accessToken.expose())
      },
      readBack: async () => undefined,
    }
    keeper = engine({
      store,
      clock,
      send: issued.send,
      brokers: [rotatingBroker],
      publishers: [blind],
    })
    await keeper.addDestination({ id: 'hook', tenantId: 'house', kind: 'blind', settings: {} })
    await keeper.addAccount({ ...rotatingAccount('a'), destinations: ['hook'] })
    await keeper.finishLogin({ ref: a, code: new Secret(issued.code()), by: 'signed-in' })
    await keeper.start()
    await clock.advance(30 * minute)
    expect(handed).toHaveLength(1)
    const status = await keeper.statusOf(a)
    expect(status.delivered).toEqual({ n: 0, m: 1 })
    expect(status.deliveries[0]).toMatchObject({ taken: 1, delivered: 0 })
    await clock.advance(31 * minute)
    expect(handed).toHaveLength(2)
  })
})
