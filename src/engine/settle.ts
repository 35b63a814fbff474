/**
 * From "the broker handed us a token" to "the broker accepts it, and programs have it": steps 9, 10 and 12. Also what
 * follows when the broker stops accepting it.
 */

import { OpenbellError, type Problem } from '../core/errors.ts'
import type { AccountRef, Grant, Session, Slot, Work } from '../core/model.ts'
import { dayIn, instant, plus } from '../core/time.ts'
import { backoffMs } from './backoff.ts'
import type { EngineDeps } from './deps.ts'
import { withDue } from './due.ts'
import type { Journal } from './journal.ts'
import type { HeldLease } from './lease.ts'
import type { BrokerTime } from './offset.ts'
import { canRefresh } from './plan.ts'
import { type Probed, type Prober, probesOf } from './probe.ts'
import { type Known, type Sessions, slotOf } from './sessions.ts'

const rejectedKept = 20

/** An outage whose end nobody names takes longer than most trouble of the network: its back-off starts further on. */
const outageAttempt = 3

export class Settler {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #sessions: Sessions
  readonly #prober: Prober
  readonly #journal: Journal
  readonly #deliver: (ref: AccountRef, slot: Slot) => void

  constructor(
    deps: EngineDeps,
    time: BrokerTime,
    sessions: Sessions,
    prober: Prober,
    journal: Journal,
    deliver: (ref: AccountRef, slot: Slot) => void,
  ) {
    this.#deps = deps
    this.#time = time
    this.#sessions = sessions
    this.#prober = prober
    this.#journal = journal
    this.#deliver = deliver
  }

  /** Takes a recorded grant into use. Throws `login-other-user`; anything else is told by the session that comes back. */
  async settle(grant: Grant, lease: HeldLease): Promise<Known> {
    const { ref, slot } = grant
    const known = await this.#sessions.load(ref, slot)
    if (grant.generation === known.session.generation) return this.confirm(ref, slot, lease)
    if (known.session.rejected?.includes(grant.generation)) return known
    // A code that comes again brings a grant that newer ones have followed.
    if (grant.generation < known.session.generation) return known
    try {
      this.#refuseOtherUser(known, grant.brokerUserId)
    } catch (error) {
      await this.#drop(known, grant, lease)
      throw error
    }
    if (grant.expiry.at <= plus(grant.receivedAt, this.#time.offset(known.broker.id))) {
      return this.#endedBefore(known, grant, lease)
    }
    const oldServes = this.#serves(known)
    const pinned = known.account.brokerUserId
    // Where no call names a user, whoever hands the token in vouches for it.
    const canName = probesOf(known.broker, slot).some(({ userId }) => userId !== undefined)
    const identityOpen =
      canName && grant.origin !== 'refresh' && pinned !== undefined && grant.brokerUserId === undefined
    const { rejectedAt } = known.session
    const refusedBefore = rejectedAt !== undefined && known.grant?.accessToken.equals(grant.accessToken)
    if (refusedBefore || (oldServes ? grant.origin === 'refresh' || identityOpen : identityOpen)) {
      return this.#judgeCandidate(known, grant, lease)
    }

    await this.#promote(known, grant, lease)
    return this.confirm(ref, slot, lease)
  }

  /** Recorded but never taken into use: a late answer, or a process that died in between. */
  async adoptRecorded(known: Known, lease: HeldLease): Promise<Known> {
    const { ref, slot } = known.session
    const vault = this.#deps.store.forTenant(ref.tenantId)
    let here = known
    const newest = await vault.listGrants(ref.accountId, { slot, limit: 3 })
    const unused = newest.find(({ generation }) => this.#isUnused(here.session, generation))
    if (unused && !(this.#serves(here) && here.grant && here.grant.sentAt > unused.sentAt)) {
      await this.#journal.write(
        ref,
        'late-answer',
        `An answer recorded earlier is taken into use.`,
        unused.generation,
      )
      here = await this.settle(unused, lease)
    }
    const { candidate } = here.session
    if (candidate !== undefined && !this.#serves(here)) {
      const grant = await vault.loadGrant(ref.accountId, candidate)
      if (grant) here = await this.#judgeCandidate(here, grant, lease)
    }
    return here
  }

  hasUnused(session: Session, newestGeneration: number): boolean {
    return this.#isUnused(session, newestGeneration)
  }

  /** Asks the broker about the candidate if there is one, else about the current grant. */
  async confirm(ref: AccountRef, slot: Slot, lease: HeldLease): Promise<Known> {
    const known = await this.#sessions.load(ref, slot)
    const vault = this.#deps.store.forTenant(ref.tenantId)
    if (known.session.candidate !== undefined) {
      const candidate = await vault.loadGrant(ref.accountId, known.session.candidate)
      if (candidate) return this.#judgeCandidate(known, candidate, lease)
    }
    if (!known.grant || known.session.token === 'dead' || known.session.token === 'none') return known
    const probed = await this.#probe(known, known.grant)
    switch (probed.kind) {
      case 'accepted': {
        try {
          this.#refuseOtherUser(known, probed.userId)
        } catch (error) {
          await this.#reject(known, known.grant, problemOf(error), lease)
          throw error
        }
        return this.#accept(known, known.grant, probed, lease)
      }
      case 'unproven':
        return this.#notYet(known, probed.problem, lease)
      case 'rejected':
        return this.#reject(known, known.grant, probed.problem, lease)
    }
  }

  /** The token has reached its end. */
  async end(ref: AccountRef, slot: Slot, lease: HeldLease): Promise<Known> {
    const known = await this.#sessions.load(ref, slot)
    // While the lease was waited for, a login may have brought the next one.
    const { token, expiry } = known.session
    if (token === 'dead' || (expiry && expiry.at > this.#time.now(known.broker.id))) return known
    if (known.session.candidate !== undefined) {
      const vault = this.#deps.store.forTenant(ref.tenantId)
      const candidate = await vault.loadGrant(ref.accountId, known.session.candidate)
      if (candidate && candidate.expiry.at > this.#time.now(known.broker.id)) {
        const promoted = await this.#promote(known, candidate, lease)
        return this.confirm(promoted.session.ref, slot, lease)
      }
    }
    const ended = await this.#save(known, lease, ({ probe: _, candidate: __, ...session }) => ({
      ...session,
      token: 'dead',
    }))
    await this.#journal.write(ref, 'ended', `The token reached its end.`, known.session.generation)
    return ended
  }

  /** What a refusal or an outage means for what is tried next. */
  async setProblem(ref: AccountRef, slot: Slot, problem: Problem, lease?: HeldLease): Promise<Known> {
    const { random } = this.#deps
    const known = await this.#sessions.load(ref, slot)
    const now = this.#time.now(known.broker.id)
    const before = known.session.work
    const failed = before.state === 'retrying' ? before.attempt + 1 : 1
    const saved = await this.#save(known, lease, (session) => {
      switch (problem.remedy) {
        case 'retry':
        case 'wait': {
          if (problem.until !== undefined) {
            // A broker that says "at once" is asked no sooner than after other failures.
            const soonest = plus(now, backoffMs(before.state === 'blocked' ? outageAttempt : 1, random))
            return {
              ...session,
              work: { state: 'blocked', until: instant(Math.max(problem.until, soonest)), problem },
            }
          }
          const attempt = problem.remedy === 'wait' ? Math.max(failed, outageAttempt) : failed
          const nextAt = plus(now, backoffMs(attempt, random))
          return { ...session, work: { state: 'retrying', attempt, nextAt, problem } }
        }
        case 'fix-settings':
          return {
            ...session,
            work: { state: 'needs-fixing', since: now, problem, appVersion: known.app.version },
          }
        case 'login':
        case 'superseded':
          return {
            ...session,
            work: { state: 'waiting-for-person', since: now, problem, appVersion: known.app.version },
          }
      }
    })
    if (problem.code !== 'login-needed') {
      await this.#journal.write(ref, 'renewal-failed', problem.message, known.session.generation)
    }
    const { state } = saved.session.work
    // Where renewing is on trial, a login helps whatever setting is wrong.
    const loginHelps = state === 'needs-fixing' && saved.broker.refresh?.onTrial === true
    if (state === 'waiting-for-person' || loginHelps) await this.ask(saved, problem.message)
    return saved
  }

  /** A renewal on trial was refused: never again for this app, until its credentials change. */
  async retireRefresh({ app, broker, session }: Known, reason: string): Promise<void> {
    if (!broker.refresh?.onTrial || app.refresh.state === 'retired') return
    const vault = this.#deps.store.forTenant(app.tenantId)
    const at = this.#time.now(broker.id)
    const retired = await vault.saveApp({ ...app, refresh: { state: 'retired', reason, at } }, app.version)
    if (!retired) return
    const text = `${broker.name} does not renew without a person: ${reason}. It is not tried again for this app.`
    await this.#journal.write(session.ref, 'refresh-retired', text, session.generation)
  }

  /** One open request however many ask. */
  async ask({ account, session: { ref, slot } }: Known, reason: string): Promise<void> {
    if (slot !== slotOf(account)) return
    const { store, clock, randomToken } = this.#deps
    const asked = await store
      .forTenant(ref.tenantId)
      .openLoginRequest({ id: randomToken(), ref, openedAt: clock.now(), reason })
    if (asked.opened) await this.#journal.write(ref, 'login-asked', `A person is asked to log in: ${reason}`)
  }

  async #judgeCandidate(known: Known, grant: Grant, lease: HeldLease): Promise<Known> {
    const probed = await this.#probe(known, grant)
    switch (probed.kind) {
      case 'accepted': {
        try {
          this.#refuseOtherUser(known, probed.userId)
        } catch (error) {
          await this.#drop(known, grant, lease)
          throw error
        }
        const promoted = await this.#promote(known, grant, lease)
        return this.#accept(promoted, grant, probed, lease)
      }
      case 'unproven':
        return this.#notYet(known, probed.problem, lease, grant.generation)
      case 'rejected': {
        const dropped = await this.#drop(known, grant, lease)
        // Some brokers hand over the same token again: then it is the one in use that was refused.
        if (dropped.session.token !== 'dead' && dropped.grant?.accessToken.equals(grant.accessToken))
          return this.#reject(dropped, dropped.grant, probed.problem, lease)
        await this.#journal.write(
          grant.ref,
          'rejected',
          `${known.broker.name} does not accept the new token; the old one stays.`,
          grant.generation,
        )
        const problem: Problem =
          grant.origin === 'refresh' ? { ...probed.problem, remedy: 'retry' } : probed.problem
        return this.setProblem(dropped.session.ref, dropped.session.slot, problem, lease)
      }
    }
  }

  /** The broker handed over a token that had ended. What came with it may still renew. */
  async #endedBefore(known: Known, grant: Grant, lease: HeldLease): Promise<Known> {
    const { ref, slot, generation } = grant
    const message = `${known.broker.name} handed over a token that has already ended.`
    await this.#drop(known, grant, lease)
    await this.#journal.write(ref, 'rejected', message, generation)
    if (grant.origin !== 'refresh')
      throw new OpenbellError('login-refused', message, { accountId: ref.accountId })
    return this.setProblem(ref, slot, { remedy: 'retry', code: 'answer-not-understood', message }, lease)
  }

  async #promote(known: Known, grant: Grant, lease: HeldLease): Promise<Known> {
    await this.#deps.onStep?.('promote', 'before', grant.ref.accountId)
    const now = this.#time.now(known.broker.id)
    const promoted = await this.#save(
      known,
      lease,
      ({ candidate: _, probe: __, acceptedAt: ___, acceptedBy: ____, rejectedAt: _____, ...session }) => ({
        ...session,
        generation: grant.generation,
        token: 'unproven',
        expiry: grant.expiry,
        renewedAt: now,
        work: grant.generation > session.generation ? this.#workOn(session.work, grant, known) : session.work,
        // For whoever takes over: should this process end before the broker has answered, nobody else would ask.
        probe: {
          attempt: 0,
          nextAt: plus(now, this.#deps.timings.leaseTermMs),
          why: 'saved, not yet confirmed',
        },
      }),
      grant,
    )
    await this.#deps.onStep?.('promote', 'after', grant.ref.accountId)
    return promoted
  }

  /**
   * What is left of a problem when a newer grant has come. The count of failures stays until the broker has accepted, or
   * one that is refused again would begin anew; but until its own time has come there is nothing to renew.
   */
  #workOn(work: Work, grant: Grant, { broker }: Known): Work {
    if (work.state !== 'retrying') return { state: 'idle' }
    const soonest = plus(this.#time.now(broker.id), backoffMs(work.attempt, this.#deps.random))
    const inTime = plus(grant.expiry.at, -broker.rules.marginMs)
    return { ...work, nextAt: instant(Math.max(soonest, inTime)) }
  }

  async #probe(known: Known, grant: Grant): Promise<Probed> {
    await this.#deps.onStep?.('probe', 'before', grant.ref.accountId)
    const probed = await this.#prober.probe(known.app, known.broker, grant.slot, grant.accessToken)
    await this.#deps.onStep?.('probe', 'after', grant.ref.accountId)
    return probed
  }

  async #accept(
    known: Known,
    grant: Grant,
    probed: Probed & { kind: 'accepted' },
    lease: HeldLease,
  ): Promise<Known> {
    const { ref, slot } = grant
    const before = known.session
    const userId = grant.brokerUserId ?? probed.userId
    if (known.account.brokerUserId === undefined && userId !== undefined) await this.#pin(ref, userId)
    const accepted = await this.#save(
      known,
      lease,
      ({ candidate: _, probe: __, rejectedAt: ___, ...session }) => ({
        ...session,
        token: 'live',
        acceptedAt: probed.at,
        acceptedBy: probed.by,
        // A brake that came on since it was promoted stays: this token says nothing about the next renewal.
        work:
          before.acceptedAt === undefined && !('since' in session.work) ? { state: 'idle' } : session.work,
      }),
    )
    if (before.acceptedAt === undefined || before.token !== 'live') {
      await this.#deps.store
        .forTenant(ref.tenantId)
        .satisfyLoginRequests(ref.accountId, this.#deps.clock.now())
      const accepted = `${known.broker.name} accepted the token (${probed.by}).`
      if (grant.origin === 'refresh' && before.acceptedAt === undefined) {
        await this.#journal.write(ref, 'renewed', `Renewed without a person; ${accepted}`, grant.generation)
      } else {
        await this.#journal.write(ref, 'accepted', accepted, grant.generation)
      }
    }
    this.#deliver(ref, slot)
    return accepted
  }

  async #notYet(known: Known, problem: Problem, lease: HeldLease, candidate?: number): Promise<Known> {
    const { ref, slot, acceptedAt, generation } = known.session
    const now = this.#time.now(known.broker.id)
    const attempt = (known.session.probe?.attempt ?? 0) + 1
    const nextAt = instant(Math.max(problem.until ?? 0, plus(now, backoffMs(attempt, this.#deps.random))))
    const acceptedBefore = candidate === undefined && acceptedAt !== undefined
    const why = `${acceptedBefore ? 'accepted before, not confirmed again' : 'saved, not yet confirmed'}: ${problem.message}`
    const saved = await this.#save(known, lease, (session) => ({
      ...session,
      ...(candidate === undefined ? {} : { candidate }),
      probe: { attempt, nextAt, why },
    }))
    if (attempt === 1) await this.#journal.write(ref, 'unproven', sentence(why), candidate ?? generation)
    if (candidate === undefined) this.#deliver(ref, slot)
    return saved
  }

  /** The broker refused the grant in use. */
  async #reject(known: Known, grant: Grant, problem: Problem, lease: HeldLease): Promise<Known> {
    const { ref, slot, acceptedAt } = known.session
    const { broker } = known
    const now = this.#time.now(broker.id)
    await this.#journal.write(
      ref,
      'rejected',
      `${broker.name} refused the token: ${problem.message}`,
      grant.generation,
    )

    // Before another is asked about: a token known to be refused must not be served meanwhile.
    const dead = await this.#save(known, lease, ({ probe: _, ...session }) => ({
      ...withRejected(session, grant.generation),
      token: 'dead',
      rejectedAt: now,
      expiry: { at: now, source: 'rejected' },
    }))
    const older = await this.#stillLiving(dead, grant)
    if (older) {
      const restored = await this.#promote(dead, older.grant, lease)
      await this.#journal.write(
        ref,
        'restored',
        `The token before it is still accepted and serves again.`,
        older.grant.generation,
      )
      return this.#accept(restored, older.grant, older.probed, lease)
    }
    if (canRefresh({ app: dead.app, session: dead.session, grant, broker, now })) {
      // Accepted once: renew at once. Never accepted: renewing gave a dead token, so wait before doing it again.
      if (acceptedAt !== undefined) return dead
      return this.setProblem(ref, slot, { ...problem, remedy: 'retry' }, lease)
    }
    if (acceptedAt === undefined) return this.setProblem(ref, slot, problem, lease)
    const doubtUntil = known.session.expiry?.doubtUntil
    if (doubtUntil !== undefined && acceptedAt <= doubtUntil)
      return this.setProblem(ref, slot, flushed(known), lease)
    return this.#superseded(dead, lease)
  }

  /** Death before its time, without our logout. */
  async #superseded(known: Known, lease: HeldLease): Promise<Known> {
    const { session, broker, app } = known
    const now = this.#time.now(broker.id)
    const day = dayIn(now, broker.rules.zone)
    const count = session.takeovers?.day === day ? session.takeovers.count + 1 : 1
    const again = count > 1
    const problem: Problem = {
      remedy: 'superseded',
      code: 'session-superseded',
      message: again
        ? `${broker.name} ended the session for the second time today. Something else logs in with the same app: stop it, then run \`openbell login ${known.account.id}\`.`
        : `${broker.name} ended the session before its time. Most likely another program or a second login used the same app; log in again with \`openbell login ${known.account.id}\`.`,
    }
    const saved = await this.#save(known, lease, (current) => ({
      ...current,
      takeovers: { day, count },
      work: {
        state: again ? 'needs-fixing' : 'waiting-for-person',
        since: now,
        problem,
        appVersion: app.version,
      },
    }))
    await this.#journal.write(session.ref, 'superseded', problem.message, session.generation)
    if (!again) await this.ask(saved, problem.message)
    return saved
  }

  async #stillLiving(
    known: Known,
    refused: Grant,
  ): Promise<{ grant: Grant; probed: Probed & { kind: 'accepted' } } | undefined> {
    const { ref, slot, rejected = [] } = known.session
    const now = this.#time.now(known.broker.id)
    const grants = await this.#deps.store
      .forTenant(ref.tenantId)
      .listGrants(ref.accountId, { slot, limit: 5 })
    // One try: brokers count failed calls.
    const older = grants.find(
      (one) =>
        one.generation < refused.generation && one.expiry.at > now && !rejected.includes(one.generation),
    )
    if (!older) return undefined
    const probed = await this.#probe(known, older)
    return probed.kind === 'accepted' ? { grant: older, probed } : undefined
  }

  async #drop(known: Known, grant: Grant, lease: HeldLease): Promise<Known> {
    return this.#save(known, lease, ({ candidate: _, probe: __, ...session }) =>
      withRejected(session, grant.generation),
    )
  }

  async #save(
    known: Known,
    lease: HeldLease | undefined,
    change: (session: Session) => Session,
    grant?: Grant,
  ): Promise<Known> {
    const { ref, slot } = known.session
    const saved = await this.#sessions.update(
      ref,
      slot,
      (current) => withDue(this.#deps, this.#time, current, change(current.session), grant ?? current.grant),
      lease?.current().fence,
    )
    if (!saved)
      throw new OpenbellError('conflict', 'Another process took over this account meanwhile.', {
        accountId: ref.accountId,
      })
    return saved
  }

  async #pin(ref: AccountRef, brokerUserId: string): Promise<void> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    for (;;) {
      const account = await vault.loadAccount(ref.accountId)
      if (!account || account.brokerUserId !== undefined) return
      if (await vault.saveAccount({ ...account, brokerUserId }, account.version)) return
    }
  }

  #refuseOtherUser(known: Known, userId: string | undefined): void {
    const pinned = known.account.brokerUserId
    if (userId === undefined || pinned === undefined || userId === pinned) return
    throw new OpenbellError(
      'login-other-user',
      `This login belongs to ${known.broker.name} user ${userId}, but ${known.account.id} is ${pinned}; nothing was changed. Log in as ${pinned}, or add an account of its own.`,
      { accountId: known.account.id },
    )
  }

  #serves({ session, broker }: Known): boolean {
    const { token, expiry } = session
    return (
      (token === 'live' || token === 'unproven') &&
      expiry !== undefined &&
      expiry.at > this.#time.now(broker.id)
    )
  }

  #isUnused({ generation, candidate, rejected = [] }: Session, newest: number): boolean {
    return newest > generation && newest !== candidate && !rejected.includes(newest)
  }
}

function withRejected(session: Session, generation: number): Session {
  return { ...session, rejected: [...(session.rejected ?? []), generation].slice(-rejectedKept) }
}

/** Nobody's fault: the token was obtained at a time of day at which the broker may still end it. */
function flushed({ account, broker }: Known): Problem {
  const why = broker.rules.mintFrom?.why ?? 'It ends tokens at that time of day'
  return {
    remedy: 'login',
    code: 'login-needed',
    message: `${broker.name} ended the token early (${why}); log in again with \`openbell login ${account.id}\`.`,
  }
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof OpenbellError)) throw error
  return { remedy: error.remedy, code: error.code, message: error.message }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
