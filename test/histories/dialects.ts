/** Three ways for a broker to live: refresh tokens that rotate, refresh tokens that stay, and a daily login. */

import { createHash } from 'node:crypto'
import { kite } from '../../src/brokers/kite.ts'
import { tastytrade } from '../../src/brokers/tastytrade.ts'
import type { Broker } from '../../src/core/broker.ts'
import type { NewAccount } from '../../src/core/keeper.ts'
import { Secret } from '../../src/core/secret.ts'
import { hourMs, type Instant, minuteMs, nextTimeOfDay, plus } from '../../src/core/time.ts'
import type { Text, WireRequest } from '../../src/core/wire.ts'
import { rotatingBroker } from '../../src/testing/rotating-broker.ts'
import { ref } from '../rig/engine.ts'
import type { Dialect, Token } from './issuer.ts'

export interface Kind {
  name: 'rotating' | 'repeatable' | 'login-only'
  broker: Broker
  dialect: Dialect
  account: Omit<NewAccount, 'destinations'>
  /** The credential that the issuer checks. */
  secretField: string
}

const account = ref('a')
const origins = { api: 'http://127.0.0.1:9', login: 'http://127.0.0.1:9' }
const redirectUri = 'http://127.0.0.1:5678/callback'
const clientSecret = 'canary-client-secret'

const shown = (text: Text | undefined): string => (typeof text === 'string' ? text : (text?.expose() ?? ''))
const form = (request: WireRequest) => new URLSearchParams(shown(request.body))
const authorization = ({ headers }: WireRequest) => shown(headers.authorization ?? headers.Authorization)
const secondsLeft = (token: Token, now: Instant) => Math.round((token.endsAt - now) / 1000)

const rotating: Kind = {
  name: 'rotating',
  broker: rotatingBroker,
  secretField: 'clientSecret',
  account: {
    ref: account,
    brokerId: 'rotating',
    environment: 'simulator',
    credentials: { clientId: new Secret('client'), clientSecret: new Secret(clientSecret) },
    redirectUri,
    origins,
  },
  dialect: {
    lifetimeEnd: (now) => plus(now, hourMs),
    codesLast: false,
    refreshTokens: 'rotate',
    saysEnd: true,
    loginEndsOthers: false,
    code: (_, serial) => `canary-code-${serial}`,
    read(request, known) {
      if (!request.url.endsWith('/token'))
        return { to: 'me', access: authorization(request).replace('Bearer ', '') }
      const fields = form(request)
      const code = fields.get('code')
      return {
        to: 'token',
        how: code === null ? 'refresh' : 'code',
        secret: code ?? fields.get('refresh_token') ?? '',
        clientKnown: fields.get('client_secret') === known,
      }
    },
    granted: (token, now) => ({
      access_token: token.access,
      refresh_token: token.refresh,
      expires_in: secondsLeft(token, now),
      user_id: token.userId,
    }),
    person: (userId) => ({ user_id: userId }),
    refused: (what) =>
      what === 'token'
        ? { status: 401, body: { error: 'invalid_token' } }
        : { status: 400, body: { error: what === 'client' ? 'invalid_client' : 'invalid_grant' } },
  },
}

const repeatable: Kind = {
  name: 'repeatable',
  broker: tastytrade,
  secretField: 'clientSecret',
  account: {
    ref: account,
    brokerId: 'tastytrade',
    environment: 'simulator',
    credentials: { clientId: new Secret('client'), clientSecret: new Secret(clientSecret) },
    origins,
  },
  dialect: {
    lifetimeEnd: (now) => plus(now, 15 * minuteMs),
    codesLast: true,
    refreshTokens: 'stay',
    saysEnd: false,
    loginEndsOthers: false,
    // The adapter reads whose grant it is out of the pasted token.
    code: (userId, serial) =>
      `canary.${Buffer.from(JSON.stringify({ sub: userId, serial })).toString('base64url')}.grant`,
    read(request, known) {
      if (!request.url.endsWith('/oauth/token'))
        return { to: 'me', access: authorization(request).replace('Bearer ', '') }
      const fields = JSON.parse(shown(request.body)) as Record<string, string>
      return {
        to: 'token',
        // On the wire a pasted grant and a renewal are the same request.
        how: 'refresh',
        secret: fields.refresh_token ?? '',
        clientKnown: fields.client_secret === known,
      }
    },
    granted: (token, now) => ({
      access_token: token.access,
      refresh_token: token.refresh,
      expires_in: secondsLeft(token, now),
    }),
    person: () => ({ data: { items: [] } }),
    refused: (what) =>
      what === 'token'
        ? { status: 401, body: { error: { code: 'token_invalid' } } }
        : { status: 400, body: { error_code: what === 'client' ? 'invalid_client' : 'invalid_grant' } },
  },
}

const loginOnly: Kind = {
  name: 'login-only',
  broker: kite,
  secretField: 'apiSecret',
  account: {
    ref: account,
    brokerId: 'kite',
    environment: 'simulator',
    credentials: { apiKey: new Secret('key'), apiSecret: new Secret(clientSecret) },
    redirectUri,
    origins,
  },
  dialect: {
    lifetimeEnd: (now) => nextTimeOfDay(now, '06:00', 'Asia/Kolkata'),
    codesLast: false,
    refreshTokens: 'none',
    saysEnd: false,
    loginEndsOthers: true,
    code: (_, serial) => `canary-request-${serial}`,
    read(request, known) {
      if (!request.url.endsWith('/session/token'))
        return { to: 'me', access: authorization(request).replace('token key:', '') }
      const fields = form(request)
      const secret = fields.get('request_token') ?? ''
      const checksum = createHash('sha256').update(`key${secret}${known}`).digest('hex')
      return { to: 'token', how: 'code', secret, clientKnown: fields.get('checksum') === checksum }
    },
    granted: ({ access, userId }) => ({ status: 'success', data: { user_id: userId, access_token: access } }),
    person: (userId) => ({ status: 'success', data: { user_id: userId } }),
    refused: () => ({ status: 403, body: { status: 'error', error_type: 'TokenException' } }),
  },
}

export const kinds: readonly Kind[] = [rotating, repeatable, loginOnly]

export function kindOf(name: Kind['name']): Kind {
  const kind = kinds.find((one) => one.name === name)
  if (!kind) throw new Error(`no broker is ${name}`)
  return kind
}
