/** A keeper in a process that can die: from then on nothing it waits for ever comes, and nothing it does has an effect. */

import { createHash, randomBytes } from 'node:crypto'
import type { Broker } from '../../src/core/broker.ts'
import type { Publisher } from '../../src/core/publisher.ts'
import type { Clock } from '../../src/core/time.ts'
import { hourMs, secondMs } from '../../src/core/time.ts'
import type { Store } from '../../src/core/vault.ts'
import { defaultTimings, type StepName } from '../../src/engine/deps.ts'
import { createKeeper, type EngineKeeper } from '../../src/engine/keeper.ts'
import type { Caller, Issuer } from './issuer.ts'

export interface Trap {
  step: StepName
  moment: 'before' | 'after'
}

export interface Mortal {
  keeper: EngineKeeper
  number: number
  isAlive(): boolean
  die(): void
  /** Dies when it next comes to that point. */
  trap: Trap | undefined
  diedAt: Trap | undefined
}

export interface MortalOptions {
  number: number
  store: Store
  clock: Clock
  issuer: Issuer
  broker: Broker
  publisher: Publisher
  /** Something that must never happen did. */
  wrong(what: string): void
  /** Called whenever the keeper begins to wait for something. */
  stirred(): void
}

/** One a minute, and some for whatever happens; more are a loop that nothing slows down. */
const looksAnHour = 800

export function mortal({
  number,
  store,
  clock,
  issuer,
  broker,
  publisher,
  wrong,
  stirred,
}: MortalOptions): Mortal {
  let alive = true
  const caller: Caller = { number, isAlive: () => alive }
  const never = <T>() => new Promise<T>(() => undefined)
  const whileAlive = async <T>(work: Promise<T>): Promise<T> => {
    stirred()
    try {
      const value = await work
      return alive ? value : never()
    } catch (error) {
      return alive ? Promise.reject(error) : never()
    }
  }

  const looked: number[] = []
  const looking: Store['due'] = (at, limit) => {
    const now = clock.now()
    // While an answer is awaited the keeper looks every second.
    if (issuer.inFlight === 0) looked.push(now)
    while ((looked[0] ?? now) <= now - hourMs) looked.shift()
    if (looked.length <= looksAnHour) return store.due(at, limit)
    const seconds = (now - (looked[0] ?? now)) / 1000
    wrong(`the keeper goes round and round: ${looked.length} looks at what is due within ${seconds} s`)
    return never()
  }
  const watched = new Proxy(store, {
    get: (_, name) => (name === 'due' ? looking : (Reflect.get(store, name) as unknown)),
  })

  const self: Mortal = {
    number,
    trap: undefined,
    diedAt: undefined,
    isAlive: () => alive,
    die() {
      alive = false
    },
    keeper: createKeeper({
      store: gate(watched, () => alive, whileAlive),
      brokers: [broker],
      publishers: [publisher],
      clock: { now: clock.now, sleep: (ms, signal) => whileAlive(clock.sleep(ms, signal)) },
      send: issuer.connect(caller),
      random: () => 0.5,
      randomToken: () => randomBytes(24).toString('base64url'),
      sha256: (text) => createHash('sha256').update(text).digest('hex'),
      holder: `process ${number}`,
      egress: 'here',
      log: {
        debug: () => undefined,
        info: () => undefined,
        warn: () => undefined,
        error: (fields, message) => wrong(`the log has an error: ${message} ${JSON.stringify(fields)}`),
      },
      // Looking seldom for a lease and at destinations keeps virtual days cheap.
      timings: { ...defaultTimings, lookEveryMs: 5 * secondMs, verifyEveryMs: hourMs },
      onStep(step, moment) {
        const { trap } = self
        if (trap?.step !== step || trap.moment !== moment) return
        alive = false
        self.diedAt = trap
        return never()
      },
    }),
  }
  return self
}

/** Lets no call through, nor any answer back, once the process is dead. */
function gate<T extends object>(
  target: T,
  isAlive: () => boolean,
  whileAlive: <V>(work: Promise<V>) => Promise<V>,
): T {
  return new Proxy(target, {
    get(_, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        if (name === 'forTenant') return gate(member.apply(target, args) as object, isAlive, whileAlive)
        if (!isAlive()) return new Promise(() => undefined)
        const result: unknown = member.apply(target, args)
        return result instanceof Promise ? whileAlive(result) : result
      }
    },
  })
}
