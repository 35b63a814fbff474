/**
 * FYERS API v3. A person logs in every trading day. FYERS retired its refresh tokens on 1 April 2026 but still hands them
 * out, and its call still answers for some accounts: so `refresh` is on trial, and only for who entered a PIN.
 */

import { createHash } from 'node:crypto'
import {
  type CodeInput,
  type During,
  defineBroker,
  type ExchangeInput,
  type RefreshInput,
  type TokenInput,
  type Verdict,
} from '../core/broker.ts'
import { OpenbellError, type Problem } from '../core/errors.ts'
import { at, maybeNumber, maybeText, text } from '../core/json.ts'
import type { App, Expiry, GrantDraft } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { dayMs, type Instant, instant, minuteMs, nextTimeOfDay, plus } from '../core/time.ts'
import { Answer, type Outcome, type Text, type WireRequest } from '../core/wire.ts'
import { jwtEnd } from './answers/jwt.ts'
import { noAnswer, outage, problem } from './answers/problems.ts'
import { quote } from './answers/quote.ts'
import { credential, originOf } from './requests/settings.ts'

const name = 'FYERS'
const zone = 'Asia/Kolkata'
const dashboard = 'myapi.fyers.in/dashboard'

// The edge answers the User-Agents of common libraries with a bare 403, before it looks at any credential.
const basics = { Accept: 'application/json', 'User-Agent': 'openbell/0.1.0' }

export const fyers = defineBroker({
  id: 'fyers',
  name,
  docs: 'https://myapi.fyers.in/docsv3',
  credentials: {
    appId: {
      label: 'App ID',
      secret: false,
      help: `Shown on your app at ${dashboard}.`,
      pattern: /^[A-Za-z0-9]+-\d{3}$/,
      shape: 'letters and digits, a hyphen and three digits, such as XXXXXXXXXX-100',
    },
    secretKey: {
      label: 'Secret key',
      secret: true,
      help: `Shown on your app at ${dashboard}.`,
      pattern: /^\S+$/,
      shape: 'one word without spaces',
    },
    pin: {
      label: 'PIN',
      secret: true,
      optional: true,
      help: 'Used only to renew a session by the refresh token that FYERS retired in April 2026, and not sent again once FYERS has refused it; leave it out to log in every trading day.',
      pattern: /^\d{4}$/,
      shape: 'exactly four digits',
    },
  },
  appKey: 'appId',
  // FYERS has no sandbox: what some guides take for one is this very host.
  environments: { live: { api: 'https://api-t1.fyers.in' } },
  env: {
    accessToken: 'FYERS_ACCESS_TOKEN',
    refreshToken: 'FYERS_REFRESH_TOKEN',
    appKey: 'FYERS_CLIENT_ID',
  },
  rules: {
    zone,
    // A token obtained before the end has the same end.
    marginMs: 0,
    mintFrom: {
      time: '06:00',
      why: 'FYERS ends its tokens at 06:00, so that one made in the night before does not last the day',
    },
    limits: {
      // FYERS counts wrong PINs and shows a captcha to who logs in too often; at which number is not published.
      failedAuth: {
        max: 5,
        perMs: 15 * minuteMs,
        pauseMs: 15 * minuteMs,
        why: 'FYERS counts failed logins, and refused five times within 15 minutes',
      },
      spendsPerDay: 20,
      // 10 calls a second, 200 a minute and 100,000 a day are shared by all programs of a user; exceeding the minute's
      // more than three times blocks the user for the rest of the day. Two calls a minute leave the budget to the bots.
      probeEveryMs: minuteMs,
    },
  },

  login: {
    kind: 'redirect',
    url({ app, origins, state }) {
      const url = new URL(`${originOf(origins, 'api')}/api/v3/generate-authcode`)
      url.searchParams.set('client_id', credential(app, 'appId').expose())
      url.searchParams.set('redirect_uri', redirectUri(app))
      url.searchParams.set('response_type', 'code')
      url.searchParams.set('state', state)
      return url.href
    },
    callback(query) {
      const state = query.get('state')
      const sent = state ? { state } : {}
      const s = query.get('s')
      if (s !== null && s !== 'ok') {
        const said = quote(query.get('message') ?? undefined)
        const message = `FYERS did not let this login through${said}; start it again.`
        return { kind: 'refused', problem: problem('login-refused', message), ...sent }
      }
      // What is called `code` here is a numeric status.
      const authCode = query.get('auth_code')
      if (!authCode) {
        const message = 'This is no redirect of FYERS: it has no auth_code; copy the whole address.'
        return { kind: 'foreign', message }
      }
      return { kind: 'code', code: new Secret(authCode), ...sent }
    },
    exchange: {
      spend: 'single-use',
      request: (input: CodeInput) =>
        tokenRequest(input, 'validate-authcode', {
          grant_type: 'authorization_code',
          code: input.code.expose(),
        }),
      read: readGrant,
    },
  },

  refresh: {
    onTrial: true,
    needs: ['pin'],
    // One refresh token yields access tokens until its own end, and the documented answer brings no successor.
    spend: 'repeatable',
    request: (input: RefreshInput) =>
      tokenRequest(input, 'validate-refresh-token', {
        grant_type: 'refresh_token',
        refresh_token: input.refreshToken.expose(),
        pin: credential(input.app, 'pin').expose(),
      }),
    read: readGrant,
  },

  adopt({ accessToken, now, slot = 'trading' }) {
    const claims = claimsOf(accessToken)
    const end = jwtEnd(accessToken)
    if (!claims) throw notAToken('is none: paste the token alone, without app ID and colon')
    if (maybeText(claims, 'sub') === 'auth_code')
      throw notAToken('is the auth_code of a login: finish that login instead')
    if (end !== undefined && end <= now) throw notAToken('has ended already: log in for a new one')
    // Whose it is, the profile will tell: a pasted token's own word for it proves nothing.
    return { slot, accessToken, scopes: [], expiry: expiryOf(accessToken, now) }
  },

  // Ends the token of this app only.
  revoke: (input) => ({
    method: 'POST',
    url: `${originOf(input.origins, 'api')}/api/v3/logout`,
    headers: authorize(input),
  }),

  // The profile has been seen to accept a token that funds and positions refused, so both must.
  probes: [
    {
      id: 'profile',
      request: (input) => get(input, 'profile'),
      userId: ({ body }) => maybeText(body, 'data', 'fy_id'),
    },
    { id: 'funds', request: (input) => get(input, 'funds') },
  ],

  authorize,
  judge,
})

function redirectUri({ id, redirectUri }: App): string {
  if (redirectUri !== undefined) return redirectUri
  throw new OpenbellError(
    'invalid-field',
    `The app ${id} has no redirect URL; enter the one that its page at ${dashboard} shows.`,
    { field: 'redirectUri' },
  )
}

function notAToken(why: string): OpenbellError {
  return new OpenbellError('invalid-field', `A FYERS access token was expected, and this ${why}.`, {
    field: 'accessToken',
  })
}

/** Without an Authorization header. */
function tokenRequest(
  { app, origins }: ExchangeInput,
  call: string,
  fields: Record<string, string>,
): WireRequest {
  return {
    method: 'POST',
    url: `${originOf(origins, 'api')}/api/v3/${call}`,
    headers: { ...basics, 'Content-Type': 'application/json' },
    body: new Secret(JSON.stringify({ ...fields, appIdHash: appIdHash(app) })),
  }
}

/** With the colon, which the prose of the manual leaves out and its example has. */
function appIdHash(app: App): string {
  return createHash('sha256')
    .update(`${credential(app, 'appId').expose()}:${credential(app, 'secretKey').expose()}`)
    .digest('hex')
}

function get(input: TokenInput, call: string): WireRequest {
  return {
    method: 'GET',
    url: `${originOf(input.origins, 'api')}/api/v3/${call}`,
    headers: authorize(input),
  }
}

/** No "Bearer", no space. */
function authorize({ app, accessToken }: TokenInput): Record<string, Text> {
  return {
    ...basics,
    Authorization: new Secret(`${credential(app, 'appId').expose()}:${accessToken.expose()}`),
  }
}

function readGrant({ body }: Answer, { now }: CodeInput | RefreshInput): GrantDraft {
  const accessToken = new Secret(text(body, 'access_token'))
  // After a login it may be missing, since it is retired; after a refresh its absence means that the old one goes on.
  const refreshToken = maybeText(body, 'refresh_token')
  // FYERS has just handed it over, so its word is good for whose it is.
  const userId = maybeText(claimsOf(accessToken), 'fy_id')
  return {
    slot: 'trading',
    accessToken,
    ...(refreshToken !== undefined && { refresh: refreshOf(new Secret(refreshToken), now) }),
    scopes: [],
    expiry: expiryOf(accessToken, now),
    ...(userId !== undefined && /^[A-Za-z0-9]{1,32}$/.test(userId) && { brokerUserId: userId }),
  }
}

/** Counted from sending. What claims to live longer than three days is not believed: FYERS ends its tokens daily. */
function expiryOf(accessToken: Secret, now: Instant): Expiry {
  return claimedEnd(accessToken, now, 3 * dayMs) ?? byRule(now)
}

/** 15 calendar days, of which the last ends at 06:00. */
function refreshOf(token: Secret, now: Instant): NonNullable<GrantDraft['refresh']> {
  return { token, expiry: claimedEnd(token, now, 16 * dayMs) ?? byRule(plus(now, 14 * dayMs)) }
}

function byRule(after: Instant): Expiry {
  return { at: nextTimeOfDay(after, '06:00', zone), source: 'broker-rule' }
}

/** What the token says, where that is ahead and believable. */
function claimedEnd(token: Secret, now: Instant, longestMs: number): Expiry | undefined {
  const end = jwtEnd(token)
  return end !== undefined && end > now && end <= plus(now, longestMs)
    ? { at: end, source: 'jwt' }
    : undefined
}

/** Unchecked, since only FYERS could check its signature. Undefined when it is no JWT. */
function claimsOf(token: Secret): object | undefined {
  const [header, payload, signature, ...more] = token.expose().split('.')
  if (!header || !payload || !signature || more.length > 0) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return isObject(claims) ? claims : undefined
  } catch {
    return undefined
  }
}

function judge(outcome: Outcome, during: During): Verdict {
  if (outcome.kind === 'no-answer') return noAnswer(name, outcome)
  const { status, body } = outcome
  if (status === 429) return throttled(outcome, 'HTTP 429')
  const broken = outage(name, outcome)
  if (broken) return broken
  if (maybeText(body, 's') === 'ok') return status === 200 && isProof(body, during) ? 'ok' : 'unclear'

  const refused = maybeText(body, 's') === 'error'
  // Behind the edge every refusal has this form; a page, or the edge's own JSON, is not about the token.
  if (status === 403 && !refused) return stoppedAtTheEdge
  if (!isObject(body) || !(refused || (status >= 400 && status < 500))) return 'unclear'

  const brokerCode = codeIn(body) ?? `HTTP ${status}`
  return judgeAnyCall(outcome, brokerCode) ?? judgeOneCall(outcome, brokerCode, during)
}

function isProof(body: unknown, during: During): boolean {
  const code = maybeNumber(body, 'code')
  if (code !== undefined && code < 0) return false
  switch (during) {
    case 'code':
    case 'refresh':
      return maybeText(body, 'access_token') !== undefined
    case 'probe': {
      const funds = at(body, 'fund_limit')
      return maybeText(body, 'data', 'fy_id') !== undefined || (Array.isArray(funds) && funds.length > 0)
    }
    case 'revoke':
      return code === 200
    case 'read':
      return true
    case 'push':
      return false
  }
}

/** The codes that mean the same whatever was asked. */
function judgeAnyCall(answer: Answer, brokerCode: string): Problem | undefined {
  const said = saidIn(answer)
  switch (brokerCode) {
    case '-429':
    case '-353':
      return throttled(answer, brokerCode)
    case '-96':
    case '-201':
    case '-202':
    case '-204':
    case '-205':
      return problem('broker-unavailable', `FYERS could not do it now${said}; it is asked again later.`, {
        brokerCode,
      })
    case '-352':
    case '-371':
      return problem(
        'settings-refused',
        `FYERS does not accept the app ID and secret key${said}; check that both are those of the same app at ${dashboard}.`,
        { brokerCode },
      )
    default:
      return undefined
  }
}

function judgeOneCall(answer: Answer, brokerCode: string, during: During): Verdict {
  switch (during) {
    case 'code':
      return codeRefused(answer, brokerCode)
    case 'refresh':
      return refreshRefused(answer, brokerCode)
    default:
      return callRefused(answer, brokerCode)
  }
}

/** Every refusal is one: the code is spent either way, so a person has to act. */
function codeRefused(answer: Answer, brokerCode: string): Problem {
  const said = saidIn(answer)
  switch (brokerCode) {
    case '-441':
    case '-373':
      return problem(
        'settings-refused',
        `FYERS does not let this app log in this way${said}; look at its kind and permissions at ${dashboard}.`,
        { brokerCode },
      )
    default:
      return problem(
        'login-refused',
        `FYERS refused this login${said}: its auth_code was used before, is too old or is incomplete; log in again, and if that is refused too, check app ID and secret key.`,
        { brokerCode },
      )
  }
}

/**
 * Every refusal is final, known or not: FYERS counts wrong PINs, so none may be sent twice. No code is published for a
 * wrong PIN. -50 means an invalid parameter, and -1049 is what its login pages have been seen to answer to a wrong secret,
 * counting attempts; app and refresh token have codes of their own, which leaves the PIN for both.
 */
function refreshRefused(answer: Answer, brokerCode: string): Problem {
  const said = saidIn(answer)
  switch (brokerCode) {
    case '-50':
    case '-1049':
      return problem(
        'settings-refused',
        `FYERS does not accept the PIN${said}, and it is not sent again; enter the right one, or take it out and log in every trading day.`,
        { brokerCode },
      )
    case '-8':
    case '-15':
    case '-16':
    case '-17':
    case '-501':
      return problem(
        'login-needed',
        `FYERS did not renew this session${said}: it retired that in April 2026 and wants a person to log in every trading day; log in again.`,
        { brokerCode },
      )
    default:
      return problem(
        'login-needed',
        `FYERS did not renew this session${said}, for a reason that its manual does not name; log in again, and check the PIN before you let it try once more.`,
        { brokerCode },
      )
  }
}

function callRefused(answer: Answer, brokerCode: string): Verdict {
  const { status } = answer
  const dead = problem('login-needed', 'FYERS does not accept this access token any more; log in again.', {
    brokerCode,
  })
  switch (brokerCode) {
    case '-8':
    case '-15':
    case '-16':
    case '-17':
      return dead
    case '-373':
      return notAllowed(answer, brokerCode)
    // These are about what was asked for: parameters, order, position, a rejected order, symbol.
    case '-50':
    case '-51':
    case '-53':
    case '-99':
    case '-300':
      return 'unclear'
    default:
      if (status === 401) return dead
      return status === 403 ? notAllowed(answer, brokerCode) : 'unclear'
  }
}

function notAllowed(answer: Answer, brokerCode: string): Problem {
  return problem(
    'settings-refused',
    `FYERS does not allow this app to do that${saidIn(answer)}; give it the permission Transactions Info at ${dashboard} and log in again.`,
    { brokerCode },
  )
}

/**
 * Until the next minute at least, since the third minute overrun blocks the user for the rest of the day. That block has no
 * code of its own and cannot be told from this: it is met by asking little, and ends with the day.
 */
function throttled(answer: Answer, brokerCode: string): Problem {
  const nextMinute = instant((Math.floor(answer.receivedAt / minuteMs) + 1) * minuteMs)
  // Its code means the same, whatever status stands above it.
  const limited = outage(name, new Answer({ ...answer, status: 429 }))
  return problem('broker-rate-limited', 'FYERS asks for fewer requests; it is asked again later.', {
    brokerCode,
    until: Math.max(nextMinute, limited?.until ?? 0),
  })
}

const stoppedAtTheEdge = problem(
  'broker-unavailable',
  'The request was stopped before it reached FYERS, usually because something on the way took its User-Agent header away; the token is not at fault, and it is asked again later.',
  { brokerCode: 'HTTP 403' },
)

function codeIn(body: unknown): string | undefined {
  const code = maybeNumber(body, 'code')
  return Number.isSafeInteger(code) ? String(code) : undefined
}

function saidIn({ body }: Answer): string {
  return quote(maybeText(body, 'message'))
}

function isObject(body: unknown): body is object {
  return typeof body === 'object' && body !== null && !Array.isArray(body)
}
