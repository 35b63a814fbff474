import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../src/core/secret.ts'
import type { Store } from '../src/core/vault.ts'
import type { EngineKeeper } from '../src/engine/keeper.ts'
import { rotatingBroker } from '../src/testing/rotating-broker.ts'
import { engine, ref, temporaryVault, type Vaults } from './rig/engine.ts'
import { type Issuer, issuer, rotatingAccount, timeout, unreachable } from './rig/issuer.ts'
import { settled, type VirtualClock, virtualClock } from './rig/virtual-clock.ts'

const minute = 60_000
const a = ref('a')

let vault: Vaults
let store: Store
let clock: VirtualClock
let broker: Issuer
let keeper: EngineKeeper

beforeEach(async () => {
  vault = await temporaryVault()
  clock = virtualClock('2026-11-20T04:00:00Z')
  store = await vault.open(clock.now)
  broker = issuer(clock)
  keeper = engine({ store, clock, send: broker.send, brokers: [rotatingBroker] })
})

afterEach(async () => {
  const stopped = keeper.stop()
  await clock.advance(20 * minute)
  await stopped
  await store.close()
  await vault.remove()
})

async function loggedIn(): Promise<void> {
  await keeper.addAccount(rotatingAccount('a'))
  await keeper.finishLogin({ ref: a, code: new Secret(broker.code()), by: 'signed-in' })
}

/** Virtual time passes until the work is done. */
async function passing<T>(work: Promise<T>): Promise<T> {
  let done = false
  const end = work.finally(() => {
    done = true
  })
  end.catch(() => undefined)
  while (!done) {
    await settled()
    if (!done) await clock.advance(50)
  }
  return end
}

describe('a login', () => {
  it('is live only after the broker accepted', async () => {
    await keeper.addAccount(rotatingAccount('a'))
    expect((await keeper.statusOf(a)).token).toBe('none')
    const { status, exchanged } = await keeper.finishLogin({
      ref: a,
      code: new Secret(broker.code()),
      by: 'signed-in',
    })
    expect(exchanged).toBe(true)
    expect(status).toMatchObject({
      token: 'live',
      generation: 1,
      brokerUserId: 'R1',
      work: { state: 'idle' },
    })
    expect(broker.requests).toEqual({ token: 1, me: 1 })
  })

  it('is saved and not yet confirmed while the broker is down, and confirmed later without asking again', async () => {
    await keeper.addAccount(rotatingAccount('a'))
    broker.next = [() => undefined, () => ({ outcome: timeout, spend: false })]
    const { status } = await keeper.finishLogin({ ref: a, code: new Secret(broker.code()), by: 'signed-in' })
    expect(status).toMatchObject({ token: 'unproven', generation: 1 })
    expect(keeper.session(a)?.generation).toBe(1)
    await keeper.start()
    await clock.advance(minute)
    expect((await keeper.statusOf(a)).token).toBe('live')
    expect(broker.requests.token).toBe(1)
  })

  it('of another broker user is refused by name and changes nothing', async () => {
    await loggedIn()
    await expect(
      keeper.finishLogin({ ref: a, code: new Secret(broker.code('R2')), by: 'signed-in', replace: true }),
    ).rejects.toMatchObject({ code: 'login-other-user', message: expect.stringContaining('R2') })
    expect(await keeper.statusOf(a)).toMatchObject({ token: 'live', generation: 1, brokerUserId: 'R1' })
    expect(keeper.session(a)?.accessToken.expose()).toBe('canary-access-2')
  })

  it('is not exchanged while a verified session is live, unless it replaces it', async () => {
    await loggedIn()
    const again = await keeper.finishLogin({ ref: a, code: new Secret(broker.code()), by: 'signed-in' })
    expect(again).toMatchObject({ exchanged: false, status: { generation: 1 } })
    expect(broker.requests.token).toBe(1)
    const replaced = await keeper.finishLogin({
      ref: a,
      code: new Secret(broker.code()),
      by: 'signed-in',
      replace: true,
    })
    expect(replaced).toMatchObject({ exchanged: true, status: { generation: 2 } })
  })

  it('sends the same code once, however often it is pasted', async () => {
    await keeper.addAccount(rotatingAccount('a'))
    const code = broker.code()
    await keeper.finishLogin({ ref: a, code: new Secret(code), by: 'signed-in' })
    await keeper.finishLogin({ ref: a, code: new Secret(code), by: 'signed-in', replace: true })
    expect(broker.requests.token).toBe(1)
    expect(broker.reuses).toBe(0)
  })

  it('whose answer is lost asks for a new login and never sends the code again', async () => {
    await keeper.addAccount(rotatingAccount('a'))
    const code = broker.code()
    broker.next = [() => ({ outcome: timeout, spend: true })]
    await expect(
      keeper.finishLogin({ ref: a, code: new Secret(code), by: 'signed-in' }),
    ).rejects.toMatchObject({
      code: 'spend-unknown',
    })
    await expect(
      keeper.finishLogin({ ref: a, code: new Secret(code), by: 'signed-in' }),
    ).rejects.toMatchObject({
      code: 'spend-unknown',
    })
    expect(broker.requests.token).toBe(1)
  })

  it('that never left this machine may be tried again with the same code', async () => {
    await keeper.addAccount(rotatingAccount('a'))
    const code = broker.code()
    broker.next = [() => ({ outcome: unreachable, spend: false })]
    await expect(
      keeper.finishLogin({ ref: a, code: new Secret(code), by: 'signed-in' }),
    ).rejects.toMatchObject({
      code: 'broker-unreachable',
    })
    await keeper.finishLogin({ ref: a, code: new Secret(code), by: 'signed-in' })
    expect((await keeper.statusOf(a)).token).toBe('live')
    expect(broker.reuses).toBe(0)
  })
})

describe('a renewal', () => {
  it('comes before the end, by itself, and keeps the session live for days', async () => {
    await loggedIn()
    await keeper.start()
    for (let hour = 0; hour < 48; hour++) {
      await clock.advance(60 * minute)
      expect(keeper.session(a), `hour ${hour}`).toBeDefined()
    }
    expect(broker.reuses).toBe(0)
    const { generation } = await keeper.statusOf(a)
    expect(generation).toBeGreaterThanOrEqual(48)
    expect(broker.requests.token).toBe(generation)
  })

  it('is one request for a hundred callers', async () => {
    await loggedIn()
    await clock.advance(61 * minute)
    expect(keeper.session(a)).toBeUndefined()
    const before = broker.requests.token
    const got = await passing(Promise.all(Array.from({ length: 100 }, () => keeper.token(a))))
    expect(new Set(got.map(({ generation }) => generation))).toEqual(new Set([2]))
    expect(broker.requests.token - before).toBe(1)
  })

  it('that is refused stops all attempts until a person does something', async () => {
    await loggedIn()
    broker.revokeAll()
    await keeper.start()
    const before = broker.requests.token
    await clock.advance(18 * 60 * minute)
    for (let caller = 0; caller < 257; caller++) {
      await expect(keeper.token(a)).rejects.toMatchObject({ remedy: 'login' })
    }
    expect(broker.requests.token - before).toBe(1)
    expect((await keeper.statusOf(a)).work.state).toBe('waiting-for-person')
    await keeper.finishLogin({ ref: a, code: new Secret(broker.code()), by: 'signed-in' })
    expect((await keeper.statusOf(a)).token).toBe('live')
  })

  it('serves the old token while a renewal fails, as long as it lives', async () => {
    await loggedIn()
    await keeper.start()
    broker.next = Array.from({ length: 1 }, () => () => ({ outcome: unreachable, spend: false }))
    await clock.advance(58 * minute + 59_000)
    expect(keeper.session(a)?.generation).toBe(1)
    await clock.advance(minute)
    expect(keeper.session(a)?.generation).toBe(2)
  })
})

describe('a complaint', () => {
  it('about a living token is answered by one probe for everybody', async () => {
    await loggedIn()
    await clock.advance(10 * minute)
    await Promise.all(Array.from({ length: 50 }, () => keeper.reportRejected(a, 1)))
    expect(broker.requests.me).toBe(2)
    expect((await keeper.statusOf(a)).token).toBe('live')
  })

  it('about a dead one leads to an unattended renewal', async () => {
    await loggedIn()
    await keeper.start()
    await clock.advance(10 * minute)
    broker.killAccess()
    await keeper.reportRejected(a, 1)
    await clock.advance(1000)
    expect(await keeper.statusOf(a)).toMatchObject({ token: 'live', generation: 2 })
  })
})
