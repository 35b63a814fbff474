/** One account, its broker, its people, the file its program reads, and a keeper that may die: what a history happens to. */

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isOpenbellError } from '../../src/core/errors.ts'
import type { Grant } from '../../src/core/model.ts'
import { Secret } from '../../src/core/secret.ts'
import { hourMs, instant, iso, minuteMs } from '../../src/core/time.ts'
import type { Store } from '../../src/core/vault.ts'
import { systemClock } from '../../src/host/clock.ts'
import { keyring } from '../../src/stores/envelope.ts'
import { sealed } from '../../src/stores/sealed.ts'
import { openSqlite } from '../../src/stores/sqlite/store.ts'
import { ref, tenantId } from '../rig/engine.ts'
import { type VirtualClock, virtualClock } from '../rig/virtual-clock.ts'
import type { Kind } from './dialects.ts'
import { type File, file } from './file.ts'
import { Issuer } from './issuer.ts'
import { Model } from './model.ts'
import { type Mortal, mortal, type Trap } from './mortal.ts'

export const account = ref('a')
const destination = 'bot'

/** Memory where the system has a folder for it: the disk is not what these tests are about. */
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** Brokers tell the time in whole seconds, and an answer may take a few. */
const roundingMs = 5_000

export class World {
  readonly kind: Kind
  readonly model: Model
  readonly clock: VirtualClock
  readonly issuer: Issuer
  readonly file: File
  readonly #folder: string
  readonly #key = { secret: new Secret(randomBytes(32).toString('base64')), from: 'a test' }
  #store!: Store
  #process!: Mortal
  #processes = 0
  #pending = 0
  #lastCode: { code: string; userId: string } | undefined
  #pinned: string | undefined
  #last = { generation: 0, access: '' }
  #paused = false
  #editedAt = instant(0)
  #buriedAt = instant(0)
  readonly #skews = new Set<number>([0])
  /** What happened, for the reader of a failure. */
  readonly story: string[] = []
  #stirs = 0

  private constructor(kind: Kind, folder: string) {
    this.kind = kind
    this.#folder = folder
    this.clock = virtualClock('2026-11-20T04:00:00Z', () => this.#rest())
    const { refreshTokens, codesLast } = kind.dialect
    this.model = new Model(refreshTokens, codesLast)
    this.file = file()
    this.issuer = new Issuer(kind.dialect, this.clock, (arrival) => this.model.heard(arrival))
  }

  static async open(kind: Kind): Promise<World> {
    const world = new World(kind, await mkdtemp(join(scratch, 'openbell-history-')))
    await world.#begin()
    const { keeper } = world.#process
    await keeper.addDestination({ id: destination, tenantId, kind: 'file', settings: {} })
    await keeper.addAccount({ ...kind.account, destinations: [destination] })
    await world.logIn('right')
    await world.#rest()
    await world.check('the first login')
    return world
  }

  async close(): Promise<void> {
    this.#process.die()
    await this.#store.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #begin(): Promise<void> {
    const path = join(this.#folder, 'vault.db')
    this.#store = await sealed(
      await openSqlite({ path, now: this.clock.now, sleep: systemClock.sleep }),
      keyring(this.#key),
    )
    this.#process = mortal({
      number: ++this.#processes,
      store: this.#store,
      clock: this.clock,
      issuer: this.issuer,
      broker: this.kind.broker,
      publisher: this.file.publisher,
      wrong: (what) => this.model.wrong(what),
      stirred: () => {
        this.#stirs++
      },
    })
    this.#pending = 0
    await this.#process.keeper.start()
  }

  /** Until the keeper has asked for nothing new for a few turns of the event loop; a commit takes one. */
  async #rest(): Promise<void> {
    for (let quiet = 0, stirs = -1; quiet < 6; quiet = stirs === this.#stirs ? quiet + 1 : 0) {
      stirs = this.#stirs
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Runs one event of a history, lets everything come to rest that needs no time, and checks all promises. */
  async happen(words: string, event: () => Promise<void> | void): Promise<void> {
    this.story.push(`${iso(this.clock.now()).slice(5, 19).replace('T', ' ')}  ${words}`)
    await event()
    await this.#rest()
    if (!this.#process.isAlive()) await this.#bury()
    await this.check(words)
  }

  async pass(ms: number): Promise<void> {
    // In pieces, so that a keeper that dies is followed soon, as a supervisor would see to.
    for (let left = ms; left > 0; left -= hourMs) {
      await this.clock.advance(Math.min(left, hourMs))
      if (!this.#process.isAlive()) await this.#bury()
      if (this.model.wrongs.length > 0) return
    }
  }

  aheadBy(ms: number): void {
    this.issuer.aheadMs = ms
    this.#skews.add(ms)
    this.model.timeIsRelative = true
  }

  /** Callers do not wait for each other, nor the history for them. */
  #ask<T>(
    work: Promise<T>,
    after: (value: T) => void = () => undefined,
    end: () => void = () => undefined,
  ): void {
    const number = this.#process.number
    this.#pending++
    work
      .then(after, (error: unknown) => {
        if (!isOpenbellError(error) || error.code === 'internal') this.model.wrong(`a caller got ${error}`)
      })
      .finally(() => {
        if (number !== this.#process.number) return
        this.#pending--
        end()
      })
      .catch((error: unknown) => this.model.wrong(`the check itself failed: ${error}`))
  }

  callers(count: number, minValidMs: number): void {
    for (let caller = 0; caller < count; caller++) {
      this.#ask(this.#process.keeper.token(account, { minValidMs }), (session) => {
        this.#checkServed(session.accessToken.expose(), 'a caller got')
      })
    }
  }

  complain(about: 'current' | 'older'): void {
    const { keeper } = this.#process
    const generation = this.#last.generation - (about === 'older' ? 1 : 0)
    this.#ask(keeper.reportRejected(account, generation))
  }

  logIn(who: 'right' | 'wrong' | 'same code again', replace = false): void {
    const right = this.#pinned ?? 'U1'
    const again = who === 'same code again' ? this.#lastCode : undefined
    const userId = who === 'wrong' ? 'U9' : right
    const { code } = again ?? { code: this.issuer.code(userId) }
    this.#lastCode = { code, userId }
    const end = this.model.handOver(code)
    const login = this.#process.keeper.finishLogin({
      ref: account,
      code: new Secret(code),
      by: 'signed-in',
      replace,
    })
    this.#ask(login, undefined, end)
  }

  tryAgain(): void {
    this.#ask(this.#process.keeper.renew(account, 'person'), undefined, this.model.press())
  }

  editCredentials(to: 'right' | 'wrong'): void {
    const value = to === 'right' ? this.issuer.clientSecret : 'canary-not-the-secret'
    this.model.released()
    this.#ask(
      this.#process.keeper.editAccount(account, {
        credentials: { [this.kind.secretField]: new Secret(value) },
      }),
    )
  }

  pause(paused: boolean): void {
    this.#paused = paused
    const { keeper } = this.#process
    this.#ask(paused ? keeper.pauseAccount(account) : keeper.resumeAccount(account))
  }

  async restart(how: 'stops' | 'is killed'): Promise<void> {
    if (how === 'is killed') this.#process.die()
    else {
      const stopped = this.#process.keeper.stop()
      // A spend in flight is waited for: at most its hard limit.
      await this.clock.advance(11 * minuteMs)
      if (this.#process.isAlive()) await stopped
      this.#process.die()
    }
    await this.#bury()
  }

  diesAt(trap: Trap): void {
    this.#process.trap = trap
  }

  handEdit(content: 'a dead token' | "another user's token" | 'their own token' | 'nothing'): void {
    this.file.by = 'hand'
    this.#editedAt = this.clock.now()
    this.file.content = {
      'a dead token': 'canary-by-hand',
      "another user's token": this.issuer.mint('U9'),
      'their own token': this.issuer.mint(this.#pinned ?? 'U1'),
      nothing: undefined,
    }[content]
  }

  /** The next process takes over at once. */
  async #bury(): Promise<void> {
    const { number, diedAt } = this.#process
    this.#buriedAt = this.clock.now()
    this.#process.die()
    const inHand =
      (diedAt?.step === 'answer' && diedAt.moment === 'after') ||
      (diedAt?.step === 'record' && diedAt.moment === 'before')
    const last = this.issuer.arrivals.findLast(({ process, to }) => process === number && to === 'token')
    const lost = inHand && last?.outcome === 'granted'
    if (lost && last.token) this.model.excuse(last.token.access)
    if (diedAt?.step === 'probe' && diedAt.moment === 'after') this.model.forgetRefusal()
    this.model.died(number, lost && last.how === 'refresh')
    await this.#store.close()
    await this.#begin()
    await this.#rest()
  }

  async check(after: string, newest = 20): Promise<void> {
    const { model } = this
    const vault = this.#store.forTenant(tenantId)
    const [status, grants, known] = [
      await this.#process.keeper.statusOf(account),
      await vault.listGrants(account.accountId, { limit: newest }),
      await vault.loadAccount(account.accountId),
    ]
    const current = grants.find(({ generation }) => generation === status.generation)
    const access = current?.accessToken.expose() ?? ''

    if (this.#pinned !== undefined && known?.brokerUserId !== this.#pinned)
      model.wrong('the pinned user changed')
    this.#pinned = known?.brokerUserId
    this.#checkKept(grants, newest)
    this.#checkReads(grants, current)
    this.#checkClaims(status, access)
    this.#checkGeneration(status.generation, access)

    if (model.wrongs.length > 0) {
      throw new Error(
        [`after "${after}" (${this.kind.name}):`, ...model.wrongs.slice(0, 5), '', ...this.story].join(
          '\n  ',
        ),
      )
    }
  }

  /** Promise 2. */
  #checkKept(grants: readonly Grant[], newest: number): void {
    const kept = new Set(grants.map(({ accessToken }) => accessToken.expose()))
    for (const access of [...this.model.kept].slice(newest > 20 ? 0 : -5)) {
      if (!kept.has(access)) this.model.wrong(`${access} was handed over and is not in the vault`)
    }
  }

  /** Promise 3, and that nobody gets what is another's or is over. */
  #checkReads(grants: readonly Grant[], current: Grant | undefined): void {
    const session = this.#process.keeper.session(account)
    if (session) this.#checkServed(session.accessToken.expose(), 'a read gave')
    if (session && this.#paused) this.model.wrong('a paused account is served')
    if (session || this.#paused || this.#pending > 0) return

    const now = this.clock.now() + Math.max(...this.#skews) + roundingMs
    const living = (grant: Grant | undefined) =>
      grant && grant.expiry.at > now && !this.model.wasRefused(grant.accessToken.expose())
    if (living(current)) this.model.wrong(`generation ${current?.generation} lives and is not served`)
    // A successor waits until the lease of the dead has ended.
    if (this.clock.now() < this.#buriedAt + minuteMs) return
    const [newest] = grants.filter(({ brokerUserId = this.#pinned }) => brokerUserId === this.#pinned)
    if (living(newest))
      this.model.wrong(`generation ${newest?.generation} is recorded, lives and is not served`)
  }

  #checkServed(access: string, how: string): void {
    const token = this.issuer.tokenOf(access)
    if (!token) {
      this.model.wrong(`${how} ${access}, which nobody issued`)
      return
    }
    if (this.#pinned !== undefined && token.userId !== this.#pinned)
      this.model.wrong(`${how} a token of ${token.userId}, and the account is ${this.#pinned}`)
    if (this.model.wasRefused(access))
      this.model.wrong(`${how} ${access}, which the broker was heard to refuse`)
    const hidden = this.#skews.size > 1 || token.hidesItsEnd
    if (!hidden && token.endsAt <= this.issuer.now() - roundingMs)
      this.model.wrong(`${how} ${access}, which is past its end`)
  }

  /** Promise 4. */
  #checkClaims(
    { token, delivered, deliveries, generation }: Awaited<ReturnType<Mortal['keeper']['statusOf']>>,
    access: string,
  ): void {
    if (token === 'live' && !this.model.wasAccepted(access))
      this.model.wrong(`generation ${generation} is called live, and the broker never accepted it`)
    const editedSince = this.#editedAt >= (deliveries[0]?.verifiedAt ?? 0)
    if (delivered.n > 0 && this.file.content !== access && !editedSince)
      this.model.wrong(`generation ${generation} is called delivered, and the file holds something else`)
    const { content, by } = this.file
    if (by !== 'openbell' || content === undefined || this.#pinned === undefined) return
    const owner = this.issuer.tokenOf(content)?.userId
    if (owner !== this.#pinned) this.model.wrong(`the file was given a token of ${owner}`)
  }

  /** Promise 7 of the histories: back only to what lives. */
  #checkGeneration(generation: number, access: string): void {
    const before = this.#last
    if (
      generation < before.generation &&
      !(this.model.wasRefused(before.access) && this.model.wasAccepted(access))
    )
      this.model.wrong(`fell from generation ${before.generation} back to ${generation} for no good reason`)
    this.#last = { generation, access }
  }

  /** Once everything is well again, everything becomes well. */
  async endsWell(): Promise<void> {
    this.issuer.faults.token = []
    this.issuer.faults.me = []
    this.file.writable = true
    this.#process.trap = undefined
    await this.happen('all faults end, right credentials, resume', () => {
      this.editCredentials('right')
      this.pause(false)
    })
    await this.happen('70 min pass', () => this.pass(70 * minuteMs))
    // What was to happen at a time of the broker's may be that much later when its clock was believed wrong.
    if (this.model.timeIsRelative) await this.happen('5 h pass', () => this.pass(5 * hourMs))
    const status = await this.#process.keeper.statusOf(account)
    if (this.#pending > 0) this.model.wrong(`${this.#pending} callers still wait`)
    const asked =
      status.work.state === 'waiting-for-person' ||
      status.work.state === 'needs-fixing' ||
      // At night nobody is asked for a login that would not last.
      status.next?.action === 'ask'
    if (!asked && status.token !== 'live')
      this.model.wrong(
        `nobody is asked (${status.work.state}), and after 70 minutes the token is ${status.token}`,
      )
    await this.happen('the right person logs in', () => this.logIn('right', true))
    const end = await this.#process.keeper.statusOf(account)
    if (end.token !== 'live')
      this.model.wrong(`after a good login the token is ${end.token} (${end.work.state})`)
    if (end.work.state !== 'idle') this.model.wrong(`after a good login the work is ${end.work.state}`)
    if (end.delivered.n !== 1) this.model.wrong('after a good login the file does not hold the token')
    await this.check('the end', 10_000)
  }
}
