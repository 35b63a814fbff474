/**
 * Upstox, API v2 and v3. Every trading token ends at the next 03:30 in India, whenever it was made. A new one takes a
 * person each day: by a login in the browser, or by a tap in Upstox's own app (`push`). A login also hands over an
 * `extended_token`, and the developer page an analytics token: both only read, and live a year.
 */

import {
  type CodeInput,
  type During,
  defineBroker,
  type ExchangeInput,
  type PushDelivery,
  type RefreshInput,
  type TokenInput,
  type Verdict,
} from '../core/broker.ts'
import { OpenbellError, type Problem } from '../core/errors.ts'
import { at, maybeText, text } from '../core/json.ts'
import type { App, Expiry, GrantDraft, Slot } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { dayIn, dayMs, type Instant, instant, minuteMs, nextTimeOfDay, plus } from '../core/time.ts'
import type { Answer, Outcome, Text, WireRequest } from '../core/wire.ts'
import { jwtEnd } from './answers/jwt.ts'
import { noAnswer, outage, problem } from './answers/problems.ts'
import { quote } from './answers/quote.ts'
import { credential, originOf } from './requests/settings.ts'

const name = 'Upstox'
const zone = 'Asia/Kolkata'
const appsPage = 'account.upstox.com/developer/apps'
const json = { Accept: 'application/json' }

export const upstox = defineBroker({
  id: 'upstox',
  name,
  docs: 'https://upstox.com/developer/api-documentation/authentication',
  credentials: {
    apiKey: {
      label: 'API Key',
      secret: false,
      help: `Shown on your app at ${appsPage}; not your client code (UCC).`,
      pattern: /^\S+$/,
      shape: 'one word without spaces',
    },
    apiSecret: {
      label: 'API Secret',
      secret: true,
      help: `Shown on your app at ${appsPage}.`,
      pattern: /^\S+$/,
      shape: 'one word without spaces',
    },
  },
  appKey: 'apiKey',
  // Upstox's sandbox takes orders and nothing else: it has no login, no profile and no quotes, so that there is no
  // session in it to keep alive and no call to prove one.
  environments: { live: { login: 'https://api.upstox.com', api: 'https://api.upstox.com' } },
  env: {
    accessToken: 'UPSTOX_ACCESS_TOKEN',
    refreshToken: 'UPSTOX_REFRESH_TOKEN',
    appKey: 'UPSTOX_API_KEY',
  },
  rules: {
    zone,
    // A token made before the end has the same end.
    marginMs: 0,
    mintFrom: {
      time: '03:30',
      why: 'Upstox ends every token at 03:30, those made earlier in the same night included',
    },
    limits: {
      // Upstox documents no lock-out; this only stops what no person does.
      failedAuth: {
        max: 10,
        perMs: 10 * minuteMs,
        pauseMs: 10 * minuteMs,
        why: 'Upstox refused ten times within ten minutes',
      },
      // One login a day is needed; so many are a fault of somebody's program.
      spendsPerDay: 30,
      // 30 of the 2,000 calls per user and 30 minutes that Upstox allows; the rest belongs to the user's programs.
      probeEveryMs: minuteMs,
    },
  },

  login: {
    kind: 'redirect',
    url({ app, origins, state }) {
      const url = new URL(`${originOf(origins, 'login')}/v2/login/authorization/dialog`)
      url.searchParams.set('response_type', 'code')
      url.searchParams.set('client_id', credential(app, 'apiKey').expose())
      url.searchParams.set('redirect_uri', redirectUri(app))
      url.searchParams.set('state', state)
      return url.href
    },
    callback(query) {
      const state = query.get('state')
      const sent = state ? { state } : {}
      // Of OAuth 2; Upstox documents no redirect for a person who says no.
      if (query.has('error')) {
        const message = 'Upstox did not let this login through; start it again.'
        return { kind: 'refused', problem: problem('login-refused', message), ...sent }
      }
      const code = query.get('code')
      // FYERS sends a `code` too, which is a status there; its own is called auth_code.
      if (!code || query.has('auth_code')) {
        const message = 'This is no redirect of Upstox: it has no code of its own; copy the whole address.'
        return { kind: 'foreign', message }
      }
      return { kind: 'code', code: new Secret(code), ...sent }
    },
    exchange: {
      // Burnt by sending, whether or not Upstox accepts it.
      spend: 'single-use',
      request: (input: CodeInput) =>
        tokenRequest(input, {
          code: input.code,
          redirect_uri: redirectUri(input.app),
          grant_type: 'authorization_code',
        }),
      read: readGrant,
    },
  },

  // Upstox documents no such grant: its token endpoint takes authorization codes only. Guides use it all the same, so
  // a refresh token that somebody brings along is sent once, the way they do.
  refresh: {
    onTrial: true,
    spend: 'single-use',
    request: (input: RefreshInput) =>
      tokenRequest(input, {
        refresh_token: input.refreshToken,
        redirect_uri: redirectUri(input.app),
        grant_type: 'refresh_token',
      }),
    read: readGrant,
  },

  push: { request: pushRequest, read: readPush, receive },

  adopt,

  revoke: (input) => ({
    method: 'DELETE',
    url: `${originOf(input.origins, 'api')}/v2/logout`,
    headers: authorize(input),
  }),

  probes: [
    {
      id: 'profile',
      request: (input) => ({
        method: 'GET',
        url: `${originOf(input.origins, 'api')}/v2/user/profile`,
        headers: authorize(input),
      }),
      userId: ({ body }) => maybeText(body, 'data', 'user_id'),
    },
    {
      // Read-only tokens may not see the profile: UDAPI100067 for extended ones, a registered address for analytics ones.
      id: 'market-status',
      slots: ['read', 'market-data'],
      request: (input) => ({
        method: 'GET',
        url: `${originOf(input.origins, 'api')}/v2/market/status/NSE`,
        headers: authorize(input),
      }),
      proves: ({ body }) =>
        maybeText(body, 'status') === 'success' && maybeText(body, 'data', 'exchange') === 'NSE',
    },
  ],

  authorize,
  judge,
})

// ------------------------------------------------------------------------------------------------- requests

function tokenRequest({ app, origins }: ExchangeInput, own: Record<string, Text>): WireRequest {
  const fields = { ...own, client_id: credential(app, 'apiKey'), client_secret: credential(app, 'apiSecret') }
  const form = new URLSearchParams()
  for (const [key, value] of Object.entries(fields)) {
    form.set(key, value instanceof Secret ? value.expose() : value)
  }
  return {
    method: 'POST',
    url: `${originOf(origins, 'api')}/v2/login/authorization/token`,
    headers: { ...json, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new Secret(form.toString()),
  }
}

/** Names no person: an app belongs to one, who is asked in Upstox's app and on WhatsApp. */
function pushRequest({ app, origins }: ExchangeInput): WireRequest {
  const clientId = encodeURIComponent(credential(app, 'apiKey').expose())
  return {
    method: 'POST',
    url: `${originOf(origins, 'api')}/v3/login/auth/token/request/${clientId}`,
    headers: { ...json, 'Content-Type': 'application/json' },
    body: new Secret(JSON.stringify({ client_secret: credential(app, 'apiSecret').expose() })),
  }
}

function authorize({ accessToken }: TokenInput): Record<string, Text> {
  return { ...json, Authorization: new Secret(`Bearer ${accessToken.expose()}`) }
}

function redirectUri({ id, redirectUri }: App): string {
  if (redirectUri) return redirectUri
  throw new OpenbellError(
    'invalid-field',
    `The app ${id} has no redirect URI; enter the one that is registered at ${appsPage}.`,
    { field: 'redirectUri' },
  )
}

// --------------------------------------------------------------------------------------------------- grants

/** Flat, unlike every other answer. Its `expires_in`, where one comes, disagrees with the rule of 03:30: not read. */
function readGrant({ body }: Answer, { now }: ExchangeInput): GrantDraft {
  const userId = maybeText(body, 'user_id')
  const owner = userId === undefined ? {} : { brokerUserId: userId }
  const accessToken = new Secret(text(body, 'access_token'))
  // Listed in the schema of the answer, seen by nobody.
  const refreshToken = maybeText(body, 'refresh_token')
  const extended = extendedToken(body, now)
  return {
    slot: 'trading',
    accessToken,
    ...(refreshToken !== undefined && { refresh: { token: new Secret(refreshToken) } }),
    scopes: [],
    expiry: tradingExpiry(accessToken, now),
    ...owner,
    ...(extended !== undefined && { also: [{ ...readOnly(extended, 'read', now), ...owner }] }),
  }
}

/** Each login hands over the one that there is; one that says it has ended is left out. */
function extendedToken(body: unknown, now: Instant): Secret | undefined {
  const token = maybeText(body, 'extended_token')
  if (token === undefined) return undefined
  const secret = new Secret(token)
  return hasEnded(secret, now) ? undefined : secret
}

/** By its own word. */
function hasEnded(token: Secret, now: Instant): boolean {
  const claimed = jwtEnd(token)
  return claimed !== undefined && claimed <= now
}

/**
 * A request of 03:29:59 may be answered with a token of 03:30:01, which lives a day longer; only its own `exp` can tell.
 * As long as the longest wait for an answer.
 */
const longestAnswerMs = 10 * minuteMs

/** Counted from sending, unless the token itself names an end that the rule allows. */
function tradingExpiry(token: Secret, sentAt: Instant): Expiry {
  const claimed = jwtEnd(token)
  return claimed !== undefined && claimed > sentAt && claimed <= nextEnd(plus(sentAt, longestAnswerMs))
    ? { at: claimed, source: 'jwt' }
    : { at: nextEnd(sentAt), source: 'broker-rule' }
}

/** Strictly after: a token of exactly 03:30:00 is taken for one of the new day. */
function nextEnd(mintedAt: Instant): Instant {
  return nextTimeOfDay(mintedAt, '03:30', zone)
}

/**
 * Extended or analytics token. Where it does not say its end, a year from now is the latest it can be: it may be older,
 * since a login hands over the same extended token as the one before it.
 */
function readOnly(accessToken: Secret, slot: Slot, now: Instant): GrantDraft {
  const claimed = jwtEnd(accessToken)
  const expiry: Expiry =
    claimed !== undefined && claimed <= plus(now, leapYearMs)
      ? { at: claimed, source: 'jwt' }
      : { at: plus(now, 365 * dayMs), source: 'broker-rule' }
  return { slot, accessToken, scopes: [], expiry }
}

const leapYearMs = 366 * dayMs

function adopt(input: { accessToken: Secret; now: Instant; slot?: Slot }): GrantDraft {
  const { accessToken, now, slot = 'trading' } = input
  if (!isWord(accessToken.expose(), longestToken)) {
    throw notAdopted(`That is no token of Upstox; copy it again from ${appsPage}, whole and without spaces.`)
  }
  if (hasEnded(accessToken, now)) {
    throw notAdopted(`This Upstox token has ended already; generate a new one at ${appsPage}.`)
  }
  if (slot !== 'trading') return readOnly(accessToken, slot, now)
  const claimed = jwtEnd(accessToken)
  if (claimed !== undefined && claimed > plus(nextEnd(now), dayMs)) {
    throw notAdopted(
      'This Upstox token lives longer than one that may trade: it can only read; enter it for the slot read.',
    )
  }
  return { slot, accessToken, scopes: [], expiry: tradingExpiry(accessToken, now) }
}

function notAdopted(message: string): OpenbellError {
  return new OpenbellError('invalid-field', message, { field: 'accessToken' })
}

// ----------------------------------------------------------------------------------------------------- push

function readPush({ body }: Answer): { expiresAt: Instant } {
  const expiresAt = epochMs(at(body, 'data', 'authorization_expiry'))
  if (expiresAt === undefined) throw new TypeError('the answer has no time at data.authorization_expiry')
  return { expiresAt }
}

/** Anybody who knows the address can post there, unsigned: what passes here is still only a claim. */
function receive(body: unknown, { app, now }: ExchangeInput): PushDelivery {
  if (maybeText(body, 'message_type') !== 'access_token') return foreign('is no access token')
  const clientId = maybeText(body, 'client_id')
  if (clientId === undefined || !app.credentials.apiKey?.equals(new Secret(clientId))) {
    return foreign('is for another app')
  }
  const brokerUserId = maybeText(body, 'user_id')
  if (brokerUserId === undefined || !isWord(brokerUserId, longestUserId)) return foreign('names no user')
  const accessToken = maybeText(body, 'access_token')
  if (accessToken === undefined || !isWord(accessToken, longestToken)) return foreign('holds no token')
  const issuedAt = epochMs(at(body, 'issued_at'))
  const expiresAt = epochMs(at(body, 'expires_at'))
  if (issuedAt === undefined || expiresAt !== nextEnd(issuedAt)) {
    return foreign('does not end at 03:30 after it was issued')
  }
  if (issuedAt > plus(now, clockToleranceMs)) return foreign('was issued in the future')
  // Hence never older than a day: that is the longest from one 03:30 to the next.
  if (expiresAt <= now) return foreign('is too old')
  return {
    kind: 'token',
    draft: {
      slot: 'trading',
      accessToken: new Secret(accessToken),
      scopes: [],
      expiry: { at: expiresAt, source: 'declared' },
      brokerUserId,
    },
    issuedAt,
  }
}

/** A delivery comes once: a clock that is slow by less than this must not cost the day. */
const clockToleranceMs = minuteMs

function foreign(what: string): PushDelivery {
  return { kind: 'foreign', message: `A delivery to the Upstox webhook ${what}; nothing was changed.` }
}

/** Upstox writes epoch milliseconds as text. Undefined for anything that is not a moment between 2001 and 2286. */
function epochMs(value: unknown): Instant | undefined {
  const digits = typeof value === 'number' ? String(value) : value
  return typeof digits === 'string' && /^[1-9]\d{12}$/.test(digits) ? instant(Number(digits)) : undefined
}

/** May stand in a header and in a sentence. */
function isWord(value: string, longest: number): boolean {
  return value.length <= longest && /^[\x21-\x7e]+$/.test(value)
}

const longestToken = 8_192
const longestUserId = 64

// -------------------------------------------------------------------------------------------------- answers

function judge(outcome: Outcome, during: During): Verdict {
  if (outcome.kind === 'no-answer') return noAnswer(name, outcome)
  const broken = outage(name, outcome)
  if (broken) return broken
  const { status, body } = outcome
  if (status === 403 && body === undefined) return stoppedAtTheEdge
  if (status === 200 && isProof(body, during)) return 'ok'
  // Logout refuses with a Java exception instead of an error of the usual form.
  if (status === 401 && during === 'revoke' && at(body, 'stackTrace') !== undefined)
    return tokenDead('HTTP 401')

  // Both spellings come today; the second is on its way out.
  const code = maybeText(body, 'errors', '0', 'error_code') ?? maybeText(body, 'errors', '0', 'errorCode')
  const said = quote(maybeText(body, 'errors', '0', 'message'))
  const found = judgeAnyCall(code, said, outcome) ?? judgeByCall(code, said, status, during)
  if (found) return found
  // Also what says that our request was at fault: UDAPI100015 (version), UDAPI100060 (route), UDAPI100043 (too many keys).
  return status === 423 ? closed('HTTP 423', outcome) : 'unclear'
}

function isProof(body: unknown, during: During): boolean {
  if (during === 'code' || during === 'refresh') return maybeText(body, 'access_token') !== undefined
  if (maybeText(body, 'status') !== 'success') return false
  switch (during) {
    case 'push':
      return epochMs(at(body, 'data', 'authorization_expiry')) !== undefined
    case 'probe':
      return maybeText(body, 'data', 'user_id') !== undefined
    case 'revoke':
      return at(body, 'data') === true
    case 'read':
      return typeof at(body, 'data') === 'object' && at(body, 'data') !== null
  }
}

/** Codes that mean the same on every call. */
function judgeAnyCall(brokerCode: string | undefined, said: string, answer: Answer): Problem | undefined {
  switch (brokerCode) {
    case 'UDAPI10005':
    case 'UDAPI100099':
      return problem('broker-rate-limited', 'Upstox asks for fewer requests; it is asked again later.', {
        brokerCode,
      })
    case 'UDAPI100072':
    case 'UDAPI100074':
      return closed(brokerCode, answer)
    case 'UDAPI100500':
      return problem('broker-unavailable', 'Upstox is out of order; it is asked again later.', { brokerCode })
    case 'UDAPI100058':
      return problem(
        'settings-refused',
        `Upstox has no active segment for this user${said}; the user reactivates the account at upstox.com.`,
        { brokerCode },
      )
    case 'UDAPI100067':
      return problem(
        'settings-refused',
        `Upstox does not allow that with an extended token, which can only read${said}; use the trading token.`,
        { brokerCode },
      )
    case 'UDAPI100073':
      return problem(
        'settings-refused',
        `Upstox says that this app is not active${said}; look at it at ${appsPage}.`,
        { brokerCode },
      )
    case 'UDAPI1154':
      return problem(
        'settings-refused',
        `Upstox takes this only from a registered static address${said}; register this host's at ${appsPage}.`,
        { brokerCode },
      )
    default:
      return undefined
  }
}

function judgeByCall(
  brokerCode: string | undefined,
  said: string,
  status: number,
  during: During,
): Problem | undefined {
  switch (during) {
    case 'code':
      return judgeLogin(brokerCode, said) ?? judgeApp(brokerCode, said)
    case 'push':
      return judgeApp(brokerCode, said)
    case 'refresh':
      return judgeTrial(brokerCode, said) ?? judgeApp(brokerCode, said)
    case 'probe':
    case 'revoke':
      return brokerCode === 'UDAPI100050' && status === 401 ? tokenDead(brokerCode) : undefined
    case 'read':
      // Orders have been refused with UDAPI100050 by a token that the profile accepted; only a probe tells.
      return undefined
  }
}

/** Numbers of which some mean something else on other calls. */
function judgeLogin(brokerCode: string | undefined, said: string): Problem | undefined {
  switch (brokerCode) {
    case 'UDAPI100057':
    // Not told apart by what is known of them; the code is burnt in either case.
    case 'UDAPI100036':
    case 'UDAPI100038':
    case 'UDAPI100070':
      return problem(
        'login-refused',
        `Upstox refused this login${said}: its code was used before or is older than a minute or two, or the redirect URI is not the registered one; log in again, and if that is refused too, check the redirect URI at ${appsPage}.`,
        { brokerCode },
      )
    default:
      return undefined
  }
}

function judgeApp(brokerCode: string | undefined, said: string): Problem | undefined {
  switch (brokerCode) {
    case 'UDAPI1017':
    case 'UDAPI1018':
    case 'UDAPI1022':
    case 'UDAPI1023':
    case 'UDAPI1024':
    case 'UDAPI100016':
    case 'UDAPI100068':
    case 'UDAPI100069':
      return problem(
        'settings-refused',
        `Upstox does not accept this app${said}; check API key, API secret and redirect URI at ${appsPage}.`,
        { brokerCode },
      )
    default:
      return undefined
  }
}

/** Refusals of a grant that Upstox does not know: it misses a code, takes the grant type for none, or has bad input. */
function judgeTrial(brokerCode: string | undefined, said: string): Problem | undefined {
  switch (brokerCode) {
    case 'UDAPI1022':
    case 'UDAPI1023':
    case 'UDAPI100016':
    case 'UDAPI100036':
    case 'UDAPI100038':
    case 'UDAPI100050':
    case 'UDAPI100057':
    case 'UDAPI100070':
      return problem(
        'login-needed',
        `Upstox does not take this refresh token${said}, and documents no renewal without a person; log in again.`,
        { brokerCode },
      )
    default:
      return undefined
  }
}

function tokenDead(brokerCode: string): Problem {
  return problem('login-needed', 'Upstox does not accept this access token any more; log in again.', {
    brokerCode,
  })
}

/** Funds and orders rest from midnight to 05:30. At another time of day a closed door has a cause that nobody documents. */
function closed(brokerCode: string, { receivedAt }: Answer): Problem {
  const opens = nextTimeOfDay(receivedAt, '05:30', zone)
  return problem('broker-unavailable', 'Upstox has closed this service for now; it is asked again later.', {
    brokerCode,
    ...(dayIn(opens, zone) === dayIn(receivedAt, zone) && { until: opens }),
  })
}

const stoppedAtTheEdge = problem(
  'broker-unavailable',
  'The request was stopped by the guard in front of Upstox (Cloudflare); the token is not at fault, and it is asked again later.',
  { brokerCode: 'HTTP 403' },
)
