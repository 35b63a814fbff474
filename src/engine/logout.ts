/** Ending a session on purpose: at the broker where it can be ended there, and in every destination. */

import { isProblem } from '../core/broker.ts'
import { OpenbellError, type Problem } from '../core/errors.ts'
import type { LogoutResult } from '../core/keeper.ts'
import type { AccountRef, Slot } from '../core/model.ts'
import type { Deliverer } from './deliver.ts'
import type { EngineDeps } from './deps.ts'
import { withDue } from './due.ts'
import type { Journal } from './journal.ts'
import type { HeldLease } from './lease.ts'
import type { BrokerTime } from './offset.ts'
import { type Known, originsOf, type Sessions } from './sessions.ts'

export class Logouts {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #sessions: Sessions
  readonly #deliverer: Deliverer
  readonly #journal: Journal

  constructor(
    deps: EngineDeps,
    time: BrokerTime,
    sessions: Sessions,
    deliverer: Deliverer,
    journal: Journal,
  ) {
    this.#deps = deps
    this.#time = time
    this.#sessions = sessions
    this.#deliverer = deliverer
    this.#journal = journal
  }

  /** Under the account's lease. What the broker says changes nothing here: the session is given up either way. */
  async logOut(ref: AccountRef, slot: Slot, lease: HeldLease): Promise<LogoutResult['atBroker']> {
    const known = await this.#sessions.load(ref, slot)
    const atBroker = await this.#revoke(known)
    const now = this.#time.now(known.broker.id)
    const problem: Problem = {
      remedy: 'login',
      code: 'login-needed',
      message: `${ref.accountId} was logged out on purpose: run \`openbell login ${ref.accountId}\` to go on.`,
    }
    await this.#sessions.update(
      ref,
      slot,
      (current) => {
        const { candidate, probe: _, rejected = [], ...session } = current.session
        const given = [session.generation, candidate].filter((one) => one !== undefined && one > 0)
        const ended = {
          ...session,
          token: session.generation === 0 ? ('none' as const) : ('dead' as const),
          rejected: [...rejected, ...given] as number[],
          work: {
            state: 'waiting-for-person' as const,
            since: now,
            problem,
            appVersion: current.app.version,
          },
        }
        return withDue(this.#deps, this.#time, current, ended, current.grant)
      },
      lease.current().fence,
    )
    for (const id of known.account.destinations) {
      await this.#deliverer.withdraw(ref, slot, id).catch((error: unknown) => {
        const why = error instanceof OpenbellError ? error.message : 'it cannot be written'
        return this.#journal.write(
          ref,
          'delivery-failed',
          `The token could not be taken out of ${id}: ${why}`,
        )
      })
    }
    const where = {
      ended: `, and ${known.broker.name} has ended it`,
      refused: `; ${known.broker.name} did not confirm it, so the token may live on there until its end`,
      'not-possible': `; ${known.broker.name} has no call that ends a token, so it lives on there until its end`,
      'nothing-there': '',
    }[atBroker]
    await this.#journal.write(ref, 'logged-out', `Logged out on purpose${where}.`, known.session.generation)
    return atBroker
  }

  async #revoke({ app, broker, grant, session }: Known): Promise<LogoutResult['atBroker']> {
    if (!grant || session.token === 'dead' || session.token === 'none') return 'nothing-there'
    if (!broker.revoke) return 'not-possible'
    const { send, timings } = this.#deps
    const input = {
      app,
      origins: originsOf(app, broker),
      now: this.#time.now(broker.id),
      accessToken: grant.accessToken,
    }
    const verdict = broker.judge(
      await send(broker.revoke(input), { deadlineMs: timings.probeDeadlineMs }),
      'revoke',
    )
    // A token that the broker does not know any more has ended as well.
    return verdict === 'ok' || (isProblem(verdict) && verdict.remedy === 'login') ? 'ended' : 'refused'
  }
}
