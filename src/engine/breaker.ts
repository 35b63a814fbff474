/**
 * Brokers lock out addresses and users that fail too often. We stop before they do. Persisted, because a restart
 * must not forget, and kept per egress address, because that is what gets blocked.
 */

import type { Broker } from '../core/broker.ts'
import type { Problem } from '../core/errors.ts'
import type { Breaker } from '../core/model.ts'
import type { Instant } from '../core/time.ts'
import { dayIn, dayMs, iso, plus } from '../core/time.ts'
import type { EngineDeps } from './deps.ts'

type Kind = 'refused' | 'timeout'

export class Breakers {
  readonly #deps: EngineDeps

  constructor(deps: EngineDeps) {
    this.#deps = deps
  }

  /** Why nothing may be sent now, or undefined. Counts nothing. */
  async forbids(
    broker: Broker,
    brokerUserId: string | undefined,
    now: Instant,
  ): Promise<Problem | undefined> {
    for (const kind of ['refused', 'timeout'] as const) {
      const breaker = await this.#deps.store.loadBreaker(this.#egressKey(broker, kind))
      if (breaker?.openUntil && breaker.openUntil > now) {
        return {
          remedy: 'wait',
          code: 'broker-locked-out',
          message: `${breaker.reason ?? 'Too many failures'}; nothing is sent to ${broker.name} before ${iso(breaker.openUntil)}.`,
          until: breaker.openUntil,
        }
      }
    }
    if (brokerUserId === undefined) return undefined
    const { spendsPerDay } = broker.rules.limits
    const spent = await this.#deps.store.loadBreaker(userKey(broker, brokerUserId, now))
    if (!spent || spent.failures < spendsPerDay) return undefined
    const until = plus(spent.windowStart, dayMs)
    return {
      remedy: 'wait',
      code: 'broker-rate-limited',
      message: `${broker.name} user ${brokerUserId} has used its ${spendsPerDay} logins and renewals of today; the next is at ${iso(until)}.`,
      until,
    }
  }

  /** One more login or renewal of that user today. */
  async countSpend(broker: Broker, brokerUserId: string | undefined, now: Instant): Promise<void> {
    if (brokerUserId === undefined) return
    await this.#change(userKey(broker, brokerUserId, now), now, (breaker) => ({
      ...breaker,
      failures: breaker.failures + 1,
    }))
  }

  /** Authentication was refused, or nothing came back. Returns the reason when that opened the breaker. */
  async countFailure(broker: Broker, kind: Kind, now: Instant): Promise<string | undefined> {
    const { failedAuth, silentBlock } = broker.rules.limits
    const limit =
      kind === 'refused'
        ? failedAuth
        : silentBlock && {
            max: silentBlock.timeouts,
            perMs: dayMs,
            pauseMs: silentBlock.pauseMs,
            why: silentBlock.why,
          }
    if (!limit) return undefined
    const saved = await this.#change(this.#egressKey(broker, kind), now, (breaker) => {
      const fresh = now - breaker.windowStart > limit.perMs
      const failures = (fresh ? 0 : breaker.failures) + 1
      const counted = { ...breaker, failures, windowStart: fresh ? now : breaker.windowStart }
      return failures < limit.max
        ? counted
        : { ...counted, failures: 0, openUntil: plus(now, limit.pauseMs), reason: limit.why }
    })
    return saved.openUntil && saved.openUntil > now ? saved.reason : undefined
  }

  /** Something came back, so no silent block is in force. */
  async clearTimeouts(broker: Broker, now: Instant): Promise<void> {
    const key = this.#egressKey(broker, 'timeout')
    const breaker = await this.#deps.store.loadBreaker(key)
    if (!breaker || (breaker.failures === 0 && breaker.openUntil === undefined)) return
    await this.#change(key, now, ({ openUntil: _, reason: __, ...rest }) => ({ ...rest, failures: 0 }))
  }

  async #change(key: string, now: Instant, mutate: (breaker: Breaker) => Breaker): Promise<Breaker> {
    for (;;) {
      const found = (await this.#deps.store.loadBreaker(key)) ?? {
        key,
        version: 0,
        failures: 0,
        windowStart: now,
      }
      const saved = await this.#deps.store.saveBreaker(mutate(found), found.version)
      if (saved) return saved
    }
  }

  #egressKey(broker: Broker, kind: Kind): string {
    return `egress:${broker.id}:${this.#deps.egress}:${kind}`
  }
}

function userKey(broker: Broker, brokerUserId: string, now: Instant): string {
  return `user:${broker.id}:${brokerUserId}:${dayIn(now, broker.rules.zone)}`
}
