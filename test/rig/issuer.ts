/** The rotating broker as a function: no socket, any answer a test wants, and a count of what was spent. */

import type { NewAccount } from '../../src/core/keeper.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Clock } from '../../src/core/time.ts'
import { Answer, type NoAnswer, type Outcome, type Send, type WireRequest } from '../../src/core/wire.ts'
import { ref } from './engine.ts'

export interface Issuer {
  send: Send
  /** One-use code for a login by that user. */
  code(userId?: string): string
  requests: { token: number; me: number }
  /** Spent secrets that came again. */
  reuses: number
  /** Replaces the answer to the next requests, in order; `spend` says whether the broker still acts on the request. */
  next: ((request: WireRequest) => { outcome: Outcome; spend: boolean } | undefined)[]
  /** Ends every token and family. */
  revokeAll(): void
  killAccess(): void
  lifetimeMs: number
}

export function issuer(clock: Clock): Issuer {
  const codes = new Map<string, { userId: string; spent: boolean }>()
  const refreshTokens = new Map<string, { family: { userId: string; revoked: boolean }; spent: boolean }>()
  const accessTokens = new Map<string, { family: { userId: string; revoked: boolean }; endsAt: number }>()
  let serial = 0

  const answer = (status: number, body: unknown) =>
    new Answer({
      status,
      headers: { date: new Date(clock.now()).toUTCString() },
      body,
      receivedAt: clock.now(),
    })

  const self: Issuer = {
    requests: { token: 0, me: 0 },
    reuses: 0,
    next: [],
    lifetimeMs: 3_600_000,
    code(userId = 'R1') {
      const code = `canary-code-${++serial}`
      codes.set(code, { userId, spent: false })
      return code
    },
    revokeAll() {
      for (const { family } of refreshTokens.values()) family.revoked = true
    },
    killAccess() {
      accessTokens.clear()
    },
    send: async (request) => {
      const isToken = request.url.endsWith('/token')
      self.requests[isToken ? 'token' : 'me']++
      const planned = self.next.shift()?.(request)
      if (planned && !planned.spend) return planned.outcome
      const real = isToken ? token(request) : me(request)
      return planned?.outcome ?? real
    },
  }

  function token(request: WireRequest): Answer {
    const body = typeof request.body === 'string' ? request.body : (request.body?.expose() ?? '')
    const form = new URLSearchParams(body)
    if (form.get('client_secret') !== 'canary-client-secret') return answer(401, { error: 'invalid_client' })
    const code = form.get('code')
    if (code !== null) {
      const known = codes.get(code)
      if (known?.spent) self.reuses++
      if (!known || known.spent) return answer(400, { error: 'invalid_grant' })
      known.spent = true
      return grant({ userId: known.userId, revoked: false })
    }
    const known = refreshTokens.get(form.get('refresh_token') ?? '')
    if (known?.spent) {
      self.reuses++
      known.family.revoked = true
    }
    if (!known || known.spent || known.family.revoked) return answer(400, { error: 'invalid_grant' })
    known.spent = true
    return grant(known.family)
  }

  function grant(family: { userId: string; revoked: boolean }): Answer {
    serial++
    const accessToken = `canary-access-${serial}`
    const refreshToken = `canary-refresh-${serial}`
    accessTokens.set(accessToken, { family, endsAt: clock.now() + self.lifetimeMs })
    refreshTokens.set(refreshToken, { family, spent: false })
    return answer(200, {
      access_token: accessToken,
      refresh_token: refreshToken,
      expires_in: self.lifetimeMs / 1000,
      user_id: family.userId,
    })
  }

  function me(request: WireRequest): Answer {
    const header = request.headers.authorization ?? request.headers.Authorization ?? ''
    const bearer = (typeof header === 'string' ? header : header.expose()).replace('Bearer ', '')
    const known = accessTokens.get(bearer)
    if (!known || known.family.revoked || known.endsAt <= clock.now())
      return answer(401, { error: 'invalid_token' })
    return answer(200, { user_id: known.family.userId })
  }

  return self
}

export function rotatingAccount(accountId: string): NewAccount {
  return {
    ref: ref(accountId),
    brokerId: 'rotating',
    environment: 'simulator',
    credentials: {
      clientId: new Secret(`client-${accountId}`),
      clientSecret: new Secret('canary-client-secret'),
    },
    redirectUri: 'http://127.0.0.1:5678/rotating/callback',
    origins: { api: 'http://127.0.0.1:9', login: 'http://127.0.0.1:9' },
  }
}

export const timeout: NoAnswer = {
  kind: 'no-answer',
  sent: 'maybe-sent',
  cause: 'timeout',
  message: 'no answer in time',
}
export const unreachable: NoAnswer = {
  kind: 'no-answer',
  sent: 'unsent',
  cause: 'unreachable',
  message: 'connection refused',
}
