/**
 * tastytrade. A person creates a personal grant once and pastes its refresh token; from then on access tokens of
 * 15 minutes are fetched with it, unattended, until the grant is deleted or the client secret regenerated. There is
 * no call that revokes: a grant is deleted on tastytrade's page.
 */

import {
  type CodeInput,
  type During,
  defineBroker,
  type ExchangeInput,
  type RefreshInput,
  type TokenInput,
  type Verdict,
} from '../core/broker.ts'
import type { Problem } from '../core/errors.ts'
import { at, maybeNumber, maybeText, text } from '../core/json.ts'
import type { Expiry, GrantDraft } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { dayMs, type Instant, minuteMs, plus, secondMs } from '../core/time.ts'
import type { Answer, Outcome, Text, WireRequest } from '../core/wire.ts'
import { noAnswer, outage, problem } from './answers/problems.ts'
import { quote } from './answers/quote.ts'
import { credential, originOf } from './requests/settings.ts'

const name = 'tastytrade'

// Without a User-Agent of this form tastytrade's edge answers 401 and an HTML page, whatever the token.
const basics = { Accept: 'application/json', 'User-Agent': 'openbell/0.1.0' }

const grantPage = 'my.tastytrade.com > Manage > My Profile > API > OAuth Applications'

export const tastytrade = defineBroker({
  id: 'tastytrade',
  name,
  docs: 'https://developer.tastytrade.com/docs/authentication/oauth2',
  credentials: {
    clientId: {
      label: 'Client ID',
      secret: false,
      help: `Shown with your application at ${grantPage}.`,
      pattern: /^\S+$/,
      shape: 'one word without spaces',
    },
    clientSecret: {
      label: 'Client secret',
      secret: true,
      help: `Shown once, when the application is created at ${grantPage}.`,
      pattern: /^\S+$/,
      shape: 'one word without spaces',
    },
  },
  appKey: 'clientId',
  environments: {
    live: { api: 'https://api.tastyworks.com' },
    sandbox: { api: 'https://api.cert.tastyworks.com' },
  },
  env: { accessToken: 'TASTYTRADE_ACCESS_TOKEN', refreshToken: 'TASTYTRADE_REFRESH_TOKEN' },
  rules: {
    zone: 'America/New_York',
    // Of 900 s. Room for a deadline of 15 s, several retries, the probe and the deliveries; programs that read the
    // token just before still have it for a minute.
    marginMs: 2 * minuteMs,
    limits: {
      // The number that leads to the block is not published, nor whether refreshes count; the block hits every
      // account behind the address, so five is meant to be well below it.
      failedAuth: {
        max: 5,
        perMs: 15 * minuteMs,
        pauseMs: 15 * minuteMs,
        why: 'tastytrade blocks an address for about 8 hours after too many failed logins, and refused five times within 15 minutes',
      },
      // The block cannot be told from an outage of the network, which ends sooner than in 8 hours: one look each
      // 10 minutes is little enough for the one and soon enough for the other.
      silentBlock: {
        timeouts: 5,
        pauseMs: 10 * minuteMs,
        why: 'tastytrade may have blocked this address without a word, as it does for about 8 hours after too many failed logins (api.support@tastytrade.com lifts it)',
      },
      // One refresh each 13 minutes is 111 a day; four accounts of one person and some retries.
      spendsPerDay: 500,
      probeEveryMs: minuteMs,
    },
  },

  login: {
    kind: 'paste-grant',
    steps: [
      `Open ${grantPage} (for the sandbox: the same place on its own site, cert-my.staging-tasty.works).`,
      'Choose Manage beside the application whose client ID and secret you entered here.',
      'Choose Create Grant and copy the refresh token it shows.',
    ],
    field: {
      label: 'Refresh token',
      secret: true,
      help: 'Shown by Create Grant; it stays good until you delete the grant.',
      pattern: /^\S+$/,
      shape: 'one word without spaces',
    },
    exchange: {
      spend: 'repeatable',
      request: (input) => tokenRequest(input, input.code),
      read(answer: Answer, input: CodeInput) {
        const draft = readGrant(answer, input, input.code)
        return { ...draft, refresh: draft.refresh ?? { token: input.code } }
      },
    },
  },

  refresh: {
    spend: 'repeatable',
    request: (input) => tokenRequest(input, input.refreshToken),
    read: (answer: Answer, input: RefreshInput) => readGrant(answer, input, input.refreshToken),
  },

  probes: [
    {
      // Not /customers/me: that would fetch a person's whole record.
      id: 'accounts',
      request: (input) => ({
        method: 'GET',
        url: `${originOf(input.origins, 'api')}/customers/me/accounts`,
        headers: authorize(input),
      }),
    },
  ],

  authorize,
  judge,
})

/** Never with an Authorization header: with one, tastytrade refuses to refresh. */
function tokenRequest({ app, origins }: ExchangeInput, refreshToken: Secret): WireRequest {
  return {
    method: 'POST',
    url: `${originOf(origins, 'api')}/oauth/token`,
    headers: { ...basics, 'Content-Type': 'application/json' },
    body: new Secret(
      JSON.stringify({
        grant_type: 'refresh_token',
        refresh_token: refreshToken.expose(),
        client_id: credential(app, 'clientId').expose(),
        client_secret: credential(app, 'clientSecret').expose(),
      }),
    ),
  }
}

function readGrant({ body }: Answer, { now }: ExchangeInput, sent: Secret): GrantDraft {
  // None is documented to come, but whoever rotates tokens expects the last one.
  const returned = maybeText(body, 'refresh_token')
  const userId = subject(sent)
  return {
    slot: 'trading',
    accessToken: new Secret(text(body, 'access_token')),
    ...(returned !== undefined && { refresh: { token: new Secret(returned) } }),
    scopes: [],
    expiry: expiryOf(maybeNumber(body, 'expires_in'), now),
    ...(userId !== undefined && { brokerUserId: userId }),
  }
}

/**
 * Where the answer does not say, the documented 15 minutes are not assumed but a third of them: a refresh too many
 * costs nothing, a token believed too long costs trades. Counted from sending, since it was made after that.
 */
function expiryOf(seconds: number | undefined, sentAt: Instant): Expiry {
  return seconds !== undefined && seconds > 0 && seconds * secondMs <= dayMs
    ? { at: plus(sentAt, seconds * secondMs), source: 'declared' }
    : { at: plus(sentAt, 5 * minuteMs), source: 'broker-rule' }
}

/**
 * Whose grant it is: no answer tells it without the person's whole record, but the refresh token is a JWT, and
 * tastytrade has just accepted it. Undefined when it is something else.
 */
function subject(refreshToken: Secret): string | undefined {
  try {
    const claims = Buffer.from(refreshToken.expose().split('.')[1] ?? '', 'base64url').toString('utf8')
    const sub = maybeText(JSON.parse(claims), 'sub')
    return sub !== undefined && /^[\x21-\x7e]{1,128}$/.test(sub) ? sub : undefined
  } catch {
    return undefined
  }
}

function authorize({ accessToken }: TokenInput): Record<string, Text> {
  return { ...basics, Authorization: new Secret(`Bearer ${accessToken.expose()}`) }
}

function judge(outcome: Outcome, during: During): Verdict {
  if (outcome.kind === 'no-answer') return noAnswer(name, outcome)
  const broken = outage(name, outcome)
  if (broken) return broken
  const { status, body } = outcome
  if (status === 200) return isProof(body, during) ? 'ok' : 'unclear'
  if (status === 401 && body === undefined) return stoppedAtTheEdge

  const tokenCall = during === 'code' || during === 'refresh'
  return (tokenCall ? judgeTokenCall(body, during) : judgeCall(status, body)) ?? judgeAnyCall(status, body)
}

function isProof(body: unknown, during: During): boolean {
  switch (during) {
    case 'code':
    case 'refresh':
      return maybeText(body, 'access_token') !== undefined
    case 'probe':
      return Array.isArray(at(body, 'data', 'items'))
    case 'read':
      return typeof at(body, 'data') === 'object' && at(body, 'data') !== null
    case 'push':
    case 'revoke':
      return false
  }
}

/** The token endpoint speaks OAuth with names of its own: error_code and error_description. */
function judgeTokenCall(body: unknown, during: During): Problem | undefined {
  const brokerCode = maybeText(body, 'error_code') ?? maybeText(body, 'error', 'code')
  const said = quote(maybeText(body, 'error_description') ?? maybeText(body, 'error', 'message'))
  switch (brokerCode) {
    case 'invalid_grant':
      return during === 'code'
        ? problem(
            'login-refused',
            `tastytrade does not accept this grant${said}: it is incomplete, deleted, of another application, older than the present client secret, or of the other environment (live or sandbox); create a new grant and paste it.`,
            { brokerCode },
          )
        : problem(
            'login-needed',
            `tastytrade does not accept the grant any more${said}: it was deleted, or the client secret was regenerated; create a new grant and paste it.`,
            { brokerCode },
          )
    case 'invalid_client':
    case 'unauthorized_client':
    case 'invalid_credentials':
    case 'unauthorized':
      return problem(
        'settings-refused',
        `tastytrade does not accept the client ID and client secret${said}; check that both are of the same application and environment (live or sandbox).`,
        { brokerCode },
      )
    case 'invalid_request':
      // Its sandbox answers healthy refreshes so, most mornings, for a while.
      return problem(
        'broker-unavailable',
        `tastytrade could not take this request${said}, although its form is right; it is asked again later.`,
        { brokerCode },
      )
    default:
      return undefined
  }
}

/** By status: the codes in these bodies are not all known. */
function judgeCall(status: number, body: unknown): Problem | undefined {
  if (status !== 401 || !isObject(body)) return undefined
  return problem(
    'login-needed',
    'tastytrade does not accept this access token any more; it needs a new one.',
    {
      brokerCode: 'HTTP 401',
    },
  )
}

function judgeAnyCall(status: number, body: unknown): Verdict {
  const brokerCode = maybeText(body, 'error', 'code')
  const said = quote(maybeText(body, 'error', 'message'))
  if (brokerCode === 'internal_server_error') {
    return problem('broker-unavailable', 'tastytrade is out of order; it is asked again later.', {
      brokerCode,
    })
  }
  if (brokerCode === 'unconfirmed_user') {
    return problem(
      'settings-refused',
      `tastytrade wants this user to confirm something first${said}; log in at my.tastytrade.com and follow what it asks.`,
      { brokerCode },
    )
  }
  if (status === 403 && isObject(body)) {
    return problem(
      'settings-refused',
      `tastytrade does not allow this grant to do that${said}; create one whose application has the scopes read and trade.`,
      { brokerCode: brokerCode === 'not_permitted' ? brokerCode : 'HTTP 403' },
    )
  }
  return 'unclear'
}

const stoppedAtTheEdge = problem(
  'broker-unavailable',
  'The request was stopped before it reached tastytrade, usually because something on the way took its User-Agent header away; the token is not at fault, and it is asked again later.',
  { brokerCode: 'HTTP 401' },
)

function isObject(body: unknown): boolean {
  return typeof body === 'object' && body !== null && !Array.isArray(body)
}
