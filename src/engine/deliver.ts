/**
 * Getting the current token to every destination, by reconciliation: a worker never carries a token, it asks for the
 * current one, writes it, reads it back and asks again. So a slow writer cannot restore yesterday's.
 */

import { OpenbellError, type Problem } from '../core/errors.ts'
import type { DeliveryView } from '../core/keeper.ts'
import type { AccountRef, Delivery, Destination, Session, Slot } from '../core/model.ts'
import type { Publisher, Release } from '../core/publisher.ts'
import type { Secret } from '../core/secret.ts'
import { earliest, type Instant, instant, plus, secondMs } from '../core/time.ts'
import { backoffMs } from './backoff.ts'
import type { EngineDeps } from './deps.ts'
import type { Journal } from './journal.ts'
import { withLeaseInTurn } from './lease.ts'
import type { BrokerTime } from './offset.ts'
import type { Prober } from './probe.ts'
import { type Known, type Sessions, slotOf } from './sessions.ts'
import { SingleFlight } from './single-flight.ts'
import { viewDelivery } from './status.ts'

const catchUpEveryMs = secondMs

/** A writer that never settles must end somewhere; each round starts from what is current then. */
const maxRounds = 20

/** Takes a value that a person put into a destination into use as a grant. */
export type Adopt = (
  known: Known,
  accessToken: Secret,
  userId: string | undefined,
  destinationId: string,
) => Promise<void>

export class Deliverer {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #sessions: Sessions
  readonly #prober: Prober
  readonly #journal: Journal
  readonly #adopt: Adopt
  readonly #flight = new SingleFlight<void>()
  /** Raised again while a worker runs: it must go round once more. */
  readonly #again = new Set<string>()
  #lookedAt = instant(Number.NEGATIVE_INFINITY)

  constructor(
    deps: EngineDeps,
    time: BrokerTime,
    sessions: Sessions,
    prober: Prober,
    journal: Journal,
    adopt: Adopt,
  ) {
    this.#deps = deps
    this.#time = time
    this.#sessions = sessions
    this.#prober = prober
    this.#journal = journal
    this.#adopt = adopt
  }

  /** Delivers to every destination of the account; each has its own worker, and none holds up another. */
  async deliver(ref: AccountRef, slot: Slot): Promise<void> {
    const { account } = await this.#sessions.load(ref, slot)
    // Destinations hold what the account's programs need; a token of another slot would only stand in its place.
    if (slot !== slotOf(account)) return
    await Promise.all(account.destinations.map((id) => this.deliverTo(ref, slot, id)))
  }

  async deliverTo(ref: AccountRef, slot: Slot, destinationId: string): Promise<void> {
    const key = flightKey(ref, slot, destinationId)
    if (this.#flight.isRunning(key)) this.#again.add(key)
    await this.#flight.run(key, async () => {
      do {
        this.#again.delete(key)
        await this.#reconcile(ref, slot, destinationId)
      } while (this.#again.has(key))
    })
  }

  async view(ref: AccountRef, slot: Slot, destinationId: string): Promise<DeliveryView> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const destination = await vault.loadDestination(destinationId)
    const delivery =
      (await vault.loadDelivery(ref.accountId, slot, destinationId)) ??
      emptyDelivery(ref, slot, destinationId)
    if (!destination) return viewDelivery(delivery, 'missing', '')
    const resource = this.publisherOf(destination).resource(destination)
    return viewDelivery(delivery, destination.kind, resource.replace(/^file:/, ''))
  }

  /**
   * Starts what is due: failed ones again when their time has come; delivered ones are read back now and then, for hands
   * that edit; and what a process left undelivered when it ended. Returns when to come again.
   */
  async catchUp(now: Instant, isRenewing: (session: Session) => boolean): Promise<Instant> {
    // A look reads every delivery, so it is not taken at every change of every session. A clock set back ends no wait.
    const sinceMs = now - this.#lookedAt
    if (sinceMs >= 0 && sinceMs < catchUpEveryMs) return plus(this.#lookedAt, catchUpEveryMs)
    this.#lookedAt = now
    const { store, timings } = this.#deps
    let next = plus(now, timings.verifyEveryMs)
    const start = (ref: AccountRef, slot: Slot, id: string) => {
      if (this.#flight.isRunning(flightKey(ref, slot, id))) return
      void this.deliverTo(ref, slot, id).catch(() => undefined)
      // Its own next time is known only when it has ended.
      next = earliest(next, plus(now, catchUpEveryMs))
    }
    const desired = new Map<string, number>()
    for (const tenantId of await store.listTenants()) {
      for (const delivery of await store.forTenant(tenantId).listDeliveries()) {
        const { ref, slot, destinationId, nextAt } = delivery
        desired.set(flightKey(ref, slot, destinationId), delivery.desired)
        if (nextAt === undefined) continue
        if (nextAt <= now) start(ref, slot, destinationId)
        else next = earliest(next, nextAt)
      }
    }
    for (const { account, session } of this.#sessions.all()) {
      const { ref, slot, generation } = session
      if (slot !== slotOf(account)) continue
      if (this.#sessions.ready(ref, slot)?.token !== 'live' || isRenewing(session)) continue
      for (const id of account.destinations) {
        if (desired.get(flightKey(ref, slot, id)) !== generation) start(ref, slot, id)
      }
    }
    return next
  }

  async idle(): Promise<void> {
    await this.#flight.idle()
  }

  /** Takes our value out again, where the publisher can. */
  async withdraw(ref: AccountRef, slot: Slot, destinationId: string): Promise<void> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const known = await this.#sessions.load(ref, slot)
    const destination = await vault.loadDestination(destinationId)
    const delivery = await vault.loadDelivery(ref.accountId, slot, destinationId)
    if (destination && delivery?.writtenDigest) {
      const publisher = this.publisherOf(destination)
      const blind = publisher.acknowledges?.(destination) === true
      if (blind) await publisher.withdraw?.(destination, this.#address(known))
      const there = blind ? undefined : await publisher.readBack(destination, this.#address(known))
      if (there && this.#deps.sha256(there.expose()) === delivery.writtenDigest) {
        await publisher.withdraw?.(destination, this.#address(known))
      }
    }
    await vault.removeDelivery(ref.accountId, slot, destinationId)
  }

  publisherOf(destination: Pick<Destination, 'kind'>): Publisher {
    const publisher = this.#deps.publishers.find(({ kind }) => kind === destination.kind)
    if (!publisher) {
      throw new OpenbellError('not-supported', `There is no destination kind called "${destination.kind}".`, {
        field: 'kind',
      })
    }
    return publisher
  }

  async #reconcile(ref: AccountRef, slot: Slot, destinationId: string): Promise<void> {
    const { store, timings, log } = this.#deps
    const vault = store.forTenant(ref.tenantId)
    const destination = await vault.loadDestination(destinationId)
    if (!destination) return
    const publisher = this.publisherOf(destination)
    try {
      const done = await withLeaseInTurn(
        this.#deps,
        `resource:${publisher.resource(destination)}`,
        timings.leaseTermMs * 2,
        async () => {
          for (let round = 0; round < maxRounds; round++) {
            if (await this.#round(ref, slot, destination, publisher)) return
          }
        },
      )
      if (!done) await this.#failed(ref, slot, destination, busyProblem(destinationId))
    } catch (error) {
      if (error instanceof OpenbellError && error.code === 'unknown-account') return
      if (!(error instanceof OpenbellError)) {
        log.error(
          {
            account: ref.accountId,
            destination: destinationId,
            error: error instanceof Error ? error.name : 'unknown',
          },
          'a publisher failed',
        )
      }
      await this.#failed(ref, slot, destination, problemOf(error))
    }
  }

  /** True when what is there is what should be there. */
  async #round(
    ref: AccountRef,
    slot: Slot,
    destination: Destination,
    publisher: Publisher,
  ): Promise<boolean> {
    const { store, sha256, timings } = this.#deps
    const vault = store.forTenant(ref.tenantId)
    const known = await this.#sessions.load(ref, slot)
    const release = this.#release(known, publisher)
    const stored = await vault.loadDelivery(ref.accountId, slot, destination.id)
    const delivery = stored ?? emptyDelivery(ref, slot, destination.id)
    const wanted = release && sha256(release.accessToken.expose())
    if (publisher.acknowledges?.(destination))
      return this.#hand(known, delivery, destination, publisher, release)
    const there = await publisher.readBack(destination, this.#address(known))
    const found = there && sha256(there.expose())

    if (there && found && found !== wanted && found !== delivery.writtenDigest) {
      const foreign = await this.#settleForeign(known, delivery, destination, there, found)
      if (foreign === 'adopted') return false
      if (release && foreign !== undefined) {
        await this.#journal.write(
          ref,
          'destination-differs',
          `${destination.id} held a token that Openbell did not write; ${foreign}, so it is replaced by the current one.`,
          release.generation,
        )
      }
    }
    if (!release) {
      // Nothing to hand over: what is due must not stay due, or it would be looked at every second.
      if (stored?.nextAt !== undefined)
        await this.#save(delivery, { nextAt: plus(this.#time.local(), timings.verifyEveryMs) })
      return true
    }
    if (found !== wanted) {
      await this.#deps.onStep?.('deliver', 'before', ref.accountId)
      await publisher.write(destination, release)
      await this.#deps.onStep?.('deliver', 'after', ref.accountId)
      const now = await publisher.readBack(destination, release)
      if (!now || sha256(now.expose()) !== wanted) {
        throw new OpenbellError(
          'destination-not-read-back',
          `${destination.id} did not show the new token after it was written; something else writes there.`,
          { accountId: ref.accountId },
        )
      }
    }

    // Look again: while we wrote, a newer one may have become current.
    const current = await this.#sessions.load(ref, slot)
    if (current.session.generation !== release.generation) return false
    const isNews = delivery.delivered !== release.generation
    await this.#save(delivery, {
      desired: release.generation,
      delivered: release.generation,
      writtenDigest: wanted as string,
      verifiedAt: this.#time.local(),
      nextAt: plus(this.#time.local(), timings.verifyEveryMs),
      attempt: 0,
    })
    if (isNews) {
      await this.#journal.write(
        ref,
        'delivered',
        `${destination.id} holds the current token, read back.`,
        release.generation,
      )
      this.#sessions.changed()
    }
    return true
  }

  /** To a destination that cannot be read back: once per token, and what it took is not called delivered. */
  async #hand(
    known: Known,
    delivery: Delivery,
    destination: Destination,
    publisher: Publisher,
    release: Release | undefined,
  ): Promise<boolean> {
    if (!release) return true
    const { ref, slot } = known.session
    const digest = this.#deps.sha256(release.accessToken.expose())
    if (delivery.writtenDigest !== digest) await publisher.write(destination, release)
    const current = await this.#sessions.load(ref, slot)
    if (current.session.generation !== release.generation) return false
    const isNews = delivery.taken !== release.generation
    const { nextAt: _, ...rest } = delivery
    await this.#save(rest, {
      desired: release.generation,
      taken: release.generation,
      writtenDigest: digest,
      attempt: 0,
    })
    if (!isNews) return true
    const text = `${destination.id} took the current token; nothing can be read back there.`
    await this.#journal.write(ref, 'delivered', text, release.generation)
    this.#sessions.changed()
    return true
  }

  /**
   * Somebody else wrote there. `adopted`: the world has changed, look again. A text: why it is no good to us, said once.
   * Undefined: known and settled already. Throws while the broker cannot be asked, so that nobody's working token is
   * overwritten on a guess.
   */
  async #settleForeign(
    known: Known,
    delivery: Delivery,
    destination: Destination,
    there: Secret,
    digest: string,
  ): Promise<'adopted' | string | undefined> {
    const { store, sha256 } = this.#deps
    const { account, app, broker } = known
    if (delivery.reportedDigest === digest) return undefined
    const ours = await store.forTenant(account.tenantId).listGrants(account.id, { limit: 20 })
    if (ours.some(({ accessToken }) => sha256(accessToken.expose()) === digest)) return undefined

    const probed = await this.#prober.probe(app, broker, known.session.slot, there)
    if (probed.kind === 'unproven') {
      throw new OpenbellError(
        'destination-changed-by-hand',
        `${destination.id} holds a token that Openbell did not write, and ${broker.name} cannot be asked about it just now; it is left alone until then.`,
        { accountId: account.id },
      )
    }
    const pinned = account.brokerUserId
    if (probed.kind === 'accepted' && pinned !== undefined && probed.userId === pinned && broker.adopt) {
      await this.#adopt(known, there, probed.userId, destination.id)
      return 'adopted'
    }
    await this.#save(delivery, { reportedDigest: digest })
    if (probed.kind === 'rejected') return `${broker.name} does not accept it`
    if (probed.userId === undefined || pinned === undefined) return `whose it is cannot be known`
    return probed.userId === pinned
      ? `when it ends cannot be known`
      : `it belongs to ${probed.userId}, not to ${pinned}`
  }

  async #failed(ref: AccountRef, slot: Slot, destination: Destination, problem: Problem): Promise<void> {
    const { store, random } = this.#deps
    const known = await this.#sessions.load(ref, slot).catch(() => undefined)
    if (!known) return
    const delivery =
      (await store.forTenant(ref.tenantId).loadDelivery(ref.accountId, slot, destination.id)) ??
      emptyDelivery(ref, slot, destination.id)
    const attempt = delivery.attempt + 1
    await this.#save(delivery, {
      desired: known.session.generation,
      attempt,
      nextAt: plus(this.#time.local(), backoffMs(attempt, random)),
      problem,
    })
    if (attempt === 1)
      await this.#journal.write(ref, 'delivery-failed', problem.message, known.session.generation)
    this.#sessions.changed()
  }

  /** Of the delivery's record only; who loses the race has nothing to add. */
  async #save(delivery: Delivery, change: Partial<Delivery>): Promise<void> {
    const vault = this.#deps.store.forTenant(delivery.ref.tenantId)
    let base = delivery
    for (;;) {
      const { problem: _, ...rest } = base
      const saved = await vault.saveDelivery({ ...rest, ...change }, base.version)
      if (saved) {
        Object.assign(delivery, saved)
        return
      }
      const found = await vault.loadDelivery(base.ref.accountId, base.slot, base.destinationId)
      base = found ?? { ...base, version: 0 }
    }
  }

  #release(known: Known, publisher: Publisher): Release | undefined {
    const { session, grant, app, broker } = known
    if (!grant || !served(session)) return undefined
    const appKey = app.credentials[broker.appKey]
    return {
      ...this.#address(known),
      brokerId: broker.id,
      environment: app.environment,
      generation: grant.generation,
      accessToken: grant.accessToken,
      ...(publisher.needs.includes('refreshToken') && grant.refresh
        ? { refreshToken: grant.refresh.token }
        : {}),
      ...(publisher.needs.includes('appKey') && broker.env.appKey && appKey ? { appKey } : {}),
      expiresAt: grant.expiry.at,
      issuedAt: grant.receivedAt,
      ...(known.account.brokerUserId === undefined ? {} : { brokerUserId: known.account.brokerUserId }),
    }
  }

  #address({ session, broker }: Known): Pick<Release, 'env' | 'ref' | 'slot'> {
    return { env: broker.env, ref: session.ref, slot: session.slot }
  }
}

function flightKey({ tenantId, accountId }: AccountRef, slot: Slot, destinationId: string): string {
  return `${tenantId}/${accountId}/${slot}/${destinationId}`
}

function served({ token }: Session): boolean {
  return token === 'live' || token === 'unproven' || token === 'suspect'
}

function emptyDelivery(ref: AccountRef, slot: Slot, destinationId: string): Delivery {
  return { ref, slot, destinationId, version: 0, desired: 0, delivered: 0, attempt: 0 }
}

function busyProblem(destinationId: string): Problem {
  return {
    remedy: 'retry',
    code: 'vault-busy',
    message: `Another process has been writing to ${destinationId} for too long.`,
  }
}

function problemOf(error: unknown): Problem {
  if (error instanceof OpenbellError)
    return { remedy: error.remedy, code: error.code, message: error.message }
  return {
    remedy: 'retry',
    code: 'internal',
    message: 'Writing to the destination failed in a way nobody expected; see the log.',
  }
}
