// FYERS API v3 as its manual tells it (myapi.fyers.in/docsv3): login page, exchange, the retired refresh, and
// the reads. Where the manual is silent, captured answers decide.
import { createHash, randomInt } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { bodyFields } from './body.ts'
import { indianStamp, nextIndianTime, realElapsed, type SimulatedClock } from './clock.ts'
import { limit } from './limits.ts'
import { tickAt } from './market.ts'
import { page, userButtons, withQuery } from './page.ts'
import { type BrokerEnv, type SimulatedServer, startServer } from './server.ts'
import { randomToken, signedJwt } from './tokens.ts'

export interface FyersUser {
  fyId: string
  name: string
  email: string
  /** Four digits, which a refresh asks for. */
  pin: string
}

/** An app as registered on the broker's API page. */
export interface FyersApp {
  appId: string
  secretKey: string
  /** The one address a login of this app returns to. */
  redirectUri: string
  users: FyersUser[]
}

export interface FyersOptions {
  /** What is left out is made up; the first app is the one whose credentials the simulator shows. */
  apps?: Partial<FyersApp>[]
  /** `now`: refresh retired since 2026-04-01. `guides`: a refresh token and the PIN renew for 15 days. */
  era?: 'now' | 'guides'
  /** What the retired refresh does: it is refused, or it answers with a JWT that looks valid and is dead. */
  refresh?: 'refused' | 'dead-token'
  /** 10 a second and 200 a minute, as documented, of real time. */
  limits?: { perSecond?: number; perMinute?: number }
  port?: number
}

export interface FyersSimulator extends SimulatedServer {
  /** Base of the trading API, for an SDK's `SYNC_API`. */
  api: string
  /** Base of the data API, for an SDK's `data_Api1`. */
  data: string
  /** The login page. */
  login: string
  apps: FyersApp[]
  appId: string
  secretKey: string
  redirectUri: string
  /** The first user's. */
  pin: string
  userIds: string[]
  /** All access tokens die now, before their `exp`; the refresh tokens live on. */
  endSession(): void
  /** All refresh tokens die. */
  revoke(): void
  /** The app gets a new secret, which is returned; its tokens live on. */
  rotateSecret(appId?: string): string
  /** The user (the first when left out) is refused until midnight in India, as after a fourth breached minute. */
  blockForDay(fyId?: string): void
  /** Support lifts the day block and the lock on the PIN of every user. */
  unblock(): void
}

interface AuthCode {
  app: FyersApp
  user: FyersUser
  endsAt: number
}

/** Dead tokens are kept: what is done with one still counts against its user. */
interface Issued {
  app: FyersApp
  user: FyersUser
  endsAt: number
}

/** As in the one code that was ever published: its `exp` less its `iat`. */
const CODE_MS = 30_000_000
const REFRESH_DAYS = 15
const DAY_MS = 24 * 60 * 60_000
const MINUTE_MS = 60_000
/** The number of wrong factors that the login page of the broker allows. */
const PIN_ATTEMPTS = 5
const BREACHES_A_DAY = 3

export async function startFyers(clock: SimulatedClock, options: FyersOptions = {}): Promise<FyersSimulator> {
  const { era = 'now', refresh = 'refused', limits = {} } = options
  const apps = (options.apps ?? [{}]).map(completed)
  const [first] = apps
  const [firstUser] = first?.users ?? []
  if (!first || !firstUser) throw new RangeError('FYERS needs at least one app with a user')

  const codes = new Map<string, AuthCode>()
  const accessTokens = new Map<string, Issued>()
  const refreshTokens = new Map<string, Issued>()
  const wrongPins = new Map<string, number>()

  const claims = (sub: string, app: FyersApp, user: FyersUser, endsAt: number) => {
    const iat = Math.floor(clock.now() / 1000)
    return {
      iss: 'api.fyers.in',
      iat,
      exp: Math.floor(endsAt / 1000),
      nbf: iat,
      aud: ['d:1', 'd:2', 'x:0', 'x:1', 'x:2'],
      sub,
      at_hash: randomToken(32),
      display_name: user.fyId,
      oms: 'K1',
      hsm_key: createHash('sha224').update(randomToken(32)).digest('hex'),
      isDdpiEnabled: 'N',
      isMtfEnabled: 'N',
      fy_id: user.fyId,
      appType: app.appId.split('-')[1] ?? '100',
    }
  }

  /** Dead on arrival, it still looks valid: only the broker can tell. */
  const accessToken = (app: FyersApp, user: FyersUser, dead: boolean): string => {
    const endsAt = nextIndianTime('06:00', clock.now())
    const token = signedJwt(claims('access_token', app, user, endsAt))
    accessTokens.set(token, { app, user, endsAt: dead ? clock.now() : endsAt })
    return token
  }

  const app = new Hono<BrokerEnv>()
  app.onError(() => failure(500, 500, 'Something went wrong'))
  app.notFound(() => failure(404, 404, 'Not found'))

  // The edge refuses programs that do not say what they are, before any credential is looked at.
  app.use(async (c, next) => {
    const agent = c.req.header('user-agent') ?? ''
    if (agent === '' || agent.startsWith('Python-urllib')) return new Response(null, { status: 403 })
    await next()
  })

  // ------------------------------------------------------------------------------------------- the login page

  app.get('/api/v3/generate-authcode', (c) => {
    const { client_id, redirect_uri, response_type, state = '' } = c.req.query()
    const registered = apps.find((each) => each.appId === client_id)
    if (!registered || registered.redirectUri !== redirect_uri || response_type !== 'code') {
      return c.html(
        page(
          'FYERS simulator',
          html`<p>No app has this <code>client_id</code> and <code>redirect_uri</code>,
or <code>response_type</code> is not <code>code</code>.</p>`,
        ),
        400,
      )
    }
    const users = registered.users.map(({ fyId, name }) => ({
      value: fyId,
      label: `Log in as ${name} (${fyId})`,
    }))
    return c.html(
      page(
        'FYERS simulator: log in',
        html`<p>An app asks to act for you. After the login you return to
<code>${registered.redirectUri}</code>.</p>${userButtons(
          '/api/v3/generate-authcode',
          { client_id: registered.appId, redirect_uri, state },
          users,
        )}`,
      ),
    )
  })

  app.post('/api/v3/generate-authcode', async (c) => {
    const { client_id, redirect_uri, state = '', user: fyId } = await bodyFields(c.req, ['form'])
    const registered = apps.find((each) => each.appId === client_id && each.redirectUri === redirect_uri)
    const user = registered?.users.find((each) => each.fyId === fyId)
    if (!registered || !user) {
      return c.html(
        page('FYERS simulator', html`<p>No app has this <code>client_id</code> and user.</p>`),
        400,
      )
    }
    const endsAt = clock.now() + CODE_MS
    const { iat, ...rest } = claims('auth_code', registered, user, endsAt)
    const code = signedJwt({
      ...rest,
      iss: 'api.login.fyers.in',
      iat,
      nbf: iat - 600,
      app_id: registered.appId.split('-')[0],
      uuid: randomToken(32),
      nonce: '',
      scope: '',
      ipAddr: '127.0.0.1',
    })
    codes.set(code, { app: registered, user, endsAt })
    return c.redirect(
      withQuery(registered.redirectUri, { s: 'ok', code: '200', message: '', auth_code: code, state }),
      302,
    )
  })

  // ----------------------------------------------------------------------------------------------- the limits

  const perSecond = limit(limits.perSecond ?? 10, 1000)
  const perMinute = limit(limits.perMinute ?? 200, MINUTE_MS)
  const breaches = new Map<string, { day: string; count: number; lastMs: number }>()
  const blockedUntil = new Map<string, number>()
  const blockForDay = (who: string) => blockedUntil.set(who, nextIndianTime('00:00', clock.now()))

  const breach = (who: string): void => {
    const day = indianStamp(clock.now()).slice(0, 10)
    const known = breaches.get(who)
    const today = known?.day === day ? known : { day, count: 0, lastMs: -MINUTE_MS }
    breaches.set(who, today)
    // One breached minute is one breach, however many calls were over the limit in it.
    if (realElapsed() - today.lastMs < MINUTE_MS && today.count > 0) return
    today.count += 1
    today.lastMs = realElapsed()
    if (today.count > BREACHES_A_DAY) blockForDay(who)
  }

  app.use(async (c, next) => {
    const { appId, token } = credentialsOf(c)
    const { appIdHash } = await bodyFields(c.req, ['json'])
    const signingIn = apps.find((each) => hashOf(each) === appIdHash)?.appId
    const who = accessTokens.get(token)?.user.fyId ?? signingIn ?? appId
    const tooMany = () => failure(429, -429, 'Request limit reached')
    if (clock.now() < (blockedUntil.get(who) ?? 0)) return tooMany()
    if (!perMinute(who)) {
      breach(who)
      return tooMany()
    }
    if (!perSecond(who)) return tooMany()
    await next()
  })

  // ---------------------------------------------------------------------------------------------- the session

  app.post('/api/v3/validate-authcode', async (c) => {
    const { grant_type, appIdHash, code = '' } = await bodyFields(c.req, ['json'])
    if (grant_type !== 'authorization_code') return failure(400, -441, 'invalid grant type')
    const registered = apps.find((each) => hashOf(each) === appIdHash)
    if (!registered) return failure(400, -371, 'Please provide sha256 hash of appId and app secret')
    const spent = codes.get(code)
    if (!spent || spent.app !== registered || clock.now() >= spent.endsAt) {
      return failure(400, -437, 'invalid auth code')
    }
    codes.delete(code)
    const endsAt = nextIndianTime('06:00', clock.now()) + (REFRESH_DAYS - 1) * DAY_MS
    const refreshToken = signedJwt(claims('refresh_token', registered, spent.user, endsAt))
    refreshTokens.set(refreshToken, { app: registered, user: spent.user, endsAt })
    return success({
      access_token: accessToken(registered, spent.user, c.env.deadOnArrival),
      // Still in the answer although it is good for nothing any more.
      refresh_token: refreshToken,
    })
  })

  app.post('/api/v3/validate-refresh-token', async (c) => {
    const { grant_type, appIdHash, refresh_token = '', pin } = await bodyFields(c.req, ['json'])
    if (era === 'now' && refresh === 'refused') {
      return failure(401, -16, 'Refresh is discontinued under the SEBI rules: log in')
    }
    if (grant_type !== 'refresh_token') return failure(400, -441, 'invalid grant type')
    const registered = apps.find((each) => hashOf(each) === appIdHash)
    if (!registered) return failure(400, -371, 'Please provide sha256 hash of appId and app secret')
    const issued = refreshTokens.get(refresh_token)
    if (!issued || issued.app !== registered || clock.now() >= issued.endsAt) {
      return failure(400, -501, 'Please provide valid refresh token')
    }
    const { user } = issued
    const failed = wrongPins.get(user.fyId) ?? 0
    if (failed >= PIN_ATTEMPTS) return wrongPin(failed)
    if (pin !== user.pin) {
      wrongPins.set(user.fyId, failed + 1)
      return wrongPin(failed + 1)
    }
    wrongPins.delete(user.fyId)
    return success({ access_token: accessToken(registered, user, era === 'now' || c.env.deadOnArrival) })
  })

  app.post('/api/v3/logout', (c) => {
    if (!caller(c)) return failure(401, -16, 'Token is Invalid or Expired')
    kill(credentialsOf(c).token)
    return Response.json({ s: 'ok', code: 200, message: 'you are successfully logged out' })
  })

  // ------------------------------------------------------------------------------------------------ the reads

  const kill = (token: string) => {
    const issued = accessTokens.get(token)
    if (issued) issued.endsAt = 0
  }

  const caller = (c: Context): FyersUser | undefined => {
    const { appId, token } = credentialsOf(c)
    const issued = accessTokens.get(token)
    return issued?.app.appId === appId && clock.now() < issued.endsAt ? issued.user : undefined
  }
  const unknownUser = () => failure(401, -16, 'Could not authenticate the user')
  const unknownDataUser = () => failure(401, -15, 'Please provide valid token')

  app.get('/api/v3/profile', (c) => {
    const user = caller(c)
    return user ? success({ data: profile(user) }) : unknownUser()
  })

  app.get('/api/v3/funds', (c) => (caller(c) ? success({ fund_limit: fundLimits() }) : unknownUser()))

  app.get('/data/quotes', (c) => {
    if (!caller(c)) return unknownDataUser()
    const symbols = words(c.req.query('symbols'))
    if (symbols.length === 0 || symbols.length > 50) return failure(400, -50, 'Give 1 to 50 symbols')
    return success({ d: symbols.map((symbol) => quote(symbol, clock.now())) })
  })

  app.get('/data/depth', (c) => {
    if (!caller(c)) return unknownDataUser()
    const symbol = c.req.query('symbol') ?? ''
    const known = SYMBOLS[symbol]
    if (!known) return failure(400, -300, 'Please provide valid symbol')
    return success({
      d: { [symbol]: depth(known.price, clock.now(), c.req.query('ohlcv_flag') === '1') },
    })
  })

  // ------------------------------------------------------------------------------------------------ the handle

  const server = await startServer({
    name: 'fyers',
    port: options.port ?? 0,
    clock,
    app,
    refusal: (status) =>
      failure(status, errorCodes[status] ?? status, errorWords[status] ?? 'Request failed'),
  })
  const named = (appId = first.appId): FyersApp => {
    const found = apps.find((each) => each.appId === appId)
    if (!found) throw new RangeError('no FYERS app has this id')
    return found
  }

  return {
    ...server,
    api: `${server.origin}/api/v3`,
    data: `${server.origin}/data`,
    login: `${server.origin}/api/v3/generate-authcode`,
    apps,
    appId: first.appId,
    get secretKey() {
      return first.secretKey
    },
    redirectUri: first.redirectUri,
    pin: firstUser.pin,
    userIds: first.users.map((user) => user.fyId),
    endSession() {
      for (const token of accessTokens.keys()) kill(token)
    },
    revoke: () => refreshTokens.clear(),
    rotateSecret(appId) {
      const registered = named(appId)
      registered.secretKey = randomToken(10).toUpperCase()
      return registered.secretKey
    },
    blockForDay(fyId = firstUser.fyId) {
      blockForDay(fyId)
    },
    unblock() {
      blockedUntil.clear()
      breaches.clear()
      wrongPins.clear()
    },
  }
}

function completed(app: Partial<FyersApp>): FyersApp {
  return {
    appId: `${randomToken(10).toUpperCase()}-100`,
    secretKey: randomToken(10).toUpperCase(),
    redirectUri: 'http://127.0.0.1:5678/fyers/callback',
    users: [
      { fyId: 'XS00001', name: 'Meera Nair', email: 'meera@example.com', pin: madeUpPin() },
      { fyId: 'XS00002', name: 'Arjun Das', email: 'arjun@example.com', pin: madeUpPin() },
    ],
    ...app,
  }
}

function madeUpPin(): string {
  return String(randomInt(10_000)).padStart(4, '0')
}

/** The manual's prose forgets the colon; its printed example has it. */
function hashOf({ appId, secretKey }: FyersApp): string {
  return createHash('sha256').update(`${appId}:${secretKey}`).digest('hex')
}

// ------------------------------------------------------------------------------------------------ on the wire

const errorCodes: Record<number, number> = { 401: -16, 429: -429 }
const errorWords: Record<number, string> = {
  401: 'Could not authenticate the user',
  429: 'Request limit reached',
}

function success(fields: Record<string, unknown>): Response {
  return Response.json({ s: 'ok', code: 200, message: '', ...fields })
}

function failure(status: number, code: number, message: string): Response {
  return Response.json({ s: 'error', code, message }, { status })
}

/** Nobody has published this answer of the refresh; its shape is that of a wrong factor at the login. */
function wrongPin(failed: number): Response {
  const left = PIN_ATTEMPTS - failed
  return Response.json(
    {
      s: 'error',
      code: -1049,
      failed_attempts: failed,
      user_blocked: left <= 0,
      message: left > 0 ? `wrong pin, ${left} attempts left` : 'wrong pin, user is blocked',
    },
    { status: 400 },
  )
}

/** `app_id:access_token`, without any scheme before it. */
function credentialsOf(c: Context): { appId: string; token: string } {
  const [, appId = '', token = ''] = /^([^:\s]+):(\S+)$/.exec(c.req.header('authorization') ?? '') ?? []
  return { appId, token }
}

function words(list = ''): string[] {
  return list.split(',').filter(Boolean)
}

/** Mail, phone and PAN come masked since November 2025. */
function profile(user: FyersUser) {
  return {
    name: user.name,
    image: null,
    display_name: user.fyId,
    email_id: `${user.email.slice(0, 2)}****@${user.email.split('@')[1]}`,
    PAN: 'XXXXX0000X',
    fy_id: user.fyId,
    pin_change_date: '01-10-2026 09:00:00',
    mobile_number: 'XXXXXX0000',
    totp: true,
    pwd_change_date: null,
    pwd_to_expire: 90,
    ddpi_enabled: false,
    mtf_enabled: false,
  }
}

function fundLimits() {
  const rows: [title: string, equity: number, commodity: number][] = [
    ['Total Balance', 250_000, 0],
    ['Utilized Amount', 0, 0],
    ['Clear Balance', 200_000, 0],
    ['Realized Profit and Loss', 0, 0],
    ['Collaterals', 50_000, 0],
    ['Fund Transfer', 0, 0],
    ['Receivables', 0, 0],
    ['Adhoc Limit', 0, 0],
    ['Limit at start of the day', 250_000, 0],
    // With the collateral: the cash alone is the clear balance.
    ['Available Balance', 250_000, 0],
  ]
  return rows.map(([title, equityAmount, commodityAmount], index) => ({
    id: index + 1,
    title,
    equityAmount,
    commodityAmount,
  }))
}

const SYMBOLS: Record<string, { token: string; price: number }> = {
  'NSE:INFY-EQ': { token: '10100000001594', price: 1500 },
  'NSE:RELIANCE-EQ': { token: '10100000002885', price: 1400 },
  'NSE:SBIN-EQ': { token: '10100000003045', price: 850 },
  'NSE:NIFTY50-INDEX': { token: '101000000026000', price: 26_000 },
}

function quote(symbol: string, now: number) {
  const known = SYMBOLS[symbol]
  if (!known) return { n: symbol, s: 'error', v: { code: -300, errmsg: 'Please provide valid symbol' } }
  const tick = tickAt(known.price, now)
  const change = tick.last - tick.previousClose
  const [exchange = '', name = ''] = symbol.split(':')
  return {
    n: symbol,
    s: 'ok',
    v: {
      ch: cents(change),
      chp: cents((change / tick.previousClose) * 100),
      lp: tick.last,
      spread: cents(tick.ask - tick.bid),
      ask: tick.ask,
      bid: tick.bid,
      open_price: tick.open,
      high_price: tick.high,
      low_price: tick.low,
      prev_close_price: tick.previousClose,
      atp: known.price,
      volume: tick.volume,
      short_name: name,
      exchange,
      description: symbol,
      original_name: symbol,
      symbol,
      fyToken: known.token,
      tt: String(Math.floor(now / 1000)),
    },
  }
}

function depth(base: number, now: number, withPrices: boolean) {
  const tick = tickAt(base, now)
  const side = (start: number, step: number) =>
    Array.from({ length: 5 }, (_, level) => ({
      price: cents(start + level * step),
      volume: 100 * (level + 1),
      ord: level + 1,
    }))
  return {
    totalbuyqty: 1500,
    totalsellqty: 1500,
    bids: side(tick.bid, -0.05),
    ask: side(tick.ask, 0.05),
    ...(withPrices
      ? {
          o: tick.open,
          h: tick.high,
          l: tick.low,
          c: tick.previousClose,
          ltp: tick.last,
          v: tick.volume,
          atp: base,
          oi: 0,
        }
      : {}),
  }
}

function cents(value: number): number {
  return Math.round(value * 100) / 100
}
