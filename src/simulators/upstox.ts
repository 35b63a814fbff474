// Upstox as its manual tells it (upstox.com/developer/api-documentation): login dialog, exchange, the
// access-token request that a person approves, the two year-long tokens, and the reads.
import { randomUUID } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { bodyFields } from './body.ts'
import { indianStamp, nextIndianTime, realDeadline, type SimulatedClock } from './clock.ts'
import { limit } from './limits.ts'
import { tickAt } from './market.ts'
import { page, userButtons, withQuery } from './page.ts'
import { type BrokerEnv, type SimulatedServer, startServer } from './server.ts'
import { randomToken, signedJwt } from './tokens.ts'

export interface UpstoxUser {
  userId: string
  name: string
  email: string
}

/** An app as registered on the Developer Apps page. */
export interface UpstoxApp {
  /** The API key. */
  clientId: string
  clientSecret: string
  /** The one address a login of this app returns to. */
  redirectUri: string
  /** Where approved tokens are posted; a loopback address. */
  notifierUrl: string
  /** The first is the one to whom the app belongs: its access-token requests ask nobody else. */
  users: UpstoxUser[]
}

export interface UpstoxOptions {
  /** What is left out is made up; the first app is the one whose credentials the simulator shows. */
  apps?: Partial<UpstoxApp>[]
  /** `now`: no refresh grant. `guides`: the exchange hands out a refresh token, and it renews. */
  era?: 'now' | 'guides'
  /** The first user's refresh token of the era `guides`. */
  refreshToken?: string
  port?: number
}

/** What became of an approval: nobody had asked, or how the notifier address took it. */
export type Approval = { approved: false } | { approved: true; notifier: number | 'unreachable' }

export interface UpstoxSimulator extends SimulatedServer {
  /** For an SDK's `basePath` and `orderBasePath`. */
  basePath: string
  /** The login dialog. */
  login: string
  /** The page on which a person approves access-token requests. */
  approvals: string
  apps: UpstoxApp[]
  clientId: string
  clientSecret: string
  redirectUri: string
  notifierUrl: string
  userIds: string[]
  /** The first user's, of the era `guides`. */
  refreshToken: string
  /** Registers another notifier address. Throws RangeError unless it is a loopback address. */
  setNotifierUrl(url: string, clientId?: string): void
  /** The owner approves the app's oldest open request; the token is posted to the notifier. */
  approve(clientId?: string): Promise<Approval>
  /** The owner rejects the app's oldest open request: nothing is sent. */
  reject(clientId?: string): void
  /** A new analytics token of the user (the first app's first when left out); the one before it is revoked. */
  mintAnalyticsToken(userId?: string): string
  /** Access tokens die now, as when a static IP is changed; extended and analytics tokens live on. */
  endSession(): void
  /** All refresh tokens of the era `guides` die. */
  revoke(): void
  /** The app gets a new secret, which is returned; its tokens live on. */
  rotateSecret(clientId?: string): string
}

type Kind = 'access' | 'extended' | 'analytics'

interface Token {
  kind: Kind
  user: UpstoxUser
  endsAt: number
}

interface Code {
  app: UpstoxApp
  user: UpstoxUser
  endsAt: number
}

interface TokenRequest {
  id: string
  app: UpstoxApp
  endsAt: number
}

/** Not documented; users report one to two minutes. */
const CODE_MS = 2 * 60_000
const YEAR_MS = 365 * 24 * 60 * 60_000
const NOTIFIER_MS = 10_000

export async function startUpstox(
  clock: SimulatedClock,
  options: UpstoxOptions = {},
): Promise<UpstoxSimulator> {
  const apps = (options.apps ?? [{}]).map(completed)
  for (const { notifierUrl } of apps) checkLoopback(notifierUrl)
  const [first] = apps
  const [firstUser] = first?.users ?? []
  if (!first || !firstUser) throw new RangeError('Upstox needs at least one app with a user')

  const codes = new Map<string, Code>()
  const tokens = new Map<string, Token>()
  const requests = new Map<string, TokenRequest>()
  /** The extended token of each app and user: kept from login to login. */
  const extended = new Map<string, string>()
  const refreshTokens = new Map<string, { app: UpstoxApp; user: UpstoxUser }>()

  const mint = (kind: Kind, user: UpstoxUser, endsAt: number, dead = false): string => {
    const token = signedJwt({
      sub: user.userId,
      // Tells apart the tokens of one second.
      jti: randomToken(24),
      isMultiClient: false,
      isPlusPlan: false,
      iat: Math.floor(clock.now() / 1000),
      iss: 'udapi-gateway-service',
      exp: Math.floor(endsAt / 1000),
    })
    // Dead on arrival, it still looks valid: only the broker can tell.
    tokens.set(token, { kind, user, endsAt: dead ? clock.now() : endsAt })
    return token
  }
  const mintAccess = (user: UpstoxUser, dead = false) =>
    mint('access', user, nextIndianTime('03:30', clock.now()), dead)

  const extendedToken = (app: UpstoxApp, user: UpstoxUser, anew: boolean): string => {
    const key = `${app.clientId} ${user.userId}`
    const known = extended.get(key)
    if (known && !anew && clock.now() < (tokens.get(known)?.endsAt ?? 0)) return known
    if (known) tokens.delete(known)
    const token = mint('extended', user, clock.now() + YEAR_MS)
    extended.set(key, token)
    return token
  }

  const addRefreshToken = (app: UpstoxApp, user: UpstoxUser, token = randomToken(48)): string => {
    refreshTokens.set(token, { app, user })
    return token
  }
  const refreshToken = addRefreshToken(first, firstUser, options.refreshToken)

  const app = new Hono<BrokerEnv>()
  app.onError(() => failure(500, 'UDAPI100500', 'Something went wrong'))
  app.notFound(() => failure(404, 'UDAPI100060', 'Resource not Found'))

  // ------------------------------------------------------------------------------------------ the login dialog

  app.get('/v2/login/authorization/dialog', (c) => {
    const { client_id, redirect_uri, response_type, state = '' } = c.req.query()
    if (!redirect_uri) return failure(400, 'UDAPI1018', 'The redirect_uri is required')
    const registered = apps.find((each) => each.clientId === client_id)
    if (!registered || registered.redirectUri !== redirect_uri || response_type !== 'code') {
      return failure(400, 'UDAPI100068', "Check your 'client_id' and 'redirect_uri'")
    }
    const users = registered.users.map(({ userId, name }) => ({
      value: userId,
      label: `Log in as ${name} (${userId})`,
    }))
    return c.html(
      page(
        'Upstox simulator: log in',
        html`<p>An app asks to act for you. After the login you return to
<code>${registered.redirectUri}</code>.</p>${userButtons(
          '/v2/login/authorization/dialog',
          { client_id: registered.clientId, redirect_uri, state },
          users,
        )}`,
      ),
    )
  })

  app.post('/v2/login/authorization/dialog', async (c) => {
    const { client_id, redirect_uri, state, user: userId } = await bodyFields(c.req, ['form'])
    const registered = apps.find((each) => each.clientId === client_id && each.redirectUri === redirect_uri)
    const user = registered?.users.find((each) => each.userId === userId)
    if (!registered || !user) {
      return failure(400, 'UDAPI100068', "Check your 'client_id' and 'redirect_uri'")
    }
    const code = randomToken(6)
    codes.set(code, { app: registered, user, endsAt: clock.now() + CODE_MS })
    return c.redirect(withQuery(registered.redirectUri, { code, ...(state ? { state } : {}) }), 302)
  })

  // --------------------------------------------------------------------------------------- the approval page

  const openRequests = (clientId?: string): TokenRequest[] =>
    [...requests.values()].filter(
      (each) => clock.now() < each.endsAt && (clientId === undefined || each.app.clientId === clientId),
    )

  const approve = async (request: TokenRequest | undefined, dead = false): Promise<Approval> => {
    const [owner] = request?.app.users ?? []
    if (!request || !owner) return { approved: false }
    requests.delete(request.id)
    const accessToken = mintAccess(owner, dead)
    return {
      approved: true,
      notifier: await post(request.app.notifierUrl, {
        client_id: request.app.clientId,
        user_id: owner.userId,
        access_token: accessToken,
        token_type: 'Bearer',
        expires_at: String(nextIndianTime('03:30', clock.now())),
        issued_at: String(clock.now()),
        message_type: 'access_token',
      }),
    }
  }

  app.get('/approvals', (c) => {
    const open = openRequests()
    return c.html(
      page(
        'Upstox simulator: access-token requests',
        open.length === 0
          ? html`<p>No app is asking for a token.</p>`
          : html`${open.map(
              ({ id, app: { clientId, users } }) => html`<form method="post" action="/approvals">
<p>The app <code>${clientId}</code> asks ${users[0]?.name} for a token.</p>
<input type="hidden" name="request" value="${id}">
<button name="decision" value="approve">Approve</button>
<button name="decision" value="reject">Reject</button>
</form>`,
            )}`,
      ),
    )
  })

  app.post('/approvals', async (c) => {
    const { request: id, decision } = await bodyFields(c.req, ['form'])
    const request = openRequests().find((each) => each.id === id)
    const words = (text: string, status: 200 | 400 = 200) =>
      c.html(page('Upstox simulator', html`<p>${text}</p>`), status)
    if (!request) return words('This request is not open any more.', 400)
    if (decision === 'reject') {
      requests.delete(request.id)
      return words('Rejected. The app is not told.')
    }
    if (decision !== 'approve') return words('Approve or reject.', 400)
    const approval = await approve(request, c.env.deadOnArrival)
    return words(
      `Approved. The app's notifier answered: ${approval.approved ? approval.notifier : 'nothing'}.`,
    )
  })

  // ----------------------------------------------------------------------------------------------- the limits

  const limits = [limit(50, 1000), limit(500, 60_000), limit(2000, 30 * 60_000)]
  app.use(async (c, next) => {
    const token = tokens.get(bearerOf(c))
    const key = `${token?.user.userId ?? ''} ${c.req.method} ${c.req.path}`
    // No header says for how long.
    if (!limits.every((allows) => allows(key))) return failure(429, 'UDAPI10005', 'Too Many Requests Sent')
    await next()
  })

  // ---------------------------------------------------------------------------------------------- the session

  app.post('/v2/login/authorization/token', async (c) => {
    const fields = await bodyFields(c.req, ['form'])
    const { code = '', client_id, client_secret, redirect_uri, grant_type, refresh_extended_token } = fields
    // Spent by being sent, whatever comes of it.
    const spent = codes.get(code)
    codes.delete(code)

    const refreshes = options.era === 'guides' && grant_type === 'refresh_token'
    if (!client_id) return failure(400, 'UDAPI1017', 'The client_id is required')
    if (!client_secret) return failure(400, 'UDAPI1024', 'The client_secret is required')
    if (!refreshes) {
      if (grant_type !== 'authorization_code') return failure(400, 'UDAPI1023', 'The grant_type is required')
      if (!code) return failure(400, 'UDAPI1022', 'The code is required')
      if (!redirect_uri) return failure(400, 'UDAPI1018', 'The redirect_uri is required')
    }
    const registered = apps.find((each) => each.clientId === client_id)
    if (registered?.clientSecret !== client_secret) {
      return failure(401, 'UDAPI100069', "Check your 'client_id' and 'client_secret'")
    }

    if (refreshes) {
      const renewed = refreshTokens.get(fields.refresh_token ?? '')
      if (!renewed || renewed.app !== registered) {
        return failure(401, 'UDAPI100050', 'Invalid token used to access API')
      }
      return Response.json({
        ...profile(renewed.user),
        access_token: mintAccess(renewed.user, c.env.deadOnArrival),
      })
    }
    if (
      !spent ||
      spent.app !== registered ||
      redirect_uri !== registered.redirectUri ||
      clock.now() >= spent.endsAt
    ) {
      return failure(401, 'UDAPI100057', 'Invalid Auth code')
    }
    return Response.json({
      ...profile(spent.user),
      access_token: mintAccess(spent.user, c.env.deadOnArrival),
      extended_token: extendedToken(registered, spent.user, refresh_extended_token === 'true'),
      ...(options.era === 'guides' ? { refresh_token: addRefreshToken(registered, spent.user) } : {}),
    })
  })

  app.post('/v3/login/auth/token/request/:client_id', async (c) => {
    const { client_secret } = await bodyFields(c.req, ['json'])
    const registered = apps.find((each) => each.clientId === c.req.param('client_id'))
    if (!registered) return failure(400, 'UDAPI1017', 'The client_id is required')
    if (!client_secret) return failure(400, 'UDAPI1024', 'The client_secret is required')
    if (registered.clientSecret !== client_secret) {
      return failure(401, 'UDAPI100069', "Check your 'client_id' and 'client_secret'")
    }
    const request = {
      id: randomToken(16),
      app: registered,
      endsAt: nextIndianTime('03:30', clock.now()),
    }
    requests.set(request.id, request)
    return success({ authorization_expiry: String(request.endsAt), notifier_url: registered.notifierUrl })
  })

  const liveToken = (c: Context): Token | undefined => {
    const token = tokens.get(bearerOf(c))
    return token && clock.now() < token.endsAt ? token : undefined
  }

  app.delete('/v2/logout', (c) => {
    if (!liveToken(c)) {
      // The one answer that shows the exception behind it instead of the envelope.
      return Response.json(
        { cause: null, stackTrace: [], message: 'Invalid token', localizedMessage: 'Invalid token' },
        { status: 401 },
      )
    }
    tokens.delete(bearerOf(c))
    return success(true)
  })

  // ------------------------------------------------------------------------------------------------ the reads

  /** The user a read is made for, or the refusal of a token that is dead or of the wrong kind. */
  const caller = (c: Context, ...kinds: Kind[]): UpstoxUser | Response => {
    const token = liveToken(c)
    if (!token) return failure(401, 'UDAPI100050', 'Invalid token used to access API')
    if (kinds.includes(token.kind)) return token.user
    return token.kind === 'extended'
      ? failure(
          403,
          'UDAPI100067',
          'The API you are trying to access is not permitted with an extended_token',
        )
      : failure(403, 'UDAPI1154', 'Access to this API needs a registered static IP')
  }

  app.get('/v2/user/profile', (c) => {
    const user = caller(c, 'access')
    return user instanceof Response ? user : success({ ...profile(user), ddpi: false })
  })

  /** The funds service rests each night. */
  const funds = (path: string, data: unknown) => {
    app.get(path, (c) => {
      const user = caller(c, 'access')
      if (user instanceof Response) return user
      if (indianStamp(clock.now()).slice(11) < '05:30:00') {
        return failure(
          423,
          'UDAPI100072',
          'The Funds service is accessible from 5:30 AM to 12:00 AM IST daily',
        )
      }
      return success(data)
    })
  }
  funds('/v2/user/get-funds-and-margin', fundsV2())
  funds('/v3/user/get-funds-and-margin', fundsV3())

  /** What an extended token is for. */
  for (const path of ['/v2/portfolio/short-term-positions', '/v2/portfolio/long-term-holdings']) {
    app.get(path, (c) => {
      const user = caller(c, 'access', 'extended')
      return user instanceof Response ? user : success([])
    })
  }

  const quotes = (path: string, shape: (key: string, instrument: Instrument, now: number) => unknown) => {
    app.get(path, (c) => {
      const user = caller(c, 'access', 'analytics')
      if (user instanceof Response) return user
      // The SDK's name for it at v2 is `symbol`; the manual's is `instrument_key` everywhere.
      const keys = (c.req.query('instrument_key') ?? c.req.query('symbol') ?? '').split(',').filter(Boolean)
      if (keys.length === 0) return failure(400, 'UDAPI1009', 'The instrument_key is required')
      if (keys.length > 500) return failure(400, 'UDAPI100043', 'Too many instrument keys')
      // Asked for by key, answered by name; one without data is simply missing.
      return success(
        Object.fromEntries(
          keys.flatMap((key) => {
            const known = INSTRUMENTS[key]
            return known ? [[known.name, shape(key, known, clock.now())]] : []
          }),
        ),
      )
    })
  }
  quotes('/v3/market-quote/ltp', ltp)
  quotes('/v2/market-quote/quotes', fullQuote)

  app.get('/v2/market/status/:exchange', (c) => {
    const user = caller(c, 'access', 'analytics')
    if (user instanceof Response) return user
    const exchange = c.req.param('exchange')
    if (!['NSE', 'BSE'].includes(exchange)) return failure(400, 'UDAPI100036', 'Invalid Input')
    return success({
      exchange,
      status: isMarketOpen(clock.now()) ? 'NORMAL_OPEN' : 'NORMAL_CLOSE',
      last_updated: clock.now(),
    })
  })

  // ------------------------------------------------------------------------------------------------ the handle

  const server = await startServer({
    name: 'upstox',
    port: options.port ?? 0,
    clock,
    app,
    refusal: (status) =>
      failure(status, errorCodes[status] ?? 'UDAPI100500', errorWords[status] ?? 'Something went wrong'),
  })
  const named = (clientId = first.clientId): UpstoxApp => {
    const found = apps.find((each) => each.clientId === clientId)
    if (!found) throw new RangeError('no Upstox app has this client id')
    return found
  }
  const oldest = (clientId?: string) => openRequests(named(clientId).clientId)[0]

  return {
    ...server,
    basePath: server.origin,
    login: `${server.origin}/v2/login/authorization/dialog`,
    approvals: `${server.origin}/approvals`,
    apps,
    clientId: first.clientId,
    get clientSecret() {
      return first.clientSecret
    },
    redirectUri: first.redirectUri,
    get notifierUrl() {
      return first.notifierUrl
    },
    userIds: first.users.map((user) => user.userId),
    refreshToken,
    setNotifierUrl(url, clientId) {
      checkLoopback(url)
      named(clientId).notifierUrl = url
    },
    approve: (clientId) => approve(oldest(clientId)),
    reject(clientId) {
      const request = oldest(clientId)
      if (request) requests.delete(request.id)
    },
    mintAnalyticsToken(userId = firstUser.userId) {
      const user = apps.flatMap(({ users }) => users).find((each) => each.userId === userId)
      if (!user) throw new RangeError('no such Upstox user')
      for (const [token, { kind, user: holder }] of tokens) {
        if (kind === 'analytics' && holder.userId === userId) tokens.delete(token)
      }
      return mint('analytics', user, clock.now() + YEAR_MS)
    },
    endSession() {
      for (const [token, { kind }] of tokens) if (kind === 'access') tokens.delete(token)
    },
    revoke: () => refreshTokens.clear(),
    rotateSecret(clientId) {
      const registered = named(clientId)
      registered.clientSecret = randomToken(10).toLowerCase()
      return registered.clientSecret
    },
  }
}

function completed(app: Partial<UpstoxApp>): UpstoxApp {
  return {
    clientId: randomUUID(),
    clientSecret: randomToken(10).toLowerCase(),
    redirectUri: 'http://127.0.0.1:5678/upstox/callback',
    notifierUrl: 'http://127.0.0.1:5678/upstox/notifier',
    users: [
      { userId: 'SU0001', name: 'Lakshmi Menon', email: 'lakshmi@example.com' },
      { userId: 'SU0002', name: 'Imran Shaikh', email: 'imran@example.com' },
    ],
    ...app,
  }
}

/** Made-up tokens stay on this machine. */
function checkLoopback(address: string): void {
  const { protocol, hostname } = new URL(address)
  if (!/^https?:$/.test(protocol) || !['127.0.0.1', '[::1]', 'localhost'].includes(hostname)) {
    throw new RangeError('the simulator posts to a notifier on a loopback address only')
  }
}

async function post(address: string, payload: Record<string, string>): Promise<number | 'unreachable'> {
  try {
    const answer = await fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(payload),
      // One that is followed could lead off this machine.
      redirect: 'manual',
      signal: realDeadline(NOTIFIER_MS),
    })
    await answer.arrayBuffer()
    return answer.status
  } catch {
    return 'unreachable'
  }
}

// ------------------------------------------------------------------------------------------------ on the wire

const errorCodes: Record<number, string> = {
  401: 'UDAPI100050',
  404: 'UDAPI100060',
  423: 'UDAPI100072',
  429: 'UDAPI10005',
}
const errorWords: Record<number, string> = {
  401: 'Invalid token used to access API',
  429: 'Too Many Requests Sent',
}

function success(data: unknown): Response {
  return Response.json({ status: 'success', data })
}

/** Each fact in both spellings, as today's answers have it. */
function failure(status: number, code: string, message: string): Response {
  const error = {
    errorCode: code,
    message,
    propertyPath: null,
    invalidValue: null,
    error_code: code,
    property_path: null,
    invalid_value: null,
  }
  return Response.json({ status: 'error', errors: [error] }, { status })
}

function bearerOf(c: Context): string {
  return /^Bearer (\S+)$/.exec(c.req.header('authorization') ?? '')?.[1] ?? ''
}

function profile(user: UpstoxUser) {
  return {
    email: user.email,
    exchanges: ['NSE', 'BSE', 'NFO', 'BFO'],
    products: ['D', 'I', 'MTF'],
    broker: 'UPSTOX',
    user_id: user.userId,
    user_name: user.name,
    order_types: ['MARKET', 'LIMIT', 'SL', 'SL-M'],
    user_type: 'individual',
    poa: false,
    is_active: true,
  }
}

/** Since July 2025 both segments stand together in `equity`. */
function fundsV2() {
  const nothing = {
    used_margin: 0,
    payin_amount: 0,
    span_margin: 0,
    adhoc_margin: 0,
    notional_cash: 0,
    available_margin: 0,
    exposure_margin: 0,
  }
  return { equity: { ...nothing, available_margin: 250_000 }, commodity: nothing }
}

function fundsV3() {
  return {
    available_to_trade: {
      total: 250_000,
      cash_available_to_trade: {
        total: 200_000,
        cash: {
          opening_balance: 200_000,
          added_today: 0,
          withdrawn_today: 0,
          amount_from_stock_sale: 0,
          unpaid_charges: 0,
        },
        margin_used: { total: 0, mtf: 0, span_exposure: 0, cash_margin_var_elm: 0, premium_present: 0 },
      },
      pledge_available_to_trade: {
        total: 50_000,
        margin_from_pledge: { total: 50_000, equity: 50_000, mutual_funds: 0 },
        margin_used: { total: 0 },
      },
    },
    unavailable_to_trade: {
      cash_unavailable_to_trade: { unsettled_profit: { todays_profit: 0, previous_days: 0 } },
      pledge_unavailable_to_trade: { equity: 0, mutual_funds: 0 },
    },
  }
}

interface Instrument {
  /** `EXCH:SYMBOL`, as answers name it. */
  name: string
  price: number
}

const INSTRUMENTS: Record<string, Instrument> = {
  'NSE_EQ|INE009A01021': { name: 'NSE_EQ:INFY', price: 1500 },
  'NSE_EQ|INE002A01018': { name: 'NSE_EQ:RELIANCE', price: 1400 },
  'NSE_EQ|INE062A01020': { name: 'NSE_EQ:SBIN', price: 850 },
  'NSE_EQ|INE848E01016': { name: 'NSE_EQ:NHPC', price: 90 },
  'NSE_INDEX|Nifty 50': { name: 'NSE_INDEX:Nifty 50', price: 26_000 },
}

function ltp(key: string, { price }: Instrument, now: number) {
  const tick = tickAt(price, now)
  return {
    last_price: tick.last,
    instrument_token: key,
    ltq: 5,
    volume: tick.volume,
    cp: tick.previousClose,
  }
}

function fullQuote(key: string, { name, price }: Instrument, now: number) {
  const tick = tickAt(price, now)
  const side = (start: number, step: number) =>
    Array.from({ length: 5 }, (_, level) => ({
      quantity: 100 * (level + 1),
      price: Math.round((start + level * step) * 100) / 100,
      orders: level + 1,
    }))
  return {
    ohlc: { open: tick.open, high: tick.high, low: tick.low, close: tick.last },
    depth: { buy: side(tick.bid, -0.05), sell: side(tick.ask, 0.05) },
    timestamp: `${indianStamp(now).replace(' ', 'T')}.000+05:30`,
    instrument_token: key,
    symbol: name.split(':')[1],
    last_price: tick.last,
    volume: tick.volume,
    average_price: price,
    oi: 0,
    net_change: Math.round((tick.last - tick.previousClose) * 100) / 100,
    total_buy_quantity: 1500,
    total_sell_quantity: 1500,
    lower_circuit_limit: price * 0.9,
    upper_circuit_limit: price * 1.1,
    last_trade_time: String(now),
    oi_day_high: 0,
    oi_day_low: 0,
  }
}

/** 09:15 to 15:30 on weekdays: the simulator knows no holidays. */
function isMarketOpen(now: number): boolean {
  const [day = '', time = ''] = indianStamp(now).split(' ')
  const weekday = new Date(`${day}T00:00:00Z`).getUTCDay()
  return weekday !== 0 && weekday !== 6 && time >= '09:15:00' && time < '15:30:00'
}
