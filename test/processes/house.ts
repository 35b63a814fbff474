/** A vault, a simulated broker and the processes that share them; `close` ends every one of them by its own id. */

import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AccountStatus, NewAccount } from '../../src/core/keeper.ts'
import type { Grant, Intent, Session } from '../../src/core/model.ts'
import { Secret } from '../../src/core/secret.ts'
import { plus } from '../../src/core/time.ts'
import type { Store, TenantVault } from '../../src/core/vault.ts'
import type { Timings } from '../../src/engine/deps.ts'
import { systemClock } from '../../src/host/clock.ts'
import { jsonFile } from '../../src/publishers/json-file.ts'
import { createClock } from '../../src/simulators/clock.ts'
import { startRotating } from '../../src/simulators/rotating.ts'
import { startTastytrade } from '../../src/simulators/tastytrade.ts'
import { engine, ref, tenantId } from '../rig/engine.ts'
import { brokers } from './brokers.ts'
import type { Command, Message, Moment, Tally } from './protocol.ts'
import { openVault } from './vault.ts'

/** Everything a test waits for comes within this, or never. */
const patienceMs = 15_000

export interface Issuer {
  account: Omit<NewAccount, 'ref'>
  userId: string
  refreshToken(): string
  code(): Promise<string>
  tokenRequests(): number
  reuses(): number
  /** Spends at once, answers later. */
  delayAnswers(ms: number): void
  close(): Promise<void>
}

export type IssuerKind = 'single-use' | 'repeatable'

async function rotatingIssuer(): Promise<Issuer> {
  const simulator = await startRotating(createClock())
  const { origin, clientId, clientSecret, redirectUri, authorize } = simulator
  return {
    account: {
      brokerId: 'rotating',
      environment: 'simulator',
      credentials: { clientId: new Secret(clientId), clientSecret: new Secret(clientSecret) },
      redirectUri,
      origins: { api: origin, login: origin },
    },
    userId: 'R1',
    refreshToken: () => simulator.createGrant('R1'),
    async code() {
      const form = { client_id: clientId, redirect_uri: redirectUri, state: '', user: 'R1' }
      const answer = await fetch(authorize, {
        method: 'POST',
        body: new URLSearchParams(form),
        redirect: 'manual',
      })
      return new URL(answer.headers.get('location') ?? '').searchParams.get('code') ?? ''
    },
    tokenRequests: simulator.tokenRequests,
    reuses: simulator.reuseEvents,
    delayAnswers: (ms) => simulator.setAnswerDelay(ms),
    close: simulator.close,
  }
}

async function tastytradeIssuer(): Promise<Issuer> {
  const simulator = await startTastytrade(createClock())
  const { origin, clientId, clientSecret, users } = simulator
  const path = '/oauth/token'
  return {
    account: {
      brokerId: 'tastytrade',
      environment: 'simulator',
      credentials: { clientId: new Secret(clientId), clientSecret: new Secret(clientSecret) },
      origins: { api: origin },
    },
    userId: users[0]?.id ?? '',
    refreshToken: () => simulator.createGrant(),
    code: async () => simulator.createGrant(),
    tokenRequests: () => simulator.counters()[`POST ${path}`] ?? 0,
    reuses: () => 0,
    delayAnswers(ms) {
      simulator.faults.clear()
      if (ms > 0) simulator.faults.set({ kind: 'latency', path, ms })
    },
    close: simulator.close,
  }
}

export class Child {
  readonly #process: ChildProcess
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #seen: Moment[] = []
  readonly #listeners = new Set<() => void>()
  #lastId = 0

  constructor() {
    this.#process = fork(join(import.meta.dirname, 'child.ts'), {
      execPath: process.execPath,
      execArgv: [],
      // No Node has to strip the types of the same files again.
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/processes'),
      },
    })
    this.#process.on('message', (message: Message) => this.#hear(message))
    this.#process.once('exit', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the process has ended'))
      this.#pending.clear()
    })
  }

  #hear(message: Message): void {
    if ('moment' in message) {
      this.#seen.push(message.moment)
      for (const listener of this.#listeners) listener()
      return
    }
    const pending = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if ('error' in message) pending?.reject(Object.assign(new Error(message.error.message), message.error))
    else pending?.resolve(message.value)
  }

  ask(command: Command): Promise<unknown> {
    const id = ++this.#lastId
    const pending = Promise.withResolvers<unknown>()
    // The process may be killed while nobody is looking at this answer.
    pending.promise.catch(() => undefined)
    this.#pending.set(id, pending)
    this.#process.send({ id, command }, (error) => error && pending.reject(error))
    return pending.promise
  }

  async token(accountId: string, callers = 1, waitMs = patienceMs): Promise<Tally> {
    return (await this.ask({ do: 'token', accountId, callers, waitMs })) as Tally
  }

  async status(accountId: string): Promise<AccountStatus> {
    return (await this.ask({ do: 'status', accountId })) as AccountStatus
  }

  /** Resolves when the process has come to that moment, now or earlier. */
  async reached(moment: Moment): Promise<void> {
    const found = Promise.withResolvers<void>()
    const look = () => this.#seen.includes(moment) && found.resolve()
    this.#listeners.add(look)
    look()
    const timer = setTimeout(
      () => found.reject(new Error(`never came to "${moment}", only to ${this.#seen.join(', ')}`)),
      patienceMs,
    )
    await found.promise.finally(() => {
      clearTimeout(timer)
      this.#listeners.delete(look)
    })
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(name)
  }

  async kill(): Promise<void> {
    const { exitCode, signalCode } = this.#process
    if (exitCode !== null || signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }
}

/** What is in the vault of one account, and in its file. */
export interface Kept {
  session: Session | undefined
  grants: Grant[]
  intents: Intent[]
  asked: boolean
  /** Generation of the grant whose token the file holds; 0 when there is no file. */
  inFile: number
}

export class House {
  readonly issuer: Issuer
  readonly store: Store
  readonly #vault: TenantVault
  readonly #folder: string
  readonly #key: string
  readonly #timings: Partial<Timings>
  readonly #children: Child[] = []

  private constructor(issuer: Issuer, store: Store, folder: string, key: string, timings: Partial<Timings>) {
    this.issuer = issuer
    this.store = store
    this.#vault = store.forTenant(tenantId)
    this.#folder = folder
    this.#key = key
    this.#timings = timings
  }

  static async open(kind: IssuerKind, timings: Partial<Timings>): Promise<House> {
    const folder = await mkdtemp(join(tmpdir(), 'openbell-processes-'))
    const key = randomBytes(32).toString('base64')
    const store = await openVault({ folder, key })
    const issuer = await (kind === 'single-use' ? rotatingIssuer() : tastytradeIssuer())
    return new House(issuer, store, folder, key, timings)
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()))
    await this.issuer.close()
    await this.store.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** A process that has this vault open. */
  async child(): Promise<Child> {
    const child = new Child()
    this.#children.push(child)
    const opening = { folder: this.#folder, key: this.#key, timings: this.#timings }
    await child.ask({ do: 'open', opening })
    return child
  }

  /** Nobody has logged in, and a person has been asked to. Its file is `<id>.json`. */
  async addAccount(accountId: string): Promise<void> {
    const { store, issuer } = this
    const keeper = engine({
      store,
      clock: systemClock,
      send: async () => Promise.reject(new Error('the parent sends nothing')),
      brokers,
      publishers: [jsonFile],
    })
    const path = this.#file(accountId)
    await keeper.addDestination({ id: accountId, tenantId, kind: 'json-file', settings: { path } })
    const [app] = await this.#vault.listApps()
    await keeper.addAccount({
      ...issuer.account,
      ...(app ? { appId: app.id } : {}),
      ref: ref(accountId),
      destinations: [accountId],
    })
    const openedAt = systemClock.now()
    await this.#vault.openLoginRequest({
      id: accountId,
      ref: ref(accountId),
      openedAt,
      reason: 'nobody has logged in',
    })
  }

  /** Logged in an hour ago: the access token (generation 1) has ended, the refresh token is good. */
  async addColdAccount(accountId: string): Promise<void> {
    await this.#addLoggedIn(accountId, -1_000)
  }

  /** Logged in an hour ago: the access token (generation 1) lives on, and is so near its end that a new one is due. */
  async addDueAccount(accountId: string): Promise<void> {
    await this.#addLoggedIn(accountId, 50_000)
  }

  async #addLoggedIn(accountId: string, endsInMs: number): Promise<void> {
    await this.addAccount(accountId)
    const vault = this.#vault
    const { userId } = this.issuer
    const then = plus(systemClock.now(), -3_600_000)
    const expiry = { at: plus(systemClock.now(), endsInMs), source: 'declared' } as const
    await vault.recordGrants([
      {
        id: `first of ${accountId}`,
        ref: ref(accountId),
        slot: 'trading',
        accessToken: new Secret('canary-first-access'),
        refresh: { token: new Secret(this.issuer.refreshToken()) },
        scopes: [],
        expiry,
        brokerUserId: userId,
        origin: 'login',
        sentAt: then,
        receivedAt: then,
        appVersion: 1,
      },
    ])
    const [account, session] = [
      await vault.loadAccount(accountId),
      await vault.loadSession(accountId, 'trading'),
    ]
    if (!account || !session) throw new Error('the account is not there')
    await vault.saveAccount({ ...account, brokerUserId: userId }, account.version)
    const accepted = { generation: 1, token: 'live', expiry, acceptedAt: then, acceptedBy: 'me' } as const
    await vault.saveSession({ ...session, ...accepted, dueAt: then }, session.version)
    await vault.satisfyLoginRequests(accountId, then)
  }

  async kept(accountId: string): Promise<Kept> {
    const grants = await this.#vault.listGrants(accountId)
    const text = await readFile(this.#file(accountId), 'utf8').catch(() => '{}')
    const inFile: unknown = JSON.parse(text).access_token
    return {
      session: await this.#vault.loadSession(accountId, 'trading'),
      grants,
      intents: await this.#vault.listIntents(accountId),
      asked: (await this.#vault.loadOpenLoginRequest(accountId)) !== undefined,
      inFile: grants.find(({ accessToken }) => accessToken.expose() === inFile)?.generation ?? 0,
    }
  }

  /** Looks until what is kept is as wanted; what it was at the end of patience otherwise, for the test to show. */
  async keptOnce(accountId: string, wanted: (kept: Kept) => boolean, waitMs = patienceMs): Promise<Kept> {
    const until = performance.now() + waitMs
    for (;;) {
      const kept = await this.kept(accountId)
      if (wanted(kept) || performance.now() > until) return kept
      await systemClock.sleep(20)
    }
  }

  /** Until the broker has been sent that many. */
  async requests(count: number): Promise<void> {
    const until = performance.now() + patienceMs
    while (this.issuer.tokenRequests() < count) {
      if (performance.now() > until) throw new Error(`the broker never got ${count} requests`)
      await systemClock.sleep(5)
    }
  }

  #file(accountId: string): string {
    return join(this.#folder, `${accountId}.json`)
  }
}
