/**
 * A broker that does not exist, with the one habit that none of the real ones has and that loses sessions
 * everywhere else: refresh tokens are single-use and rotate, and spending one twice revokes the whole family.
 *
 *     GET  {login}/authorize   client_id, redirect_uri, response_type=code, state -> ?code&state | ?error&state
 *     POST {api}/token         form: grant_type, client_id, client_secret, code & redirect_uri | refresh_token
 *                              -> {access_token, refresh_token, expires_in, user_id} | {error}
 *     GET  {api}/me            Bearer -> {user_id} | 401 {error: 'invalid_token'}
 */

import {
  type CodeInput,
  type During,
  defineBroker,
  type ExchangeInput,
  type TokenInput,
  type Verdict,
} from '../core/broker.ts'
import { type ErrorCode, errorCodes, OpenbellError, type Problem } from '../core/errors.ts'
import { maybeNumber, maybeText, text } from '../core/json.ts'
import type { App, GrantDraft } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { minuteMs, plus, secondMs } from '../core/time.ts'
import type { Answer, Outcome, Text, WireRequest } from '../core/wire.ts'

export const rotatingBroker = defineBroker({
  id: 'rotating',
  name: 'Rotating',
  docs: 'https://rotating.example/docs',
  credentials: {
    clientId: { label: 'Client ID', secret: false, help: 'Any word.' },
    clientSecret: { label: 'Client secret', secret: true, help: 'Any word.' },
  },
  appKey: 'clientId',
  environments: {},
  env: { accessToken: 'ROTATING_ACCESS_TOKEN', refreshToken: 'ROTATING_REFRESH_TOKEN' },
  rules: {
    zone: 'UTC',
    marginMs: minuteMs,
    limits: {
      failedAuth: {
        max: 10,
        perMs: minuteMs,
        pauseMs: minuteMs,
        why: 'Rotating refused ten times in a minute',
      },
      spendsPerDay: 10_000,
      probeEveryMs: secondMs,
    },
  },

  login: {
    kind: 'redirect',
    url({ app, origins, state }) {
      const url = new URL(`${need(origins.login, 'login')}/authorize`)
      url.searchParams.set('client_id', credential(app, 'clientId').expose())
      url.searchParams.set('redirect_uri', redirectUri(app))
      url.searchParams.set('response_type', 'code')
      url.searchParams.set('state', state)
      return url.href
    },
    callback(query) {
      const state = query.get('state')
      const sent = state ? { state } : {}
      if (query.has('error')) {
        const message = 'Rotating did not let this login through; start it again.'
        return { kind: 'refused', problem: problem('login-refused', message), ...sent }
      }
      const code = query.get('code')
      // FYERS sends a `code` too, which is a status; its own code is called auth_code.
      if (!code || query.has('auth_code')) {
        return { kind: 'foreign', message: 'This is no redirect of Rotating: it has no code of its own.' }
      }
      return { kind: 'code', code: new Secret(code), ...sent }
    },
    exchange: {
      spend: 'single-use',
      request: (input: CodeInput) =>
        tokenRequest(input, {
          grant_type: 'authorization_code',
          code: input.code,
          redirect_uri: redirectUri(input.app),
        }),
      read: readGrant,
    },
  },

  refresh: {
    spend: 'single-use',
    request: (input) =>
      tokenRequest(input, { grant_type: 'refresh_token', refresh_token: input.refreshToken }),
    read: readGrant,
  },

  probes: [
    {
      id: 'me',
      request: (input) => ({
        method: 'GET',
        url: `${need(input.origins.api, 'api')}/me`,
        headers: authorize(input),
      }),
      userId: ({ body }) => maybeText(body, 'user_id'),
    },
  ],

  authorize,
  judge,
})

function tokenRequest({ app, origins }: ExchangeInput, spent: Record<string, Text>): WireRequest {
  const form = new URLSearchParams({
    client_id: credential(app, 'clientId').expose(),
    client_secret: credential(app, 'clientSecret').expose(),
  })
  for (const [key, value] of Object.entries(spent)) {
    form.set(key, value instanceof Secret ? value.expose() : value)
  }
  return {
    method: 'POST',
    url: `${need(origins.api, 'api')}/token`,
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new Secret(form.toString()),
  }
}

function readGrant({ body }: Answer, { now }: ExchangeInput): GrantDraft {
  const next = maybeText(body, 'refresh_token')
  const seconds = maybeNumber(body, 'expires_in')
  if (seconds === undefined) throw new TypeError('the answer has no number at expires_in')
  return {
    slot: 'trading',
    accessToken: new Secret(text(body, 'access_token')),
    ...(next !== undefined && { refresh: { token: new Secret(next) } }),
    scopes: [],
    expiry: { at: plus(now, seconds * secondMs), source: 'declared' },
    brokerUserId: text(body, 'user_id'),
  }
}

function authorize({ accessToken }: TokenInput): Record<string, Text> {
  return { Authorization: new Secret(`Bearer ${accessToken.expose()}`) }
}

function judge(outcome: Outcome, during: During): Verdict {
  if (outcome.kind === 'no-answer') return problem('broker-unreachable', 'Rotating did not answer.')
  const { status, headers, body, receivedAt } = outcome
  if (status === 429) {
    const seconds = Number(headers['retry-after'])
    const until = seconds >= 0 ? { until: plus(receivedAt, seconds * secondMs) } : {}
    return { ...problem('broker-rate-limited', 'Rotating asks for fewer requests.', 'HTTP 429'), ...until }
  }
  if (status >= 500) return problem('broker-unavailable', 'Rotating is out of order.', `HTTP ${status}`)
  if (status === 200) return isProof(body, during) ? 'ok' : 'unclear'
  switch (maybeText(body, 'error')) {
    case 'invalid_grant':
      return during === 'code'
        ? problem('login-refused', 'Rotating refused this code; log in again.', 'invalid_grant')
        : problem('login-needed', 'Rotating ended this session; log in again.', 'invalid_grant')
    case 'invalid_client':
      return problem(
        'settings-refused',
        'Rotating refused client ID and secret; check both.',
        'invalid_client',
      )
    case 'invalid_token':
      return problem('login-needed', 'Rotating does not accept this token any more.', 'invalid_token')
    default:
      return 'unclear'
  }
}

function isProof(body: unknown, during: During): boolean {
  if (maybeText(body, 'user_id') === undefined) return false
  if (during === 'probe') return true
  const lifetime = maybeNumber(body, 'expires_in') ?? 0
  return maybeText(body, 'access_token') !== undefined && lifetime > 0
}

function problem(code: ErrorCode, message: string, brokerCode?: string): Problem {
  return { remedy: errorCodes[code], code, message, ...(brokerCode !== undefined && { brokerCode }) }
}

function credential(app: App, name: string): Secret {
  const value = app.credentials[name]
  if (value === undefined || value.isEmpty) {
    throw new OpenbellError('invalid-field', `The app ${app.id} has no ${name}.`, { field: name })
  }
  return value
}

function redirectUri(app: App): string {
  return need(app.redirectUri, 'redirectUri')
}

function need(value: string | undefined, field: string): string {
  if (value === undefined) throw new OpenbellError('invalid-field', `The app has no ${field}.`, { field })
  return value
}
