// A broker that does not exist: plain OAuth 2 (RFC 6749) whose refresh tokens are single use. Each renewal
// rotates the token, and a spent one that comes back revokes its whole family (RFC 9700, section 4.14.2).
import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { bodyFields } from './body.ts'
import { realWait, type SimulatedClock } from './clock.ts'
import { page, userButtons, withQuery } from './page.ts'
import { type BrokerEnv, type SimulatedServer, startServer } from './server.ts'
import { randomToken } from './tokens.ts'

export interface RotatingUser {
  id: string
  name: string
}

/** What is left out is made up. */
export interface RotatingOptions {
  clientId?: string
  clientSecret?: string
  redirectUri?: string
  users?: RotatingUser[]
  /** The first user's grant. */
  refreshToken?: string
  /** 3,600 when left out. */
  accessTokenSeconds?: number
  /** Real time between spending a secret and answering at /token, so that an answer can be missed. */
  answerDelayMs?: number
  port?: number
}

export interface RotatingSimulator extends SimulatedServer {
  baseUrl: string
  authorize: string
  clientId: string
  clientSecret: string
  redirectUri: string
  /** The refresh token that the first user's family began with. */
  refreshToken: string
  users: RotatingUser[]
  /** Since the start: all requests to /token, and how often a spent secret came back. */
  tokenRequests(): number
  reuseEvents(): number
  setAnswerDelay(ms: number): void
  /** A family of its own; returns its first refresh token. */
  createGrant(userId?: string): string
  /** All families are revoked, with their access tokens. */
  revoke(): void
  /** A new client secret, which is returned; the families live on. */
  rotateSecret(): string
  /** Access tokens die now; the families live on. */
  endSession(): void
}

interface Family {
  user: RotatingUser
  revoked: boolean
}

interface Code {
  user: RotatingUser
  endsAt: number
  /** What it was exchanged for. */
  family?: Family
}

const CODE_MS = 60_000

export async function startRotating(
  clock: SimulatedClock,
  options: RotatingOptions = {},
): Promise<RotatingSimulator> {
  const clientId = options.clientId ?? `rotating-${randomToken(8).toLowerCase()}`
  let clientSecret = options.clientSecret ?? randomToken(32)
  const redirectUri = options.redirectUri ?? 'http://127.0.0.1:5678/rotating/callback'
  const users = options.users ?? [
    { id: 'R1', name: 'Kim Berg' },
    { id: 'R2', name: 'Noa Levi' },
  ]
  const [firstUser] = users
  if (!firstUser) throw new RangeError('the rotating broker needs at least one user')
  const lifeSeconds = options.accessTokenSeconds ?? 3_600

  const refreshTokens = new Map<string, { family: Family; spent: boolean }>()
  const accessTokens = new Map<string, { family: Family; endsAt: number }>()
  const codes = new Map<string, Code>()
  let reuses = 0
  let delayMs = options.answerDelayMs ?? 0

  const addRefreshToken = (family: Family, token = randomToken(48)): string => {
    refreshTokens.set(token, { family, spent: false })
    return token
  }
  const refreshToken = addRefreshToken({ user: firstUser, revoked: false }, options.refreshToken)

  const tokens = (family: Family, deadOnArrival: boolean): Response => {
    const accessToken = randomToken(48)
    const seconds = deadOnArrival ? 0 : lifeSeconds
    accessTokens.set(accessToken, { family, endsAt: clock.now() + seconds * 1000 })
    return Response.json({
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: seconds,
      refresh_token: addRefreshToken(family),
      user_id: family.user.id,
    })
  }

  const reused = (family: Family): Response => {
    reuses += 1
    family.revoked = true
    return failure(400, 'invalid_grant', 'This was used before; everything that came of it is revoked.')
  }

  const app = new Hono<BrokerEnv>()
  app.onError(() => failure(500, 'server_error', 'Something went wrong.'))
  app.notFound(() => failure(404, 'not_found', 'There is no such path.'))

  app.get('/authorize', (c) => {
    const { client_id, redirect_uri, response_type, state = '' } = c.req.query()
    if (client_id !== clientId || redirect_uri !== redirectUri || response_type !== 'code') {
      return c.html(page('Rotating simulator', html`<p>This client is registered differently.</p>`), 400)
    }
    const choices = users.map((user) => ({ value: user.id, label: `Continue as ${user.name}` }))
    return c.html(
      page(
        'Rotating simulator: allow access',
        userButtons('/authorize', { client_id, redirect_uri, state }, choices),
      ),
    )
  })

  app.post('/authorize', async (c) => {
    const { client_id, redirect_uri, state, user: id } = await bodyFields(c.req, ['form'])
    const user = users.find((each) => each.id === id)
    if (client_id !== clientId || redirect_uri !== redirectUri || !user) {
      return c.html(page('Rotating simulator', html`<p>This client is registered differently.</p>`), 400)
    }
    const code = randomToken(32)
    codes.set(code, { user, endsAt: clock.now() + CODE_MS })
    return c.redirect(withQuery(redirectUri, { code, ...(state ? { state } : {}) }), 302)
  })

  app.post('/token', async (c) => {
    const answer = await tokenAnswer(c)
    await realWait(delayMs, c.req.raw.signal)
    return answer
  })

  const tokenAnswer = async (c: Context<BrokerEnv>): Promise<Response> => {
    const fields = await bodyFields(c.req, ['form', 'json'])
    if (fields.client_id !== clientId || fields.client_secret !== clientSecret) {
      return failure(401, 'invalid_client', 'The client is unknown or its secret is wrong.')
    }
    if (fields.grant_type === 'refresh_token') {
      const found = refreshTokens.get(fields.refresh_token ?? '')
      if (!found) return failure(400, 'invalid_grant', 'The refresh token is unknown.')
      if (found.spent) return reused(found.family)
      if (found.family.revoked) return failure(400, 'invalid_grant', 'The grant is revoked.')
      found.spent = true
      return tokens(found.family, c.env.deadOnArrival)
    }
    if (fields.grant_type === 'authorization_code') {
      const code = codes.get(fields.code ?? '')
      if (!code || fields.redirect_uri !== redirectUri || clock.now() >= code.endsAt) {
        return failure(400, 'invalid_grant', 'The code is unknown, too old, or for another address.')
      }
      if (code.family) return reused(code.family)
      code.family = { user: code.user, revoked: false }
      return tokens(code.family, c.env.deadOnArrival)
    }
    return failure(400, 'unsupported_grant_type', 'Only refresh_token and authorization_code.')
  }

  app.get('/me', (c) => {
    const [, token = ''] = /^Bearer (\S+)$/.exec(c.req.header('authorization') ?? '') ?? []
    const access = accessTokens.get(token)
    if (!access || access.family.revoked || clock.now() >= access.endsAt) {
      return failure(401, 'invalid_token', 'The access token is unknown, expired or revoked.')
    }
    return Response.json({ user_id: access.family.user.id, name: access.family.user.name })
  })

  const server = await startServer({
    name: 'rotating',
    port: options.port ?? 0,
    clock,
    app,
    refusal: (status) =>
      failure(status, status === 429 ? 'slow_down' : 'temporarily_unavailable', 'Not now.'),
  })

  return {
    ...server,
    baseUrl: server.origin,
    authorize: `${server.origin}/authorize`,
    clientId,
    get clientSecret() {
      return clientSecret
    },
    redirectUri,
    refreshToken,
    users,
    tokenRequests: () => server.counters()['POST /token'] ?? 0,
    reuseEvents: () => reuses,
    setAnswerDelay(ms) {
      delayMs = ms
    },
    createGrant(userId = firstUser.id) {
      const user = users.find((each) => each.id === userId)
      if (!user) throw new RangeError('no such user of the rotating broker')
      return addRefreshToken({ user, revoked: false })
    },
    revoke() {
      for (const { family } of refreshTokens.values()) family.revoked = true
    },
    rotateSecret() {
      clientSecret = randomToken(32)
      return clientSecret
    },
    endSession: () => accessTokens.clear(),
  }
}

function failure(status: number, error: string, description: string): Response {
  return Response.json({ error, error_description: description }, { status })
}
