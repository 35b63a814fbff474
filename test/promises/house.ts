/** One broker, one vault, virtual time, and a keeper that can be followed by another: what each promise is shown in. */

import { onTestFinished } from 'vitest'
import type { Broker } from '../../src/core/broker.ts'
import type { EventKind } from '../../src/core/model.ts'
import type { Publisher } from '../../src/core/publisher.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Store } from '../../src/core/vault.ts'
import type { EngineKeeper } from '../../src/engine/keeper.ts'
import { kindOf } from '../histories/dialects.ts'
import { type Arrival, Issuer } from '../histories/issuer.ts'
import { engine, ref, temporaryVault, tenantId, type Vaults } from '../rig/engine.ts'
import { settled, type VirtualClock, virtualClock } from '../rig/virtual-clock.ts'

export const minute = 60_000
export const hour = 60 * minute
export const a = ref('a')

export interface HouseOptions {
  broker: 'rotating' | 'repeatable' | 'login-only'
  /** ISO 8601. */
  from?: string
  /** Instead of the kind's own adapter. */
  adapter?: (own: Broker) => Broker
  publishers?: readonly Publisher[]
}

export class House {
  readonly clock: VirtualClock
  readonly issuer: Issuer
  readonly #options: HouseOptions
  readonly #vaults: Vaults
  store!: Store
  keeper!: EngineKeeper

  private constructor(options: HouseOptions, vaults: Vaults) {
    this.#options = options
    this.#vaults = vaults
    this.clock = virtualClock(options.from ?? '2026-11-20T04:00:00Z')
    this.issuer = new Issuer(kindOf(options.broker).dialect, this.clock, () => undefined)
  }

  static async open(options: HouseOptions): Promise<House> {
    const house = new House(options, await temporaryVault())
    await house.#begin()
    onTestFinished(async () => {
      await house.#end()
      await house.#vaults.remove()
    })
    return house
  }

  /** The process ends and another takes over. */
  async restart(): Promise<void> {
    await this.#end()
    await this.#begin()
    await this.keeper.start()
    await settled()
  }

  async #begin(): Promise<void> {
    const { broker, adapter = (own) => own, publishers = [] } = this.#options
    this.store = await this.#vaults.open(this.clock.now)
    this.keeper = engine({
      store: this.store,
      clock: this.clock,
      send: this.issuer.connect({ number: 1, isAlive: () => true }),
      brokers: [adapter(kindOf(broker).broker)],
      publishers,
    })
  }

  async #end(): Promise<void> {
    const stopped = this.keeper.stop()
    await this.clock.advance(11 * minute)
    await stopped
    await this.store.close()
  }

  /** Adds an account with an app of its own, without logging in. */
  async add(accountId: string, destinations: readonly string[] = []): Promise<void> {
    const kind = kindOf(this.#options.broker)
    for (const id of destinations) {
      const defined = await this.keeper.listDestinations(tenantId)
      if (!defined.some((one) => one.id === id))
        await this.keeper.addDestination({ id, tenantId, kind: id, settings: {} })
    }
    const { account } = kind
    // Kite's checksum contains the key, which the issuer knows; a single account is all it is asked for.
    const own = kind.name === 'login-only' ? {} : { clientId: new Secret(`client-${accountId}`) }
    await this.keeper.addAccount({
      ...account,
      ref: ref(accountId),
      credentials: { ...account.credentials, ...own },
      destinations,
    })
  }

  async logIn(accountId = 'a', userId = 'U1'): Promise<void> {
    const code = new Secret(this.issuer.code(userId))
    await this.keeper.finishLogin({ ref: ref(accountId), code, by: 'signed-in', replace: true })
    await settled()
  }

  /** The account `a`, logged in, and a keeper that works. */
  async begin(destinations: readonly string[] = []): Promise<void> {
    await this.add('a', destinations)
    await this.logIn()
    await this.keeper.start()
    await settled()
  }

  /** Virtual time passes until the work is done. */
  async passing<T>(work: Promise<T>): Promise<T> {
    let done = false
    const end = work.finally(() => {
      done = true
    })
    end.catch(() => undefined)
    while (!done) {
      await settled()
      if (!done) await this.clock.advance(100)
    }
    return end
  }

  requests(to: Arrival['to']): number {
    return this.issuer.arrivals.filter((one) => one.to === to).length
  }

  async events(kind: EventKind, accountId = 'a'): Promise<string[]> {
    const events = await this.keeper.events({ tenantId, accountId, limit: 1000 })
    return events.filter((one) => one.kind === kind).map(({ text }) => text)
  }
}
