/**
 * A broker as a function. It knows the truth about every token, answers wrongly when told to, and remembers whatever
 * reached it. How it speaks is a `Dialect`; see dialects.ts.
 */

import type { Clock, Instant } from '../../src/core/time.ts'
import { instant, plus } from '../../src/core/time.ts'
import { Answer, type NoAnswer, type Outcome, type Send, type WireRequest } from '../../src/core/wire.ts'

export interface Token {
  access: string
  refresh: string | undefined
  userId: string
  /** The issuer's own clock. */
  endsAt: Instant
  ended: boolean
  /** Its answer said that it lives longer than it does. */
  hidesItsEnd: boolean
}

interface Family {
  userId: string
  ended: boolean
  tokens: Token[]
}

export type Read =
  | { to: 'token'; how: 'code' | 'refresh'; secret: string; clientKnown: boolean }
  | { to: 'me'; access: string }

export interface Dialect {
  lifetimeEnd(now: Instant): Instant
  read(request: WireRequest, clientSecret: string): Read
  granted(token: Token, now: Instant): object
  person(userId: string): object
  refused(what: 'code' | 'refresh' | 'client' | 'token'): { status: number; body: object }
  /** Makes the value a person pastes, or the code that comes back with the browser. */
  code(userId: string, serial: number): string
  /** The pasted value may be spent again and again. */
  codesLast: boolean
  refreshTokens: 'rotate' | 'stay' | 'none'
  /** Whether a token that is over already can be told from its answer. */
  saysEnd: boolean
  /** A login ends every session of that user before it. */
  loginEndsOthers: boolean
}

/** How the next answer goes wrong. `acts`: the broker does what was asked all the same. */
export type Fault =
  | { kind: 'connection refused' }
  | { kind: 'timeout'; acts: boolean }
  | { kind: 'late'; ms: number }
  | { kind: 'status'; status: 500 | 503; acts: boolean }
  | { kind: 'throttled'; retryAfter?: number }
  | { kind: 'HTML'; acts: boolean }
  | { kind: 'garbage'; acts: boolean }
  | { kind: 'fields missing' }
  | { kind: 'token already dead' }
  | { kind: 'token already ended' }
  | { kind: 'same token again' }
  | { kind: 'no refresh token' }

/** Something that reached the issuer, and what it answered. */
export interface Arrival {
  at: Instant
  to: 'token' | 'me'
  how: 'code' | 'refresh' | undefined
  secret: string
  process: number
  outcome: 'open' | 'granted' | 'accepted' | 'refused' | 'trouble' | 'throttled' | 'unsent'
  retryAfterMs?: number
  token?: Token
  /** When the engine got the outcome; undefined while it has not, or has died first. */
  deliveredAt?: Instant
}

export interface Caller {
  number: number
  isAlive(): boolean
}

export class Issuer {
  readonly arrivals: Arrival[] = []
  readonly faults: Record<'token' | 'me', Fault[]> = { token: [], me: [] }
  clientSecret = 'canary-client-secret'
  /** The issuer's clock minus ours. */
  aheadMs = 0
  inFlight = 0
  readonly #dialect: Dialect
  readonly #clock: Clock
  readonly #heard: (arrival: Arrival) => void
  readonly #tokens = new Map<string, { token: Token; family: Family }>()
  /** Codes and refresh tokens that would be taken now. */
  readonly #good = new Map<string, Family>()
  readonly #families: Family[] = []
  #serial = 0

  constructor(dialect: Dialect, clock: Clock, heard: (arrival: Arrival) => void) {
    this.#dialect = dialect
    this.#clock = clock
    this.#heard = heard
  }

  now(): Instant {
    return instant(this.#clock.now() + this.aheadMs)
  }

  tokenOf(access: string): Token | undefined {
    return this.#tokens.get(access)?.token
  }

  code(userId: string): string {
    const code = this.#dialect.code(userId, ++this.#serial)
    const family: Family = { userId, ended: false, tokens: [] }
    this.#good.set(code, family)
    this.#families.push(family)
    return code
  }

  /** A token of that user's own making, as a person would paste it into a file. */
  mint(userId: string): string {
    return this.#mint({ userId, ended: false, tokens: [] }, undefined).access
  }

  revokeAll(): void {
    for (const family of this.#families) family.ended = true
  }

  killAccess(): void {
    for (const { token } of this.#tokens.values()) token.ended = true
  }

  end(access: string): void {
    const token = this.tokenOf(access)
    if (token) token.ended = true
  }

  connect(caller: Caller): Send {
    return async (request, { deadlineMs }) => {
      const read = this.#dialect.read(request, this.clientSecret)
      const fault = this.faults[read.to].shift()
      const arrival: Arrival = {
        at: this.#clock.now(),
        to: read.to,
        how: read.to === 'token' ? read.how : undefined,
        secret: read.to === 'token' ? read.secret : read.access,
        process: caller.number,
        outcome: 'open',
      }
      this.arrivals.push(arrival)
      this.#heard(arrival)
      this.inFlight++
      const { outcome, takesMs } = this.#answer(read, fault, arrival, deadlineMs)
      if (takesMs > 0) await this.#clock.sleep(takesMs)
      this.inFlight--
      if (!caller.isAlive()) return new Promise(() => undefined)
      arrival.deliveredAt = this.#clock.now()
      this.#heard(arrival)
      // The clocks of both ends are read when the answer arrives.
      return outcome()
    }
  }

  #answer(
    read: Read,
    fault: Fault | undefined,
    arrival: Arrival,
    deadlineMs: number,
  ): { outcome: () => Outcome; takesMs: number } {
    const answers = (status: number, body: unknown, headers: Record<string, string> = {}) => ({
      outcome: () =>
        new Answer({
          status,
          headers: { date: new Date(this.now()).toUTCString(), ...headers },
          body,
          receivedAt: this.#clock.now(),
        }),
      takesMs: 0,
    })
    const silence = (no: NoAnswer, takesMs: number) => ({ outcome: () => no, takesMs })
    const truth = () => this.#act(read, fault, arrival)

    switch (fault?.kind) {
      case 'connection refused':
        arrival.outcome = 'unsent'
        return silence(unreachable, 0)
      case 'timeout':
        if (fault.acts) truth()
        arrival.outcome = 'trouble'
        return silence(timeout, deadlineMs)
      case 'late': {
        const late = truth()
        if (fault.ms < deadlineMs) return { ...answers(late.status, late.body), takesMs: fault.ms }
        arrival.outcome = 'trouble'
        return silence(timeout, deadlineMs)
      }
      case 'status':
        if (fault.acts) truth()
        arrival.outcome = 'trouble'
        return answers(fault.status, { message: 'out of order' })
      case 'throttled':
        arrival.outcome = 'throttled'
        if (fault.retryAfter === undefined) return answers(429, {})
        arrival.retryAfterMs = fault.retryAfter * 1000
        return answers(429, {}, { 'retry-after': String(fault.retryAfter) })
      case 'HTML':
        if (fault.acts) truth()
        arrival.outcome = 'trouble'
        return answers(200, undefined)
      case 'garbage':
        if (fault.acts) truth()
        arrival.outcome = 'trouble'
        return answers(200, { weather: ['fine', 7, null] })
      case 'fields missing': {
        const { status, body } = truth()
        // A refusal needs no fields.
        if (status !== 200) return answers(status, body)
        arrival.outcome = 'trouble'
        return answers(status, read.to === 'me' ? {} : Object.fromEntries(Object.entries(body).slice(0, 1)))
      }
      default: {
        const { status, body } = truth()
        return answers(status, body)
      }
    }
  }

  #act(read: Read, fault: Fault | undefined, arrival: Arrival): { status: number; body: object } {
    if (read.to === 'me') {
      const token = this.tokenOf(read.access)
      const family = this.#tokens.get(read.access)?.family
      if (!token || token.ended || family?.ended || token.endsAt <= this.now()) {
        arrival.outcome = 'refused'
        return this.#dialect.refused('token')
      }
      arrival.outcome = 'accepted'
      return { status: 200, body: this.#dialect.person(token.userId) }
    }
    arrival.outcome = 'refused'
    if (!read.clientKnown) return this.#dialect.refused('client')
    const family = this.#good.get(read.secret)
    if (!family || family.ended) return this.#dialect.refused(read.how)
    const rotates = read.how === 'code' ? !this.#dialect.codesLast : this.#dialect.refreshTokens === 'rotate'
    // An answer without a refresh token says that the old one goes on.
    if (rotates && !(fault?.kind === 'no refresh token' && read.how === 'refresh'))
      this.#good.delete(read.secret)
    if (read.how === 'code' && this.#dialect.loginEndsOthers) {
      for (const { token } of this.#tokens.values()) if (token.userId === family.userId) token.ended = true
    }
    const token = this.#mint(family, fault, read)
    const isOver = fault?.kind === 'token already ended' && this.#dialect.saysEnd
    arrival.outcome = isOver ? 'trouble' : 'granted'
    if (!isOver) arrival.token = token
    return { status: 200, body: this.#dialect.granted(token, this.now()) }
  }

  #mint(family: Family, fault: Fault | undefined, read?: Read & { to: 'token' }): Token {
    const serial = ++this.#serial
    const before = family.tokens.at(-1)
    const omitted = fault?.kind === 'no refresh token'
    const refresh = {
      rotate: omitted ? undefined : `canary-refresh-${serial}`,
      stay: omitted ? undefined : read?.secret,
      none: undefined,
    }[this.#dialect.refreshTokens]
    if (refresh !== undefined) this.#good.set(refresh, family)
    const now = this.now()
    const token: Token = {
      access:
        fault?.kind === 'same token again' && before
          ? before.access
          : `canary-access-${serial}-${family.userId}`,
      refresh,
      userId: family.userId,
      endsAt: this.#dialect.lifetimeEnd(now),
      ended: fault?.kind === 'token already dead',
      hidesItsEnd: fault?.kind === 'token already ended',
    }
    if (before?.access === token.access) {
      token.endsAt = before.endsAt
      token.ended ||= before.ended
    }
    if (fault?.kind === 'token already ended') token.endsAt = plus(now, -1000)
    family.tokens.push(token)
    this.#tokens.set(token.access, { token, family })
    return token
  }
}

const timeout: NoAnswer = {
  kind: 'no-answer',
  sent: 'maybe-sent',
  cause: 'timeout',
  message: 'no answer in time',
}
const unreachable: NoAnswer = {
  kind: 'no-answer',
  sent: 'unsent',
  cause: 'unreachable',
  message: 'connection refused',
}
