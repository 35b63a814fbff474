/** A house of cardboard for the tests of the commands: keeps what it is told in memory and asks no broker. */

import type { House, Settings } from '../compose/house.ts'
import { OpenbellError } from '../core/errors.ts'
import type { AccountStatus, BrokerInfo, Keeper, LoginResult } from '../core/keeper.ts'
import type { AccountRef, ApiKey, Destination, LedgerEvent } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type Instant, instant, minuteMs, plus } from '../core/time.ts'
import { type Context, Interrupted, type Io, type Question } from './command.ts'

/** Monday 23 November 2026, 09:00 in Kolkata. */
export const morning = instant(Date.parse('2026-11-23T03:30:00Z'))

export const kiteInfo: BrokerInfo = {
  id: 'kite',
  name: 'Zerodha Kite',
  docs: 'https://kite.trade/docs/connect/v3/',
  zone: 'Asia/Kolkata',
  originRoles: ['login', 'api'],
  credentials: {
    apiKey: {
      label: 'API key',
      secret: false,
      help: 'It is on the page of your app.',
      pattern: /[a-z0-9]{8}/,
      shape: '8 letters and digits',
    },
    apiSecret: {
      label: 'API secret',
      secret: true,
      help: 'It is on the page of your app.',
      pattern: /canary-[a-z-]+/,
      shape: 'a canary',
    },
  },
  login: 'redirect',
  steps: [],
  environments: ['live', 'simulator'],
  unattended: false,
  env: { accessToken: 'KITE_ACCESS_TOKEN', appKey: 'KITE_API_KEY' },
}

export const tastyInfo: BrokerInfo = {
  id: 'tastytrade',
  name: 'tastytrade',
  docs: 'https://developer.tastytrade.com/',
  zone: 'America/New_York',
  originRoles: ['api'],
  credentials: {
    clientId: { label: 'Client ID', secret: false, help: 'It is on the page of your application.' },
    clientSecret: { label: 'Client secret', secret: true, help: 'It is shown once.' },
  },
  login: 'paste-grant',
  steps: ['Open the page of your application.', 'Create a grant and copy it.'],
  grantField: { label: 'Refresh token', secret: true, help: 'It is shown once.' },
  environments: ['live', 'sandbox', 'simulator'],
  unattended: true,
  env: { accessToken: 'TASTYTRADE_ACCESS_TOKEN' },
}

export function statusOf(accountId: string, changes: Partial<AccountStatus> = {}): AccountStatus {
  return {
    ref: { tenantId: 'default', accountId },
    label: accountId,
    brokerId: 'kite',
    brokerName: 'Zerodha Kite',
    environment: 'live',
    slot: 'trading',
    redirectUri: 'http://127.0.0.1:8079/callback',
    unattended: false,
    generation: 0,
    token: 'none',
    evidence: '',
    work: { state: 'idle' },
    delivered: { n: 0, m: 0 },
    deliveries: [],
    bell: 'unknown',
    ...changes,
  }
}

/** What a login leaves behind. */
export const live = {
  token: 'live',
  generation: 1,
  expiry: { at: instant(Date.parse('2026-11-24T00:30:00Z')), source: 'broker-rule' },
  evidence: 'Zerodha Kite accepted profile at 08:59',
} as const satisfies Partial<AccountStatus>

export interface FakeHouse extends House {
  statuses: Map<string, AccountStatus>
  /** The ledger, oldest first. */
  events: LedgerEvent[]
  apiKeys: ApiKey[]
  /** Calls that change something, in order: `finishLogin`. */
  calls: { name: string; input: unknown }[]
  /** Ends the login that listens, as the browser coming back does. */
  browserReturns(result: LoginResult | Error): void
  /** Says that something changed, as another process does. */
  changed(): void
  listening: boolean
}

/** What the first call that changed something was given. */
export function firstInput<Input>({ calls: [first] }: Pick<FakeHouse, 'calls'>): Input {
  if (!first) throw new Error('nothing was changed')
  return first.input as Input
}

export function fakeHouse(statuses: readonly AccountStatus[] = [], keeper: Partial<Keeper> = {}): FakeHouse {
  const kept = new Map(statuses.map((status) => [status.ref.accountId, status]))
  const destinations = new Map<string, Destination>()
  const listeners = new Set<() => void>()
  const events: LedgerEvent[] = []
  const apiKeys: ApiKey[] = []
  const calls: FakeHouse['calls'] = []
  let returns = Promise.withResolvers<LoginResult>()

  const of = ({ accountId }: AccountRef): AccountStatus => {
    const found = kept.get(accountId)
    if (!found) throw new OpenbellError('unknown-account', `There is no account "${accountId}".`)
    return found
  }
  const change = (ref: AccountRef, changes: Partial<AccountStatus>): AccountStatus => {
    const changed = { ...of(ref), ...changes }
    kept.set(ref.accountId, changed)
    return changed
  }
  const note = (name: string, input: unknown) => calls.push({ name, input })

  const whole: Keeper = {
    async start() {},
    async stop() {},
    brokers: () => [kiteInfo, tastyInfo],
    async addAccount(input) {
      note('addAccount', input)
      const info = [kiteInfo, tastyInfo].find(({ id }) => id === input.brokerId) ?? kiteInfo
      const added = statusOf(input.ref.accountId, {
        brokerId: info.id,
        brokerName: info.name,
        environment: input.environment,
        unattended: info.unattended,
      })
      kept.set(input.ref.accountId, added)
      return added
    },
    async editAccount(ref, changes) {
      note('editAccount', changes)
      if (!changes.destinations) return of(ref)
      const m = changes.destinations.length
      return change(ref, {
        delivered: { n: m, m },
        deliveries: changes.destinations.map((destinationId) => ({
          accountId: 'kite-main',
          destinationId,
          kind: 'dotenv',
          where: destinations.get(destinationId)?.settings.path ?? '',
          desired: 1,
          delivered: 1,
        })),
      })
    },
    pauseAccount: async (ref) => change(ref, { work: { state: 'paused' } }),
    resumeAccount: async (ref) => change(ref, { work: { state: 'idle' } }),
    async removeAccount(ref) {
      note('removeAccount', of(ref).ref)
      kept.delete(ref.accountId)
    },
    status: async () => [...kept.values()],
    statusOf: async (ref) => of(ref),
    async check(ref) {
      note('check', ref)
      return of(ref)
    },
    plan: async () => [
      { at: plus(morning, 5 * minuteMs), action: 'probe', reason: 'the token is not confirmed' },
    ],
    session: () => undefined,
    async token(ref) {
      const { token, expiry, slot, generation } = of(ref)
      if (token !== 'live' || !expiry) {
        throw new OpenbellError('login-needed', `${ref.accountId} has no token: a person must log in.`, ref)
      }
      return {
        ref,
        slot,
        generation,
        token,
        accessToken: new Secret('canary-access-token'),
        appKey: new Secret('key'),
        headers: { 'X-Kite-Version': '3', Authorization: new Secret('token key:canary-access-token') },
        expiry,
      }
    },
    renew: async (ref) => of(ref),
    async reportRejected() {},
    async beginLogin(ref) {
      const { brokerId } = of(ref)
      const expiresAt = plus(morning, 10 * minuteMs)
      const state = new Secret('canary-state')
      if (brokerId === 'tastytrade') {
        return {
          kind: 'paste-grant',
          steps: tastyInfo.steps,
          field: tastyInfo.grantField ?? { label: 'Grant', secret: true, help: '' },
          expiresAt,
          state,
        }
      }
      const redirectUri = 'http://127.0.0.1:8079/callback'
      return {
        kind: 'redirect',
        url: 'https://kite.zerodha.com/connect/login?v=3',
        redirectUri,
        state,
        expiresAt,
      }
    },
    async finishLogin(input) {
      note('finishLogin', input)
      if (!input.ref) throw new Error('the fake needs to know the account')
      return { status: change(input.ref, { ...live, work: { state: 'idle' } }), exchanged: true }
    },
    async logout(ref) {
      note('logout', of(ref).ref)
      return { status: change(ref, { token: 'dead' }), atBroker: 'ended' }
    },
    async importToken(ref, accessToken) {
      note('importToken', accessToken)
      return change(ref, live)
    },
    destinationKinds: () => [
      {
        kind: 'dotenv',
        settings: {
          path: { label: 'Path', help: 'The file that programs read.' },
          accessToken: { label: 'Variable', optional: true, help: 'The name of the variable.' },
        },
      },
    ],
    async addDestination(input) {
      note('addDestination', input)
      const destination = { ...input, version: 1 }
      destinations.set(input.id, destination)
      return destination
    },
    listDestinations: async () => [...destinations.values()],
    testDestination: async (_, id) =>
      [...kept.values()].flatMap(({ deliveries }) =>
        deliveries.filter(({ destinationId }) => destinationId === id),
      ),
    async removeDestination(_, id) {
      note('removeDestination', id)
      destinations.delete(id)
    },
    events: async ({ accountId, afterSeq = 0, limit = 100 }) =>
      events
        .filter((event) => event.seq > afterSeq && (accountId ?? event.accountId) === event.accountId)
        .slice(-limit),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    ...keeper,
  }

  const house: FakeHouse = {
    settings: fakeSettings,
    statuses: kept,
    calls,
    keeper: whole,
    events,
    apiKeys,
    ledger: { firstBrokenEvent: async () => undefined } as Partial<House['ledger']> as House['ledger'],
    keys: {
      async create({ tenantId, label, scopes }) {
        const id = `key${apiKeys.length + 1}`
        const record = { id, tenantId, digest: '', label, scopes, createdAt: morning }
        apiKeys.push(record)
        return { key: new Secret(`canary-${id}`), record }
      },
      verify: async () => undefined,
      list: async () => [...apiKeys],
      async revoke(_, id) {
        const place = apiKeys.findIndex((key) => key.id === id)
        const found = apiKeys[place]
        if (found) apiKeys[place] = { ...found, revokedAt: morning }
      },
    },
    listening: false,
    async listenForLogin() {
      house.listening = true
      return {
        finished: returns.promise,
        async close() {
          house.listening = false
        },
      }
    },
    browserReturns(result) {
      if (result instanceof Error) returns.reject(result)
      else returns.resolve(result)
      returns = Promise.withResolvers()
    },
    changed() {
      for (const listener of listeners) listener()
    },
    forward: async () => ({ address: 'http://127.0.0.1:5001/', async close() {} }),
    serve: async () => ({ url: 'http://127.0.0.1:8079', async close() {} }),
    serviceIsUp: async () => false,
    clockOffsets: () => ({}),
    async close() {},
  }
  return house
}

export const fakeSettings: Settings = {
  home: '/nowhere/openbell',
  vaultPath: '/nowhere/openbell/vault.db',
  keyPath: '/nowhere/openbell/key',
  keyFromEnvironment: undefined,
  apiKeyPath: '/nowhere/openbell/api-key',
  host: '127.0.0.1',
  port: 8079,
  publicUrl: undefined,
  logLevel: 'silent',
  tenantId: 'default',
}

export interface FakeIo extends Io {
  stdout: string
  stderr: string
  /** Questions as they were asked. */
  asked: string[]
}

/** `answers` are given in order; `stop` is Ctrl-C, `never` waits until the question is taken away. */
export function fakeIo(
  answers: readonly string[] = [],
  changes: Partial<Io> & { stdin?: string } = {},
): FakeIo {
  const left = [...answers]
  const answer = async (
    question: string,
    { default: usual, validate, signal }: Question = {},
  ): Promise<string> => {
    io.asked.push(question)
    for (;;) {
      const next = left.shift()
      if (next === undefined) throw new Error(`nobody answers: ${question}`)
      if (next === 'stop') throw new Interrupted()
      if (next === 'never') return taken(signal)
      const value = next === '' ? (usual ?? '') : next
      const problem = validate?.(value)
      if (problem === undefined) return value
      io.stderr += `${problem}\n`
    }
  }
  const io: FakeIo = {
    stdout: '',
    stderr: '',
    asked: [],
    out: (text) => {
      io.stdout += `${text}\n`
    },
    err: (text) => {
      io.stderr += `${text}\n`
    },
    isTTY: answers.length > 0,
    canAsk: answers.length > 0,
    width: 80,
    height: 24,
    colour: false,
    ask: answer,
    askSecret: async (question, options) => new Secret(await answer(question, options)),
    choose: (question) => answer(question),
    confirm: async (question) => (await answer(question)) === 'yes',
    readStdin: async () => changes.stdin ?? '',
    openBrowser: async () => false,
    untilStopped: async () => undefined,
    now: (): Instant => morning,
    sleep: (_, signal) => new Promise((resolve) => signal?.addEventListener('abort', () => resolve())),
    zone: () => 'Europe/Berlin',
    start: async () => {
      throw new Error('this test starts no program')
    },
    onSignal: () => () => undefined,
    cwd: () => '/project',
    ...changes,
  }
  return io
}

function taken(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason))
  })
}

export function fakeContext(house: House, io: Io, json = false): Context & { close(): Promise<void> } {
  return {
    json,
    io,
    settings: async () => house.settings,
    house: async () => house,
    close: () => house.close(),
  }
}
