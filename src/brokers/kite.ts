/**
 * Zerodha Kite Connect v3. A person logs in every trading day: there is no `refresh`, because individuals get an
 * empty refresh token, and what a partner's refresh token yields may not place orders.
 */

import { createHash } from 'node:crypto'
import { type CodeInput, type During, defineBroker, type TokenInput, type Verdict } from '../core/broker.ts'
import { at, maybeText, text } from '../core/json.ts'
import type { App, Expiry, GrantDraft } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type Instant, minuteMs, nextTimeOfDay } from '../core/time.ts'
import type { Answer, Outcome, Text, WireRequest } from '../core/wire.ts'
import { noAnswer, outage, problem } from './answers/problems.ts'
import { quote } from './answers/quote.ts'
import { credential, originOf } from './requests/settings.ts'

const name = 'Zerodha Kite'
const zone = 'Asia/Kolkata'
const version = { 'X-Kite-Version': '3' }

export const kite = defineBroker({
  id: 'kite',
  name,
  docs: 'https://kite.trade/docs/connect/v3/user/',
  credentials: {
    apiKey: {
      label: 'API key',
      secret: false,
      help: 'Shown on your app at developers.kite.trade.',
      pattern: /^\S+$/,
      shape: 'one word without spaces',
    },
    apiSecret: {
      label: 'API secret',
      secret: true,
      help: 'Shown on your app at developers.kite.trade.',
      pattern: /^\S+$/,
      shape: 'one word without spaces',
    },
  },
  appKey: 'apiKey',
  // Kite has no sandbox.
  environments: { live: { login: 'https://kite.zerodha.com', api: 'https://api.kite.trade' } },
  env: { accessToken: 'KITE_ACCESS_TOKEN', appKey: 'KITE_API_KEY' },
  rules: {
    zone,
    // A login before the end gives a token with the same end.
    marginMs: 0,
    mintFrom: {
      time: '07:30',
      why: 'Kite ends its tokens at 06:00, but has been seen to do so as late as 07:30, younger ones included',
    },
    limits: {
      // Kite documents no lock-out; this only stops what no person does.
      failedAuth: {
        max: 10,
        perMs: 10 * minuteMs,
        pauseMs: 10 * minuteMs,
        why: 'Zerodha Kite refused ten times within ten minutes',
      },
      // Each login ends the session before it, so many in a day are a fault of somebody's program.
      spendsPerDay: 30,
      probeEveryMs: minuteMs,
    },
  },

  login: {
    kind: 'redirect',
    url({ app, origins, state }) {
      const url = new URL(`${originOf(origins, 'login')}/connect/login`)
      url.searchParams.set('v', '3')
      url.searchParams.set('api_key', credential(app, 'apiKey').expose())
      // Kite knows no `state`; what stands in redirect_params comes back on the redirect.
      url.searchParams.set('redirect_params', new URLSearchParams({ state }).toString())
      return url.href
    },
    callback(query) {
      const state = query.get('state')
      const sent = state ? { state } : {}
      const status = query.get('status')
      if (status !== null && status !== 'success') {
        const message = 'Zerodha Kite did not let this login through; start it again.'
        return { kind: 'refused', problem: problem('login-refused', message), ...sent }
      }
      const requestToken = query.get('request_token')
      if (!requestToken) {
        const message =
          'This is no redirect of Zerodha Kite: it has no request_token; copy the whole address.'
        return { kind: 'foreign', message }
      }
      return { kind: 'code', code: new Secret(requestToken), ...sent }
    },
    exchange: { spend: 'single-use', request: exchangeRequest, read: readGrant },
  },

  adopt: ({ accessToken, now }) => ({ slot: 'trading', accessToken, scopes: [], expiry: expiryOf(now) }),

  // Token and key travel in the query here, and nowhere else.
  revoke: ({ app, origins, accessToken }) => ({
    method: 'DELETE',
    url: `${originOf(origins, 'api')}/session/token`,
    query: { api_key: credential(app, 'apiKey'), access_token: accessToken },
    headers: version,
  }),

  probes: [
    {
      id: 'profile',
      request: (input) => ({
        method: 'GET',
        url: `${originOf(input.origins, 'api')}/user/profile`,
        headers: authorize(input),
      }),
      userId: ({ body }) => maybeText(body, 'data', 'user_id'),
    },
  ],

  authorize,
  judge,
})

function exchangeRequest({ app, origins, code }: CodeInput): WireRequest {
  return {
    method: 'POST',
    url: `${originOf(origins, 'api')}/session/token`,
    headers: { ...version, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new Secret(
      new URLSearchParams({
        api_key: credential(app, 'apiKey').expose(),
        request_token: code.expose(),
        checksum: checksum(app, code),
      }).toString(),
    ),
  }
}

/** Plain SHA-256 of the three, joined by nothing. Not an HMAC. */
function checksum(app: App, requestToken: Secret): string {
  return createHash('sha256')
    .update(
      credential(app, 'apiKey').expose() + requestToken.expose() + credential(app, 'apiSecret').expose(),
    )
    .digest('hex')
}

function readGrant({ body }: Answer, { now }: CodeInput): GrantDraft {
  const userId = maybeText(body, 'data', 'user_id')
  return {
    slot: 'trading',
    accessToken: new Secret(text(body, 'data', 'access_token')),
    scopes: [],
    // Counted from sending: `login_time` has no zone, and a token asked for at 05:59 may end at 06:00.
    expiry: expiryOf(now),
    ...(userId !== undefined && { brokerUserId: userId }),
  }
}

/** The token itself says nothing. */
function expiryOf(mintedAt: Instant): Expiry {
  const end = nextTimeOfDay(mintedAt, '06:00', zone)
  const flushed = nextTimeOfDay(mintedAt, '07:30', zone)
  return { at: end, source: 'broker-rule', ...(flushed < end && { doubtUntil: flushed }) }
}

function authorize({ app, accessToken }: TokenInput): Record<string, Text> {
  return {
    ...version,
    Authorization: new Secret(`token ${credential(app, 'apiKey').expose()}:${accessToken.expose()}`),
  }
}

function judge(outcome: Outcome, during: During): Verdict {
  if (outcome.kind === 'no-answer') return noAnswer(name, outcome)
  const broken = outage(name, outcome)
  if (broken) return broken
  const { status, body } = outcome
  if (maybeText(body, 'status') === 'success')
    return status === 200 && isProof(body, during) ? 'ok' : 'unclear'

  const brokerCode = maybeText(body, 'error_type')
  const said = quote(maybeText(body, 'message'))
  switch (brokerCode) {
    case 'TokenException':
      return during === 'code' ? codeRefused(said) : tokenDead(brokerCode)
    case 'InputException':
      // Missing or malformed credentials answer like this, not as TokenException.
      if (during === 'code') return keyRefused(said)
      // A read has inputs of its own. The other calls carry nothing but the credentials.
      return during === 'read' ? 'unclear' : tokenDead(brokerCode)
    case 'PermissionException':
      return problem(
        'settings-refused',
        `Zerodha Kite does not allow this app to do that${said}; look at its plan and permissions at developers.kite.trade.`,
        { brokerCode },
      )
    default:
      return 'unclear'
  }
}

function isProof(body: unknown, during: During): boolean {
  switch (during) {
    case 'code':
      return maybeText(body, 'data', 'access_token') !== undefined
    case 'probe':
      return maybeText(body, 'data', 'user_id') !== undefined
    case 'revoke':
      return at(body, 'data') === true
    case 'read':
      return typeof at(body, 'data') === 'object' && at(body, 'data') !== null
    case 'refresh':
    case 'push':
      return false
  }
}

/** Three causes share one code, and the text that tells them apart is not promised by Kite. */
function codeRefused(said: string) {
  return problem(
    'login-refused',
    `Zerodha Kite refused this login${said}: its request token was used before or is older than a few minutes, or the API secret is not the app's present one; log in again, and if that is refused too, check the API secret.`,
    { brokerCode: 'TokenException' },
  )
}

function tokenDead(brokerCode: string) {
  return problem('login-needed', 'Zerodha Kite does not accept this access token any more; log in again.', {
    brokerCode,
  })
}

function keyRefused(said: string) {
  return problem(
    'settings-refused',
    `Zerodha Kite does not know this API key or misses a part of the login${said}; check API key and API secret at developers.kite.trade.`,
    { brokerCode: 'InputException' },
  )
}
