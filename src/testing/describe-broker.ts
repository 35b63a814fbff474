/**
 * What every broker adapter must do, as a suite. Runs the adapter's captured cases and then holds it to the rules
 * that no case can show. Imports no test runner: pass the `describe`, `it` and `expect` of yours.
 */

import { inspect } from 'node:util'
import type { Broker, During, Exchange, ExchangeInput, Origins, Verdict } from '../core/broker.ts'
import { isProblem } from '../core/broker.ts'
import { type ErrorCode, errorCodes, isOpenbellError, type Problem, type Remedy } from '../core/errors.ts'
import type { App, Environment, Expiry, GrantDraft, Slot } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type Instant, instant } from '../core/time.ts'
import { Answer, type NoAnswer, type Outcome, type WireRequest } from '../core/wire.ts'

/** One answer and what the adapter makes of it. Points in time are ISO 8601. */
export interface BrokerCase {
  description: string
  during: During
  /** When it was sent and answered; default `2026-11-23T04:00:00Z`, a Monday. */
  now?: string
  /** The code, pasted grant or refresh token that was sent; default a made-up one. */
  sent?: string
  /** `text`: a body that is no JSON. */
  answer?: { status: number; headers?: Record<string, string>; body?: unknown; text?: string }
  noAnswer?: Pick<NoAnswer, 'sent' | 'cause'>
  expect: 'ok' | 'unclear' | ExpectedProblem
  /** For a spend that is ok: what `read` yields. A field that is absent here must be absent there. */
  grant?: ExpectedGrant
  /** For a probe that is ok: what its `userId` yields. */
  userId?: string
}

interface ExpectedProblem {
  remedy: Remedy
  code: ErrorCode
  brokerCode?: string
  until?: string
}

interface ExpectedGrant {
  accessToken: string
  refreshToken?: string
  slot?: Slot
  scopes?: string[]
  brokerUserId?: string
  expiry: { at: string; source: Expiry['source']; doubtUntil?: string }
}

interface Expectation {
  toBe(expected: unknown): void
  toEqual(expected: unknown): void
}

export interface BrokerContract {
  cases: readonly BrokerCase[]
  /** Every secret credential is at least 24 characters that occur nowhere else. */
  app: App
  /** For brokers with a redirect. */
  redirect?: {
    /** The redirect that follows when the person agrees on that login page. */
    accepted(login: URL): URLSearchParams
    refused(login: URL): URLSearchParams
    /** Queries of other brokers' redirects. */
    foreign: readonly string[]
  }
  /** Calls `check` with many made-up bodies, e.g. `fc.assert(fc.property(fc.anything(), check))`. */
  garbage?(check: (body: unknown) => void): void
  describe(name: string, body: () => void): void
  it(name: string, body: () => void): void
  expect(actual: unknown, message?: string): Expectation
}

const usualNow = '2026-11-23T04:00:00Z'
const canaries = {
  code: 'canary-code-0a1b2c3d4e5f6a7b8c9d',
  accessToken: 'canary-access-0a1b2c3d4e5f6a7b8c',
  refreshToken: 'canary-refresh-0a1b2c3d4e5f6a7b8',
}
const everyDuring: readonly During[] = ['code', 'refresh', 'probe', 'revoke', 'read']
const noProof = [
  null,
  undefined,
  '',
  '<html><body>Welcome</body></html>',
  0,
  true,
  [],
  {},
  [{}],
  nested(2_000),
]

export function describeBroker(broker: Broker, contract: BrokerContract): void {
  const { cases, describe, it, expect } = contract

  describe(`${broker.name}, captured cases`, () => {
    for (const each of cases) it(`${each.during}: ${each.description}`, () => runCase(broker, contract, each))

    it('shows a success and a refusal of everything the broker can do', () => {
      const abilities: During[] = ['code', 'probe']
      if (broker.refresh) abilities.push('refresh')
      if (broker.revoke) abilities.push('revoke')
      for (const during of abilities) {
        const expected = cases.filter((each) => each.during === during).map((each) => each.expect)
        expect(expected.includes('ok'), `a success during ${during}`).toBe(true)
        expect(
          expected.some((each) => typeof each === 'object'),
          `a refusal during ${during}`,
        ).toBe(true)
      }
    })
  })

  describe(`${broker.name}, the contract of every broker`, () => {
    it('describes itself in a form that screens and files can use', () => describesItself(broker, expect))
    it('gives rules that can be kept', () => givesRules(broker, expect))
    describeRequests(broker, contract)
    describeAnswers(broker, contract)
    if (broker.login.kind === 'redirect') describeRedirect(broker, broker.login, contract)
  })
}

// --------------------------------------------------------------------------------------------------- cases

function runCase(broker: Broker, { app, expect }: BrokerContract, each: BrokerCase): void {
  const outcome = outcomeOf(each)
  const verdict = broker.judge(outcome, each.during)
  if (typeof each.expect === 'string') {
    expect(verdict).toEqual(each.expect)
  } else {
    const { message: _, ...found } = asProblem(verdict)
    const { until, ...expected } = each.expect
    expect(found).toEqual({ ...expected, ...(until !== undefined && { until: Date.parse(until) }) })
  }

  if (each.expect !== 'ok' || outcome.kind !== 'answer') return
  if (each.during === 'code' || each.during === 'refresh') {
    if (!each.grant) throw new Error('a spend that is ok needs the grant it yields')
    const draft = readOf(broker, app, each)(outcome)
    expect(plainGrant(draft)).toEqual(expectedGrant(each.grant))
    expect(draft.refresh === undefined, 'no refresh token is made up').toBe(!each.grant.refreshToken)
    expect(draft.expiry.at > timeOf(each), 'the expiry lies ahead').toBe(true)
    for (const holed of withoutValue(each.answer?.body, each.grant.accessToken)) {
      const answer = answerOf(each, holed)
      expect(broker.judge(answer, each.during), 'without its access token').toBe('unclear')
      expect(
        throws(() => readOf(broker, app, each)(answer)),
        'read throws without an access token',
      ).toBe(true)
    }
  } else if (each.during === 'probe') {
    const ids = broker.probes.map((probe) => probe.userId?.(outcome))
    expect(ids.find((id) => id !== undefined)).toBe(each.userId)
  }
}

function plainGrant(draft: GrantDraft): unknown {
  const { accessToken, refresh, also: _, ...rest } = draft
  return {
    ...rest,
    accessToken: accessToken.expose(),
    ...(refresh && { refreshToken: refresh.token.expose() }),
  }
}

function expectedGrant({ expiry, slot = 'trading', scopes = [], ...rest }: ExpectedGrant): unknown {
  const { at, source, doubtUntil } = expiry
  return {
    ...rest,
    slot,
    scopes,
    expiry: { at: Date.parse(at), source, ...(doubtUntil && { doubtUntil: Date.parse(doubtUntil) }) },
  }
}

/** Reads as the engine would have. */
function readOf(broker: Broker, app: App, each: BrokerCase): (answer: Answer) => GrantDraft {
  const input = { app, origins: originsOf(broker, app), now: timeOf(each) }
  const sent = each.sent
  if (each.during === 'code') {
    const code = new Secret(sent ?? canaries.code)
    return (answer) => broker.login.exchange.read(answer, { ...input, code })
  }
  const { refresh } = broker
  if (!refresh) throw new Error(`${broker.id} cannot refresh, yet has a case of it`)
  const refreshToken = new Secret(sent ?? canaries.refreshToken)
  return (answer) => refresh.read(answer, { ...input, refreshToken })
}

function timeOf(each: BrokerCase): Instant {
  return instant(Date.parse(each.now ?? usualNow))
}

function outcomeOf(each: BrokerCase): Outcome {
  if (each.noAnswer) return { kind: 'no-answer', ...each.noAnswer, message: 'Nothing came back.' }
  return answerOf(each, each.answer?.body)
}

function answerOf(each: BrokerCase, body: unknown): Answer {
  const { status = 0, headers = {} } = each.answer ?? {}
  return new Answer({ status, headers, body, receivedAt: timeOf(each) })
}

// ------------------------------------------------------------------------------------------- words and rules

function describesItself(broker: Broker, expect: BrokerContract['expect']): void {
  const { credentials, env, environments, login, probes } = broker
  const formed = (what: string, value: string, form: RegExp) =>
    expect(form.test(value), `${what} is ${value}`).toBe(true)

  formed('id', broker.id, /^[a-z][a-z0-9-]*$/)
  formed('name', broker.name, /^\S.*\S$/)
  formed('docs', broker.docs, /^https:\/\/\S+$/)
  for (const probe of probes) formed('probe id', probe.id, /^[a-z][a-z0-9-]*$/)
  for (const [role, variable] of Object.entries(env)) formed(`env ${role}`, variable, /^[A-Z][A-Z0-9_]*$/)
  for (const key of Object.keys(credentials)) formed('credential', key, /^[a-z][A-Za-z0-9]*$/)

  const fields = [...Object.values(credentials), ...(login.kind === 'paste-grant' ? [login.field] : [])]
  for (const { label, help, pattern, shape } of fields) {
    formed('label', label, /^\S.*\S$/)
    formed('help', help, /^[A-Z].*\.$/)
    expect(pattern === undefined, `${label} has a pattern and its words, or neither`).toBe(
      shape === undefined,
    )
    if (pattern) formed(`pattern of ${label}`, pattern.source, /^\^.*\$$/)
  }
  if (login.kind === 'paste-grant') {
    expect(login.field.secret, 'a pasted grant is typed without echo').toBe(true)
    expect(login.steps.length > 0, 'there are steps').toBe(true)
  }

  const appKey = credentials[broker.appKey]
  expect(appKey && !appKey.secret && !appKey.optional, 'the app key is required and public').toBe(true)

  for (const origins of Object.values(environments)) {
    for (const origin of Object.values(origins)) {
      formed('origin', origin, /^https:/)
      expect(new URL(origin).origin).toBe(origin)
    }
  }
}

function givesRules({ rules }: Broker, expect: BrokerContract['expect']): void {
  const { limits, marginMs, mintFrom, zone } = rules
  expect(
    throws(() => new Intl.DateTimeFormat('en', { timeZone: zone })),
    `zone ${zone}`,
  ).toBe(false)
  expect(Number.isFinite(marginMs) && marginMs >= 0, 'margin').toBe(true)
  if (mintFrom) expect(/^([01]\d|2[0-3]):[0-5]\d$/.test(mintFrom.time), mintFrom.time).toBe(true)

  const { failedAuth, silentBlock } = limits
  const numbers = { ...limits, ...failedAuth, ...silentBlock }
  for (const [what, value] of Object.entries(numbers)) {
    if (typeof value === 'number') expect(Number.isInteger(value) && value > 0, what).toBe(true)
  }
  // These go in front of "; nothing is sent before …".
  for (const why of [failedAuth.why, silentBlock?.why, mintFrom?.why]) {
    if (why !== undefined) expect(/\S[^.]$/.test(why), why).toBe(true)
  }
}

// ------------------------------------------------------------------------------------------------- requests

function describeRequests(broker: Broker, { app, it, expect }: BrokerContract): void {
  const secrets = secretsOf(broker, app)
  const stages: Environment[] = [...(Object.keys(broker.environments) as Environment[])]
  if (!stages.includes(app.environment)) stages.push(app.environment)

  for (const environment of stages) {
    const { origins: _, ...bare } = app
    const staged: App = environment === app.environment ? app : { ...bare, environment }
    const origins = Object.values(originsOf(broker, staged))

    it(`sends only to the ${environment} origins, in the form the wire takes`, () => {
      for (const [what, request] of requestsOf(broker, staged)) {
        const url = new URL(request.url)
        expect(origins.includes(url.origin), `${what} goes to ${url.origin}`).toBe(true)
        if (environment !== 'simulator') expect(url.protocol, what).toBe('https:')
        expect(url.search + url.hash, `${what} keeps its query apart`).toBe('')
        expect(url.username + url.password, `${what} has no user in its URL`).toBe('')
        const headers = laidOpen(request.headers) as Record<string, string>
        for (const value of Object.values(headers)) expect(/[\r\n]/.test(value), what).toBe(false)
        const typed = Object.keys(headers).some((key) => key.toLowerCase() === 'content-type')
        expect(typed, `${what} names a media type exactly when it has a body`).toBe(
          request.body !== undefined,
        )
      }
    })
  }

  it('shows no secret when a request is printed', () => {
    for (const [what, request] of requestsOf(broker, app)) {
      for (const secret of secrets) expect(leaks(request, secret), what).toBe(false)
    }
    for (const secret of secrets) expect(leaks(broker.authorize(tokenInput(broker, app)), secret)).toBe(false)
  })

  it('uses every required credential', () => {
    const sentBy = (variant: App) => JSON.stringify(laidOpen([...requestsOf(broker, variant)]))
    for (const [key, field] of Object.entries(broker.credentials)) {
      if (field.optional) continue
      const credentials = { ...app.credentials, [key]: new Secret('another-value-entirely-0123') }
      expect(sentBy({ ...app, credentials }) === sentBy(app), `${key} changes nothing`).toBe(false)
    }
  })

  it('names the credential that is missing or empty rather than sending nothing', () => {
    for (const [key, field] of Object.entries(broker.credentials)) {
      if (field.optional) continue
      const { [key]: _, ...missing } = app.credentials
      for (const credentials of [missing, { ...missing, [key]: new Secret('') }]) {
        const error = thrown(() => requestsOf(broker, { ...app, credentials }))
        expect(isOpenbellError(error) && `${error.code} ${error.field}`).toBe(`invalid-field ${key}`)
        for (const secret of secrets) expect(leaks(error, secret), key).toBe(false)
      }
    }
  })

  it('puts the secret it spends, or proves, into the request', () => {
    const sent = JSON.stringify(laidOpen([...requestsOf(broker, app)]))
    const needed = [canaries.code, canaries.accessToken, ...(broker.refresh ? [canaries.refreshToken] : [])]
    for (const secret of needed) expect(sent.includes(secret), secret.slice(0, 14)).toBe(true)
    const carried = JSON.stringify(laidOpen(broker.authorize(tokenInput(broker, app))))
    expect(carried.includes(canaries.accessToken), 'authorize').toBe(true)
  })

  it('builds the same request from the same input', () => {
    expect(laidOpen([...requestsOf(broker, app)])).toEqual(laidOpen([...requestsOf(broker, app)]))
  })
}

function requestsOf(broker: Broker, app: App): Map<string, WireRequest> {
  const token = tokenInput(broker, app)
  const input: ExchangeInput = { app: token.app, origins: token.origins, now: token.now }
  const requests = new Map<string, WireRequest>()
  requests.set('exchange', broker.login.exchange.request({ ...input, code: new Secret(canaries.code) }))
  if (broker.refresh) {
    const refreshToken = new Secret(canaries.refreshToken)
    requests.set('refresh', broker.refresh.request({ ...input, refreshToken }))
  }
  if (broker.revoke) requests.set('revoke', broker.revoke(token))
  for (const probe of broker.probes) requests.set(`probe ${probe.id}`, probe.request(token))
  return requests
}

function tokenInput(broker: Broker, app: App) {
  const accessToken = new Secret(canaries.accessToken)
  return { app, origins: originsOf(broker, app), now: instant(Date.parse(usualNow)), accessToken }
}

function originsOf(broker: Broker, app: App): Origins {
  const fixed = app.environment === 'simulator' ? undefined : broker.environments[app.environment]
  const origins = fixed ?? app.origins
  if (!origins) throw new Error(`${broker.id} has no origins for ${app.environment}; give the app some`)
  return origins
}

/** Everything that must never be printed. */
function secretsOf(broker: Broker, app: App): string[] {
  const credentials = Object.entries(app.credentials)
    .filter(([key]) => broker.credentials[key]?.secret)
    .map(([, value]) => value.expose())
  return [...credentials, ...Object.values(canaries)]
}

// -------------------------------------------------------------------------------------------------- answers

function describeAnswers(broker: Broker, contract: BrokerContract): void {
  const { cases, app, it, expect } = contract
  const answered = cases.filter((each) => each.answer?.body !== undefined)
  const exchanges: Exchange<never>[] = [broker.login.exchange, ...(broker.refresh ? [broker.refresh] : [])]

  it('takes no answer for what it is: nothing known, try again', () => {
    for (const during of everyDuring) {
      for (const sent of ['unsent', 'maybe-sent'] as const) {
        for (const cause of [
          'unreachable',
          'timeout',
          'reset',
          'truncated',
          'too-large',
          'refused-by-policy',
        ] as const) {
          const found = asProblem(
            broker.judge({ kind: 'no-answer', sent, cause, message: 'Nothing.' }, during),
          )
          checkProblem(found, expect)
          expect(found.code).toBe('broker-unreachable')
        }
      }
    }
  })

  it('never takes a body that proves nothing for proof, and never throws on it', () => {
    const check = (body: unknown) => {
      for (const during of everyDuring) {
        for (const status of [200, 201, 204, 302, 400, 401, 403, 404, 406, 418, 422, 423, 429, 500, 503]) {
          const verdict = broker.judge(answer(status, body), during)
          expect(verdict === 'ok', `${status} during ${during}`).toBe(false)
          if (isProblem(verdict)) checkProblem(verdict, expect)
        }
      }
    }
    for (const body of noProof) check(body)
    contract.garbage?.(check)
  })

  it('never blames a token or a setting for an outage, whatever the body says', () => {
    for (const body of [undefined, ...answered.map((each) => each.answer?.body)]) {
      for (const during of everyDuring) {
        for (const status of [429, 500, 502, 503, 504]) {
          const found = asProblem(broker.judge(answer(status, body), during))
          checkProblem(found, expect)
          expect(found.remedy, `${status} during ${during}`).toBe('wait')
        }
      }
    }
  })

  it('never takes an answer that is no JSON for a dead token', () => {
    for (const during of everyDuring) {
      for (const status of [200, 400, 401, 403, 404]) {
        const verdict = broker.judge(answer(status, undefined), during)
        const blamed = isProblem(verdict) && !['wait', 'retry'].includes(verdict.remedy)
        expect(blamed, `${status} during ${during}`).toBe(false)
      }
    }
  })

  it('repeats nothing that a body might have brought along', () => {
    const smuggled = [
      ...secretsOf(broker, app),
      'x'.repeat(100_000),
      'word '.repeat(20_000),
      '\u001b[2J\u202e',
      'line\nline',
    ]
    for (const each of answered) {
      for (const words of smuggled) {
        for (const body of withEachText(each.answer?.body, (text) => [words, `${text} ${words}`])) {
          const verdict = broker.judge(answerOf(each, body), each.during)
          if (isProblem(verdict)) {
            checkProblem(verdict, expect)
            expect(JSON.stringify(verdict).includes(words), each.description).toBe(false)
          }
        }
      }
    }
  })

  it('shows no secret when a grant is printed', () => {
    for (const each of cases) {
      const outcome = outcomeOf(each)
      if (!each.grant || outcome.kind !== 'answer') continue
      const draft = readOf(broker, app, each)(outcome)
      const hidden = [each.grant.accessToken, each.grant.refreshToken, each.sent, ...secretsOf(broker, app)]
      for (const secret of hidden) {
        if (secret) expect(leaks(draft, secret), each.description).toBe(false)
      }
    }
  })

  it('throws rather than reading a token out of nothing', () => {
    const input = { ...tokenInput(broker, app), code: new Secret('x'), refreshToken: new Secret('x') }
    for (const { read } of exchanges) {
      for (const body of noProof) {
        expect(
          throws(() => read(answer(200, body), input as never)),
          inspect(body, { depth: 0 }),
        ).toBe(true)
      }
    }
  })

  if (broker.refresh) {
    it('has a case of a refresh that brings no new refresh token', () => {
      const kept = cases.filter((each) => each.during === 'refresh' && each.grant && !each.grant.refreshToken)
      expect(kept.length > 0).toBe(true)
    })
  }
}

function answer(status: number, body: unknown): Answer {
  return new Answer({ status, headers: {}, body, receivedAt: instant(Date.parse(usualNow)) })
}

function asProblem(verdict: Verdict): Problem {
  if (!isProblem(verdict)) throw new Error(`expected a problem, found ${verdict}`)
  return verdict
}

function checkProblem(found: Problem, expect: BrokerContract['expect']): void {
  expect(found.remedy, found.code).toBe(errorCodes[found.code])
  // One sentence for people, in plain characters, with the broker's own code beside it.
  expect(/^[A-Za-z][\x20-\x7e…]{9,400}\.$/.test(found.message), found.message.slice(0, 500)).toBe(true)
  expect(/^[\w .-]{1,40}$/.test(found.brokerCode ?? 'none'), 'broker code').toBe(true)
}

// ------------------------------------------------------------------------------------------------- redirect

function describeRedirect(
  broker: Broker,
  login: Extract<Broker['login'], { kind: 'redirect' }>,
  { app, redirect, it, expect }: BrokerContract,
): void {
  if (!redirect) throw new Error(`${broker.id} logs in by redirect; describeBroker needs \`redirect\``)
  const origins = originsOf(broker, app)
  const states = ['canary-state-0123456789', 'a&b=c d+e%20f#g?ü']

  it('sends the person to its own login page, with the state and without a secret', () => {
    for (const state of states) {
      const page = login.url({ app, origins, state })
      expect(Object.values(origins).includes(new URL(page).origin)).toBe(true)
      for (const secret of secretsOf(broker, app)) expect(leaks(page, secret)).toBe(false)
    }
  })

  it('gets state and code back from the redirect', () => {
    for (const state of states) {
      const callback = login.callback(redirect.accepted(new URL(login.url({ app, origins, state }))))
      expect(callback.kind).toBe('code')
      if (callback.kind !== 'code') continue
      expect(callback.state).toBe(state)
      expect(callback.code.isEmpty).toBe(false)
      expect(leaks(callback, callback.code.expose())).toBe(false)
    }
  })

  it('knows a refusal, and whose', () => {
    for (const state of states) {
      const callback = login.callback(redirect.refused(new URL(login.url({ app, origins, state }))))
      expect(callback.kind).toBe('refused')
      if (callback.kind !== 'refused') continue
      expect(callback.state).toBe(state)
      checkProblem(callback.problem, expect)
      expect(callback.problem.remedy).toBe('login')
    }
  })

  it('knows what belongs to somebody else', () => {
    for (const query of ['', 'state=only', ...redirect.foreign]) {
      expect(login.callback(new URLSearchParams(query)).kind, query).toBe('foreign')
    }
  })
}

// ------------------------------------------------------------------------------------------------ taking apart

/** With every secret written out, to see what would go on the wire. */
function laidOpen(value: unknown): unknown {
  if (value instanceof Secret) return value.expose()
  if (Array.isArray(value)) return value.map(laidOpen)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, laidOpen(inner)]))
}

function leaks(value: unknown, secret: string): boolean {
  const printed = `${JSON.stringify(value)} ${inspect(value, { depth: 9, showHidden: true })} ${String(value)}`
  return printed.includes(secret) || printed.includes(encodeURIComponent(secret))
}

function throws(action: () => unknown): boolean {
  return thrown(action) !== undefined
}

function thrown(action: () => unknown): unknown {
  try {
    action()
    return undefined
  } catch (error) {
    return error ?? new Error('something empty was thrown')
  }
}

/** Copies of `body`, each with another one of its texts replaced. */
function withEachText(body: unknown, replacements: (text: string) => string[]): unknown[] {
  if (typeof body === 'string') return replacements(body)
  if (typeof body !== 'object' || body === null) return []
  return Object.entries(body).flatMap(([key, value]) =>
    withEachText(value, replacements).map((changed) =>
      Array.isArray(body) ? body.with(Number(key), changed) : { ...body, [key]: changed },
    ),
  )
}

/** Copies of `body`, each without one of the places that hold `value`. */
function withoutValue(body: unknown, value: string): unknown[] {
  return withEachText(body, (text) => (text === value ? [''] : []))
}

function nested(depth: number): unknown {
  let body: unknown = 'bottom'
  for (let level = 0; level < depth; level++) body = level % 2 === 0 ? { data: body } : [body]
  return body
}
