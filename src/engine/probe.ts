/** Asking the broker whether a token is alive. Three answers, because "no answer" is not "no". */

import type { Broker, Probe } from '../core/broker.ts'
import { isProblem } from '../core/broker.ts'
import type { Problem } from '../core/errors.ts'
import type { App, Slot } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import type { Instant } from '../core/time.ts'
import type { Breakers } from './breaker.ts'
import type { EngineDeps } from './deps.ts'
import type { BrokerTime } from './offset.ts'
import { originsOf } from './sessions.ts'

export type Probed =
  | { kind: 'accepted'; by: string; userId: string | undefined; at: Instant }
  | { kind: 'rejected'; problem: Problem }
  /** The broker neither took nor refused it: an outage, a night window, a page of HTML. */
  | { kind: 'unproven'; problem: Problem }

export class Prober {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #breakers: Breakers

  constructor(deps: EngineDeps, time: BrokerTime, breakers: Breakers) {
    this.#deps = deps
    this.#time = time
    this.#breakers = breakers
  }

  /** Every probe of the broker must accept; the first that does not decides. */
  async probe(app: App, broker: Broker, slot: Slot, accessToken: Secret): Promise<Probed> {
    const { send, timings } = this.#deps
    const forbidden = await this.#breakers.forbids(broker, undefined, this.#time.now(broker.id))
    if (forbidden) return { kind: 'unproven', problem: forbidden }
    const probes = probesOf(broker, slot)
    if (probes.length === 0) return { kind: 'unproven', problem: unprovable(broker, slot) }
    let userId: string | undefined
    for (const probe of probes) {
      const sentAt = this.#time.local()
      const request = probe.request({
        app,
        origins: originsOf(app, broker),
        now: this.#time.now(broker.id),
        accessToken,
      })
      const outcome = await send(request, { deadlineMs: timings.probeDeadlineMs })
      this.#time.learn(broker.id, outcome, sentAt)
      const judged = broker.judge(outcome, 'probe')
      const proven = outcome.kind === 'answer' && outcome.status === 200 && probe.proves?.(outcome)
      const verdict = judged === 'unclear' && proven ? 'ok' : judged
      if (verdict === 'ok' && outcome.kind === 'answer') {
        userId ??= probe.userId?.(outcome)
        continue
      }
      if (isProblem(verdict)) {
        const problem = this.#time.inBrokerTime(broker.id, verdict)
        return { kind: verdict.remedy === 'login' ? 'rejected' : 'unproven', problem }
      }
      return {
        kind: 'unproven',
        problem: {
          remedy: 'retry',
          code: 'answer-not-understood',
          message: `${broker.name} answered ${probe.id} in a way that proves neither yes nor no.`,
        },
      }
    }
    return {
      kind: 'accepted',
      by: probes.map(({ id }) => id).join(' and '),
      userId,
      at: this.#time.now(broker.id),
    }
  }
}

/** The calls that prove a token of that slot. */
export function probesOf({ probes }: Broker, slot: Slot): readonly Probe[] {
  return probes.filter(({ slots = ['trading'] }) => slots.includes(slot))
}

function unprovable({ name }: Broker, slot: Slot): Problem {
  return {
    remedy: 'wait',
    code: 'not-supported',
    message: `There is no call that proves a ${slot} token of ${name}.`,
  }
}
