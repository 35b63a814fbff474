// tastytrade's Open API as its manual tells it (developer.tastytrade.com/docs): OAuth2 token endpoint, the pages
// on which a person makes a grant, and the reads. Where the manual is silent, captured answers decide.
import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { bodyFields } from './body.ts'
import type { SimulatedClock } from './clock.ts'
import { tickAt } from './market.ts'
import { page, userButtons, withQuery } from './page.ts'
import { type BrokerEnv, type SimulatedServer, startServer } from './server.ts'
import { jwtLike, randomToken } from './tokens.ts'

export interface TastytradeUser {
  id: string
  firstName: string
  lastName: string
  email: string
  accounts: string[]
}

/** What is left out is made up. */
export interface TastytradeOptions {
  clientId?: string
  clientSecret?: string
  redirectUris?: string[]
  users?: TastytradeUser[]
  /** The personal grant of the first user. */
  refreshToken?: string
  /** 900 as documented. */
  accessTokenSeconds?: number
  /** The manual promises no rotation; on, each renewal returns a new refresh token and spends the old one. */
  rotateRefreshTokens?: boolean
  /**
   * Refused token requests in a row after which the peer's address gets no answers for eight hours. The manual
   * gives no number and does not say that token requests count; 5 when left out, Infinity turns it off.
   */
  blockAfterFailures?: number
  port?: number
}

export interface TastytradeSimulator extends SimulatedServer {
  /** Base of the API, for an SDK's `baseUrl`. */
  baseUrl: string
  /** The page of the code flow. */
  authorize: string
  /** The page on which a person creates a grant and copies its refresh token. */
  grants: string
  clientId: string
  clientSecret: string
  redirectUris: string[]
  /** The first user's personal grant. */
  refreshToken: string
  accountNumber: string
  users: TastytradeUser[]
  /** A further personal grant; returns its refresh token. */
  createGrant(userId?: string, scopes?: string[]): string
  /** The grant of a refresh token is deleted on the API page; all grants when left out. */
  revoke(refreshToken?: string): void
  /** A new client secret, which is returned; every grant of the client is dead. */
  rotateSecret(): string
  /** Access tokens die now, before their time; the grants live on. */
  endSession(): void
  /** Support lifts the address block. */
  unblock(): void
}

interface Grant {
  id: string
  user: TastytradeUser
  scopes: string[]
  revoked: boolean
}

interface AccessToken {
  grant: Grant
  scopes: string[]
  endsAt: number
}

interface Code {
  user: TastytradeUser
  scopes: string[]
  redirectUri: string
  endsAt: number
}

const SCOPES = ['read', 'trade', 'openid']
const BLOCK_MS = 8 * 60 * 60_000
const QUOTE_TOKEN_MS = 24 * 60 * 60_000
/** Not documented; ten minutes is the longest that OAuth 2 recommends. */
const CODE_MS = 10 * 60_000

export async function startTastytrade(
  clock: SimulatedClock,
  options: TastytradeOptions = {},
): Promise<TastytradeSimulator> {
  const clientId = options.clientId ?? `sim-${randomToken(12).toLowerCase()}`
  let clientSecret = options.clientSecret ?? randomToken(40)
  const redirectUris = options.redirectUris ?? ['http://127.0.0.1:5678/tastytrade/callback']
  const users = options.users ?? madeUpUsers
  const lifeSeconds = options.accessTokenSeconds ?? 900
  const blockAfter = options.blockAfterFailures ?? 5
  const [firstUser] = users
  if (!firstUser) throw new RangeError('tastytrade needs at least one user')

  const grants = new Map<string, Grant>()
  const accessTokens = new Map<string, AccessToken>()
  const codes = new Map<string, Code>()
  const failures = new Map<string, { count: number; blockedUntil: number }>()

  const addGrant = (user: TastytradeUser, scopes: string[], refreshToken?: string): string => {
    const grant = { id: `G${randomToken(12)}`, user, scopes, revoked: false }
    // No `exp`: a refresh token lives until it is revoked.
    const token =
      refreshToken ??
      jwtLike(
        { alg: 'EdDSA', typ: 'rt+jwt', kid: 'simulator' },
        {
          iss: 'simulator',
          sub: user.id,
          iat: Math.floor(clock.now() / 1000),
          aud: clientId,
          grant_id: grant.id,
          scope: scopes.join(' '),
        },
      )
    grants.set(token, grant)
    return token
  }
  const refreshToken = addGrant(firstUser, SCOPES, options.refreshToken)

  const issue = (grant: Grant, scopes: string[], deadOnArrival: boolean) => {
    const token = randomToken(64)
    const seconds = deadOnArrival ? 0 : lifeSeconds
    accessTokens.set(token, { grant, scopes, endsAt: clock.now() + seconds * 1000 })
    return { access_token: token, token_type: 'Bearer', expires_in: seconds }
  }

  const app = new Hono<BrokerEnv>()
  app.onError(() => failure(500, 'internal_server_error', 'Internal server error'))
  app.notFound(() => failure(404, 'not_found', 'There is no such resource'))

  // ------------------------------------------------------------------------------------------ a person's pages

  app.get('/auth.html', (c) => {
    const {
      client_id,
      redirect_uri = '',
      response_type,
      scope = SCOPES.join(' '),
      state = '',
    } = c.req.query()
    if (client_id !== clientId || !redirectUris.includes(redirect_uri) || response_type !== 'code') {
      return c.html(
        page(
          'tastytrade simulator',
          html`<p>The <code>client_id</code>, <code>redirect_uri</code> or <code>response_type</code> is not one this
client is registered with.</p>`,
        ),
        400,
      )
    }
    return c.html(
      page(
        'tastytrade simulator: allow access',
        html`<p>An app asks for <code>${scope}</code>. You will return to <code>${redirect_uri}</code>.</p>
${userButtons('/auth.html', { client_id, redirect_uri, scope, state }, users.map(asChoice))}`,
      ),
    )
  })

  app.post('/auth.html', async (c) => {
    const { client_id, redirect_uri = '', scope = '', state, user: id } = await bodyFields(c.req, ['form'])
    const user = users.find((each) => each.id === id)
    const scopes = words(scope)
    if (client_id !== clientId || !redirectUris.includes(redirect_uri) || !user || !areScopes(scopes)) {
      return c.html(
        page('tastytrade simulator', html`<p>This request is not one the client may make.</p>`),
        400,
      )
    }
    const code = randomToken(32)
    codes.set(code, { user, scopes, redirectUri: redirect_uri, endsAt: clock.now() + CODE_MS })
    return c.redirect(withQuery(redirect_uri, { code, ...(state ? { state } : {}) }), 302)
  })

  app.get('/grants', (c) =>
    c.html(
      page(
        'tastytrade simulator: create a grant',
        html`<p>A grant lets client <code>${clientId}</code> act for you until you delete it.</p>
${userButtons('/grants', {}, users.map(asChoice))}`,
      ),
    ),
  )

  app.post('/grants', async (c) => {
    const { user: id } = await bodyFields(c.req, ['form'])
    const user = users.find((each) => each.id === id)
    if (!user) return c.html(page('tastytrade simulator', html`<p>There is no such user.</p>`), 400)
    const token = addGrant(user, SCOPES)
    return c.html(
      page(
        'tastytrade simulator: your grant',
        html`<p>Copy this refresh token now; it is not shown again.</p><p><code id="refresh-token">${token}</code></p>`,
      ),
    )
  })

  // ---------------------------------------------------------------------------------------------- the token

  app.use(async (c, next) => {
    // The front server refuses, in its own HTML, before the API is reached: not a statement about any token.
    if (!c.req.header('user-agent')) return authorizationRequired()
    await next()
  })

  app.post('/oauth/token', async (c) => {
    const address = c.env.incoming.socket.remoteAddress ?? ''
    const answer = await tokenAnswer(c)
    if (answer.ok) failures.delete(address)
    else {
      const count = (failures.get(address)?.count ?? 0) + 1
      const blocked = count >= blockAfter
      failures.set(address, {
        count: blocked ? 0 : count,
        blockedUntil: blocked ? clock.now() + BLOCK_MS : 0,
      })
    }
    return answer
  })

  const tokenAnswer = async (c: Context<BrokerEnv>): Promise<Response> => {
    // Clients that sent their old bearer along were refused.
    if (c.req.header('authorization')) return refused('invalid_request', 'Unexpected Authorization header')
    const fields = await bodyFields(c.req, ['json', 'form'])
    if (fields.client_id !== undefined && fields.client_id !== clientId) {
      return refused('invalid_client', 'Client authentication failed')
    }
    if (fields.client_secret !== clientSecret)
      return refused('invalid_client', 'Client authentication failed')
    switch (fields.grant_type) {
      case 'refresh_token':
        return renewed(fields, c.env.deadOnArrival)
      case 'authorization_code':
        return exchanged(fields, c.env.deadOnArrival)
      default:
        return refused('unsupported_grant_type', 'Unsupported grant type')
    }
  }

  const renewed = (fields: Record<string, string>, deadOnArrival: boolean): Response => {
    const grant = grants.get(fields.refresh_token ?? '')
    if (!grant) return refused('invalid_grant', 'Invalid JWT')
    if (grant.revoked) return refused('invalid_grant', 'Grant revoked')
    const scopes = fields.scope === undefined ? grant.scopes : words(fields.scope)
    if (!scopes.every((scope) => grant.scopes.includes(scope))) {
      return refused('invalid_scope', 'The grant does not cover this scope')
    }
    const answer = issue(grant, scopes, deadOnArrival)
    if (!options.rotateRefreshTokens) return Response.json(answer)
    grant.revoked = true
    return Response.json({ ...answer, refresh_token: addGrant(grant.user, grant.scopes) })
  }

  const exchanged = (fields: Record<string, string>, deadOnArrival: boolean): Response => {
    const code = codes.get(fields.code ?? '')
    codes.delete(fields.code ?? '')
    if (!code || fields.client_id === undefined || fields.redirect_uri !== code.redirectUri) {
      return refused('invalid_grant', 'Invalid authorization code')
    }
    if (clock.now() >= code.endsAt) return refused('invalid_grant', 'Invalid authorization code')
    const token = addGrant(code.user, code.scopes)
    const grant = grants.get(token) as Grant
    return Response.json({
      ...issue(grant, code.scopes, deadOnArrival),
      refresh_token: token,
      ...(code.scopes.includes('openid')
        ? {
            id_token: jwtLike(
              { alg: 'EdDSA', typ: 'JWT' },
              { iss: 'simulator', sub: code.user.id, aud: clientId },
            ),
          }
        : {}),
    })
  }

  // ------------------------------------------------------------------------------------------------ the reads

  /** Whose call it is, or the refusal. Every read needs the scope `read`. */
  const caller = (c: Context<BrokerEnv>): TastytradeUser | Response => {
    const [, token = ''] = /^Bearer (\S+)$/.exec(c.req.header('authorization') ?? '') ?? []
    const access = accessTokens.get(token)
    if (!access) return failure(401, 'unauthorized', 'The access token is missing or unknown')
    if (clock.now() >= access.endsAt) return failure(401, 'token_invalid', 'The access token has expired')
    if (!access.scopes.includes('read')) return failure(403, 'not_permitted', 'The scope does not allow this')
    return access.grant.user
  }

  app.get('/customers/me', (c) => {
    const user = caller(c)
    if (user instanceof Response) return user
    return enveloped(c, {
      id: user.id,
      'external-id': `E${user.id}`,
      'first-name': user.firstName,
      'last-name': user.lastName,
      email: user.email,
    })
  })

  app.get('/customers/me/accounts', (c) => {
    const user = caller(c)
    if (user instanceof Response) return user
    return enveloped(c, {
      items: user.accounts.map((number) => ({
        account: {
          'account-number': number,
          nickname: 'Individual',
          'account-type-name': 'Individual',
          'margin-or-cash': 'Margin',
          'is-closed': false,
        },
        'authority-level': 'owner',
      })),
    })
  })

  app.get('/accounts/:number/balances', (c) => {
    const user = caller(c)
    if (user instanceof Response) return user
    const number = c.req.param('number')
    if (!user.accounts.includes(number))
      return failure(403, 'not_permitted', 'Not an account of this customer')
    return enveloped(c, balances(number, clock.now()))
  })

  app.get('/market-data/by-type', (c) => {
    const user = caller(c)
    if (user instanceof Response) return user
    const asked = MARKET_TYPES.flatMap(([key, instrumentType]) =>
      [...(c.req.queries(key) ?? []), ...(c.req.queries(`${key}[]`) ?? [])].map((symbol) => ({
        symbol,
        instrumentType,
      })),
    )
    if (asked.length > 100) return failure(422, 'validation_error', 'No more than 100 symbols in one call')
    return enveloped(c, {
      items: asked.flatMap(({ symbol, instrumentType }) => {
        const known = SYMBOLS[symbol]
        return known?.type === instrumentType ? [quote(symbol, instrumentType, known.price, clock.now())] : []
      }),
    })
  })

  app.get('/api-quote-tokens', (c) => {
    const user = caller(c)
    if (user instanceof Response) return user
    const address = `ws://${new URL(c.req.url).host}/realtime`
    return enveloped(c, {
      token: randomToken(48),
      'dxlink-url': address,
      'websocket-url': address,
      level: 'api',
      'issued-at': new Date(clock.now()).toISOString(),
      'expires-at': new Date(clock.now() + QUOTE_TOKEN_MS).toISOString(),
    })
  })

  // ------------------------------------------------------------------------------------------------ the handle

  const server = await startServer({
    name: 'tastytrade',
    port: options.port ?? 0,
    clock,
    app,
    // 429 comes without any header that says for how long.
    refusal: (status) => failure(status, errorCodes[status] ?? 'internal_server_error', 'Request failed'),
    isIgnored: (address) => clock.now() < (failures.get(address)?.blockedUntil ?? 0),
  })

  return {
    ...server,
    baseUrl: server.origin,
    authorize: `${server.origin}/auth.html`,
    grants: `${server.origin}/grants`,
    clientId,
    get clientSecret() {
      return clientSecret
    },
    redirectUris,
    refreshToken,
    accountNumber: firstUser.accounts[0] ?? '',
    users,
    createGrant(userId = firstUser.id, scopes = SCOPES) {
      const user = users.find((each) => each.id === userId)
      if (!user || !areScopes(scopes)) throw new RangeError('no such tastytrade user or scope')
      return addGrant(user, scopes)
    },
    revoke(token) {
      for (const [each, grant] of grants) if (token === undefined || each === token) grant.revoked = true
    },
    rotateSecret() {
      clientSecret = randomToken(40)
      for (const grant of grants.values()) grant.revoked = true
      return clientSecret
    },
    endSession: () => accessTokens.clear(),
    unblock: () => failures.clear(),
  }
}

const madeUpUsers: TastytradeUser[] = [
  {
    id: '900001',
    firstName: 'Dana',
    lastName: 'Reyes',
    email: 'dana@example.com',
    accounts: ['5WS00001', '5WS00002'],
  },
  { id: '900002', firstName: 'Sam', lastName: 'Okafor', email: 'sam@example.com', accounts: ['5WS00003'] },
]

function asChoice(user: TastytradeUser) {
  return { value: user.id, label: `Continue as ${user.firstName} ${user.lastName}` }
}

function words(text: string): string[] {
  return text.split(' ').filter(Boolean)
}

function areScopes(scopes: string[]): boolean {
  return scopes.length > 0 && scopes.every((scope) => SCOPES.includes(scope))
}

// ------------------------------------------------------------------------------------------------ on the wire

const errorCodes: Record<number, string> = {
  401: 'unauthorized',
  403: 'not_permitted',
  404: 'not_found',
  429: 'too_many_requests',
}

function enveloped(c: Context, data: unknown): Response {
  return Response.json({ data, context: c.req.path })
}

function failure(status: number, code: string, message: string): Response {
  return Response.json({ error: { code, message } }, { status })
}

/** The token endpoint's own shape: neither RFC 6749's `error` nor the API's envelope. */
function refused(code: string, description: string): Response {
  return Response.json({ error_code: code, error_description: description }, { status: 400 })
}

function authorizationRequired(): Response {
  return new Response(
    '<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n' +
      '<center><h1>401 Authorization Required</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n',
    { status: 401, headers: { 'content-type': 'text/html' } },
  )
}

function balances(number: string, now: number) {
  return {
    'account-number': number,
    'cash-balance': '25000.0',
    'net-liquidating-value': '61250.75',
    'equity-buying-power': '50000.0',
    'derivative-buying-power': '25000.0',
    'day-trading-buying-power': '100000.0',
    'maintenance-requirement': '11250.0',
    'cash-available-to-withdraw': '25000.0',
    'pending-cash': '0.0',
    'pending-cash-effect': 'None',
    'margin-equity': '61250.75',
    'long-equity-value': '36250.75',
    'updated-at': new Date(now).toISOString(),
  }
}

/** The query's name of each kind of instrument, and the answer's. */
const MARKET_TYPES = [
  ['equity', 'Equity'],
  ['equity-option', 'Equity Option'],
  ['index', 'Index'],
  ['future', 'Future'],
  ['future-option', 'Future Option'],
  ['cryptocurrency', 'Cryptocurrency'],
] as const

const SYMBOLS: Record<string, { type: string; price: number }> = {
  AAPL: { type: 'Equity', price: 270 },
  SPY: { type: 'Equity', price: 680 },
  TSLA: { type: 'Equity', price: 430 },
  SPX: { type: 'Index', price: 6800 },
  VIX: { type: 'Index', price: 18 },
  '/ESZ6': { type: 'Future', price: 6825 },
  'BTC/USD': { type: 'Cryptocurrency', price: 95_000 },
}

function quote(symbol: string, instrumentType: string, base: number, now: number) {
  const tick = tickAt(base, now)
  return {
    symbol,
    'instrument-type': instrumentType,
    bid: String(tick.bid),
    'bid-size': '3.0',
    ask: String(tick.ask),
    'ask-size': '5.0',
    mid: String(tick.last),
    mark: String(tick.last),
    last: String(tick.last),
    open: String(tick.open),
    'day-high-price': String(tick.high),
    'day-low-price': String(tick.low),
    close: String(tick.last),
    'prev-close': String(tick.previousClose),
    volume: String(tick.volume),
    'is-trading-halted': false,
    'updated-at': new Date(now).toISOString(),
  }
}
