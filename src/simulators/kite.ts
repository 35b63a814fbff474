// Zerodha Kite Connect v3 as its manual tells it (kite.trade/docs/connect/v3): login page, session, and the
// reads. Where the manual is silent the answer is the one users and staff have reported.
import { createHash } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { bodyFields } from './body.ts'
import { indianStamp, nextIndianTime, type SimulatedClock } from './clock.ts'
import { limit } from './limits.ts'
import { tickAt } from './market.ts'
import { page, userButtons, withQuery } from './page.ts'
import { type BrokerEnv, type SimulatedServer, startServer } from './server.ts'
import { randomToken } from './tokens.ts'

export interface KiteUser {
  userId: string
  name: string
  email: string
}

/** An app as registered in the developer console. */
export interface KiteApp {
  apiKey: string
  apiSecret: string
  /** The one address a login of this app returns to. */
  redirectUrl: string
  /** The free `personal` plan has no market data. */
  plan: 'connect' | 'personal'
  users: KiteUser[]
}

export interface KiteOptions {
  /** What is left out is made up; the first app is the one whose credentials the simulator shows. */
  apps?: Partial<KiteApp>[]
  /**
   * When the day's sessions are flushed, `HH:MM` in Asia/Kolkata between 06:00 and 07:30. Tokens are promised
   * until 06:00; staff have named moments up to 07:30, the default, at which they really end.
   */
  flushAt?: string
  port?: number
}

export interface KiteSimulator extends SimulatedServer {
  /** Base of the API, for an SDK's `root`. */
  root: string
  /** The login page, for an SDK's `default_login_uri`. */
  login: string
  apps: KiteApp[]
  apiKey: string
  apiSecret: string
  redirectUrl: string
  userIds: string[]
  /** The app's session dies now, as when its user logs out of all sessions. */
  endSession(apiKey?: string): void
  /** Another program completes a login with the same api_key, so that the session at hand dies. */
  anotherLogin(apiKey?: string): void
  /** The app gets a new secret, which is returned; the session at hand lives on. */
  rotateSecret(apiKey?: string): string
}

interface RequestToken {
  apiKey: string
  user: KiteUser
  endsAt: number
}

interface Session {
  accessToken: string
  user: KiteUser
  endsAt: number
}

/** Staff: a request_token has to be exchanged within five minutes. */
const REQUEST_TOKEN_MS = 5 * 60_000

export async function startKite(clock: SimulatedClock, options: KiteOptions = {}): Promise<KiteSimulator> {
  const flushAt = options.flushAt ?? '07:30'
  if (flushAt < '06:00' || flushAt > '07:30') throw new RangeError('flushAt lies between 06:00 and 07:30')
  nextIndianTime(flushAt, clock.now())

  const apps = (options.apps ?? [{}]).map(completed)
  const requestTokens = new Map<string, RequestToken>()
  /** By api_key: a second session of the same app takes the place of the first. */
  const sessions = new Map<string, Session>()

  const openSession = (app: KiteApp, user: KiteUser, deadOnArrival = false): Session => {
    const now = clock.now()
    const session = {
      accessToken: randomToken(32),
      user,
      endsAt: deadOnArrival ? now : nextIndianTime(flushAt, now),
    }
    sessions.set(app.apiKey, session)
    return session
  }

  const liveSession = (apiKey: string, accessToken: string): Session | undefined => {
    const session = sessions.get(apiKey)
    return session?.accessToken === accessToken && clock.now() < session.endsAt ? session : undefined
  }

  const app = new Hono<BrokerEnv>()
  app.onError(() => failure(500, 'GeneralException', 'Something went wrong.'))
  app.notFound(() => failure(404, 'GeneralException', 'Route not found'))

  // ------------------------------------------------------------------------------------------- the login page

  app.get('/connect/login', (c) => {
    const registered = apps.find((each) => each.apiKey === c.req.query('api_key'))
    if (!registered)
      return c.html(page('Kite simulator', html`<p>No app has this <code>api_key</code>.</p>`), 400)
    if (c.req.query('v') !== '3') {
      return c.html(page('Kite simulator', html`<p>The address has to say <code>v=3</code>.</p>`), 400)
    }
    const hidden = { api_key: registered.apiKey, redirect_params: c.req.query('redirect_params') ?? '' }
    const users = registered.users.map((user) => ({
      value: user.userId,
      label: `Log in as ${user.name} (${user.userId})`,
    }))
    return c.html(
      page(
        'Kite simulator: log in',
        html`<p>An app asks to act for you. After the login you return to
<code>${registered.redirectUrl}</code>.</p>${userButtons('/connect/login', hidden, users)}`,
      ),
    )
  })

  app.post('/connect/login', async (c) => {
    const { api_key, user: userId, redirect_params = '' } = await bodyFields(c.req, ['form'])
    const registered = apps.find((each) => each.apiKey === api_key)
    const user = registered?.users.find((each) => each.userId === userId)
    if (!registered || !user) {
      return c.html(page('Kite simulator', html`<p>No app has this <code>api_key</code> and user.</p>`), 400)
    }
    const requestToken = randomToken(32)
    requestTokens.set(requestToken, {
      apiKey: registered.apiKey,
      user,
      endsAt: clock.now() + REQUEST_TOKEN_MS,
    })
    return c.redirect(
      withQuery(registered.redirectUrl, {
        ...Object.fromEntries(new URLSearchParams(redirect_params)),
        action: 'login',
        type: 'login',
        status: 'success',
        request_token: requestToken,
      }),
      302,
    )
  })

  // ----------------------------------------------------------------------------------------------- the limits

  const general = limit(10, 1000)
  const quotes = limit(1, 1000)
  app.use(async (c, next) => {
    const allows = c.req.path.startsWith('/quote') ? quotes : general
    const key =
      credentialsOf(c)?.apiKey ?? c.req.query('api_key') ?? (await bodyFields(c.req, ['form'])).api_key ?? ''
    if (!allows(key)) return failure(429, 'NetworkException', 'Too many requests')
    await next()
  })

  // ---------------------------------------------------------------------------------------------- the session

  app.post('/session/token', async (c) => {
    const { api_key, request_token, checksum } = await bodyFields(c.req, ['form'])
    if (!api_key || !request_token || !checksum) {
      return failure(
        400,
        'InputException',
        'Missing or empty field among `api_key`, `request_token`, `checksum`',
      )
    }
    const registered = apps.find((each) => each.apiKey === api_key)
    if (!registered) return failure(400, 'InputException', 'Invalid `api_key`.')

    const spent = requestTokens.get(request_token)
    requestTokens.delete(request_token)
    if (!spent || spent.apiKey !== api_key || clock.now() >= spent.endsAt) {
      return failure(403, 'TokenException', 'Token is invalid or has expired.')
    }
    if (checksum !== sha256(api_key + request_token + registered.apiSecret)) {
      return failure(403, 'TokenException', 'Invalid `checksum`.')
    }
    const session = openSession(registered, spent.user, c.env.deadOnArrival)
    return success({
      ...profile(spent.user),
      api_key,
      access_token: session.accessToken,
      public_token: randomToken(32),
      enctoken: randomToken(88),
      // Empty for every app but a few approved platforms: the apps of ordinary people cannot renew.
      refresh_token: '',
      silo: '',
      login_time: indianStamp(clock.now()),
    })
  })

  app.post('/session/refresh_token', async (c) => {
    const { api_key, refresh_token, checksum } = await bodyFields(c.req, ['form'])
    if (!api_key || !refresh_token || !checksum) {
      return failure(
        400,
        'InputException',
        'Missing or empty field among `api_key`, `refresh_token`, `checksum`',
      )
    }
    return failure(403, 'TokenException', 'Token is invalid or has expired.')
  })

  app.delete('/session/token', (c) => {
    const { api_key = '', access_token, refresh_token } = c.req.query()
    if (!api_key || !(access_token || refresh_token)) {
      return failure(400, 'InputException', 'Invalid `api_key` or `access_token`.')
    }
    if (!liveSession(api_key, access_token ?? '')) {
      return failure(403, 'TokenException', 'Token is invalid or has expired.')
    }
    sessions.delete(api_key)
    return success(true)
  })

  // ------------------------------------------------------------------------------------------------ the reads

  /** The session and app a read is made with, or the refusal. */
  const caller = (c: Context<BrokerEnv>): { session: Session; app: KiteApp } | Response => {
    const credentials = credentialsOf(c)
    // Not a TokenException and not a 403: callers that watch for those alone miss it.
    if (!credentials) return failure(400, 'InputException', 'Invalid `api_key` or `access_token`.')
    const session = liveSession(credentials.apiKey, credentials.accessToken)
    const registered = apps.find((each) => each.apiKey === credentials.apiKey)
    if (!session || !registered) {
      return failure(403, 'TokenException', 'Incorrect `api_key` or `access_token`.')
    }
    return { session, app: registered }
  }

  app.get('/user/profile', (c) => {
    const by = caller(c)
    return by instanceof Response ? by : success(profile(by.session.user))
  })

  app.get('/user/margins', (c) => {
    const by = caller(c)
    return by instanceof Response ? by : success({ equity: margin('equity'), commodity: margin('commodity') })
  })

  app.get('/user/margins/:segment', (c) => {
    const by = caller(c)
    if (by instanceof Response) return by
    const segment = c.req.param('segment')
    if (segment !== 'equity' && segment !== 'commodity') {
      return failure(400, 'InputException', 'Invalid `segment`.')
    }
    return success(margin(segment))
  })

  const quoteRoute = (
    path: string,
    most: number,
    shape: (base: number, token: number, now: number) => unknown,
  ) => {
    app.get(path, (c) => {
      const by = caller(c)
      if (by instanceof Response) return by
      if (by.app.plan === 'personal') {
        return failure(403, 'PermissionException', 'Insufficient permission for that call.')
      }
      const asked = c.req.queries('i') ?? []
      if (asked.length === 0 || asked.length > most) {
        return failure(400, 'InputException', `Give 1 to ${most} instruments as \`i\`.`)
      }
      // An instrument without data is simply missing from the answer.
      const known = asked.flatMap((name) => {
        const instrument = INSTRUMENTS[name]
        return instrument ? [[name, shape(instrument.price, instrument.token, clock.now())]] : []
      })
      return success(Object.fromEntries(known))
    })
  }
  quoteRoute('/quote', 500, fullQuote)
  quoteRoute('/quote/ohlc', 1000, (base, token, now) => ({
    ...lastPrice(base, token, now),
    ohlc: ohlc(base, now),
  }))
  quoteRoute('/quote/ltp', 1000, lastPrice)

  // ------------------------------------------------------------------------------------------------ the handle

  const server = await startServer({
    name: 'kite',
    port: options.port ?? 0,
    clock,
    app,
    refusal: (status) =>
      failure(status, errorTypes[status] ?? 'GeneralException', errorWords[status] ?? 'Failed'),
  })
  const [first] = apps
  if (!first) throw new RangeError('Kite needs at least one app')
  const named = (apiKey = first.apiKey): KiteApp => {
    const found = apps.find((each) => each.apiKey === apiKey)
    if (!found) throw new RangeError('no Kite app has this api_key')
    return found
  }

  return {
    ...server,
    root: server.origin,
    login: `${server.origin}/connect/login`,
    apps,
    apiKey: first.apiKey,
    get apiSecret() {
      return first.apiSecret
    },
    redirectUrl: first.redirectUrl,
    userIds: first.users.map((user) => user.userId),
    endSession(apiKey) {
      sessions.delete(named(apiKey).apiKey)
    },
    anotherLogin(apiKey) {
      const registered = named(apiKey)
      const [user] = registered.users
      if (user) openSession(registered, user)
    },
    rotateSecret(apiKey) {
      const registered = named(apiKey)
      registered.apiSecret = randomToken(32)
      return registered.apiSecret
    },
  }
}

function completed(app: Partial<KiteApp>): KiteApp {
  return {
    apiKey: randomToken(16).toLowerCase(),
    apiSecret: randomToken(32).toLowerCase(),
    redirectUrl: 'http://127.0.0.1:5678/kite/callback',
    plan: 'connect',
    users: [
      { userId: 'SIM001', name: 'Asha Rao', email: 'asha@example.com' },
      { userId: 'SIM002', name: 'Ravi Iyer', email: 'ravi@example.com' },
    ],
    ...app,
  }
}

// ------------------------------------------------------------------------------------------------ on the wire

const errorTypes: Record<number, string> = {
  400: 'InputException',
  403: 'TokenException',
  429: 'NetworkException',
  502: 'NetworkException',
  503: 'NetworkException',
  504: 'NetworkException',
}
const errorWords: Record<number, string> = {
  403: 'Incorrect `api_key` or `access_token`.',
  429: 'Too many requests',
}

function success(data: unknown): Response {
  return Response.json({ status: 'success', data })
}

function failure(status: number, errorType: string, message: string): Response {
  return Response.json({ status: 'error', message, data: null, error_type: errorType }, { status })
}

function credentialsOf(c: Context): { apiKey: string; accessToken: string } | undefined {
  const [, apiKey, accessToken] =
    /^token ([^:\s]+):([^:\s]+)$/.exec(c.req.header('authorization') ?? '') ?? []
  return apiKey && accessToken ? { apiKey, accessToken } : undefined
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function profile(user: KiteUser) {
  return {
    user_id: user.userId,
    user_type: 'individual',
    email: user.email,
    user_name: user.name,
    user_shortname: user.name.split(' ')[0],
    broker: 'ZERODHA',
    exchanges: ['NSE', 'BSE', 'NFO', 'MCX'],
    products: ['CNC', 'NRML', 'MIS'],
    order_types: ['MARKET', 'LIMIT', 'SL', 'SL-M'],
    avatar_url: null,
    meta: { demat_consent: 'consent' },
  }
}

function margin(segment: 'equity' | 'commodity') {
  const cash = segment === 'equity' ? 250_000 : 100_000
  return {
    enabled: true,
    net: cash,
    available: {
      adhoc_margin: 0,
      cash,
      opening_balance: cash,
      live_balance: cash,
      collateral: 0,
      intraday_payin: 0,
    },
    utilised: {
      debits: 0,
      exposure: 0,
      m2m_realised: 0,
      m2m_unrealised: 0,
      option_premium: 0,
      payout: 0,
      span: 0,
      holding_sales: 0,
      turnover: 0,
      liquid_collateral: 0,
      stock_collateral: 0,
      delivery: 0,
    },
  }
}

const INSTRUMENTS: Record<string, { token: number; price: number }> = {
  'NSE:INFY': { token: 408065, price: 1500 },
  'NSE:RELIANCE': { token: 738561, price: 1400 },
  'NSE:SBIN': { token: 779521, price: 850 },
  'NSE:TCS': { token: 2953217, price: 3200 },
  'NSE:NIFTY 50': { token: 256265, price: 26_000 },
  'BSE:INFY': { token: 128053508, price: 1500 },
  'BSE:SENSEX': { token: 265, price: 85_000 },
}

function lastPrice(base: number, token: number, now: number) {
  return { instrument_token: token, last_price: tickAt(base, now).last }
}

function ohlc(base: number, now: number) {
  const { open, high, low, previousClose } = tickAt(base, now)
  return { open, high, low, close: previousClose }
}

function fullQuote(base: number, token: number, now: number) {
  const tick = tickAt(base, now)
  const side = (start: number, step: number) =>
    Array.from({ length: 5 }, (_, level) => ({
      price: Math.round((start + level * step) * 100) / 100,
      quantity: 100 * (level + 1),
      orders: level + 1,
    }))
  return {
    ...lastPrice(base, token, now),
    timestamp: indianStamp(now),
    last_trade_time: indianStamp(now),
    last_quantity: 5,
    buy_quantity: 1500,
    sell_quantity: 1500,
    volume: tick.volume,
    average_price: base,
    oi: 0,
    oi_day_high: 0,
    oi_day_low: 0,
    net_change: 0,
    lower_circuit_limit: base * 0.9,
    upper_circuit_limit: base * 1.1,
    ohlc: ohlc(base, now),
    depth: { buy: side(tick.bid, -0.05), sell: side(tick.ask, 0.05) },
  }
}
