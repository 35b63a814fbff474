import { expect, it } from 'vitest'
import type { Broker, RefreshInput } from '../core/broker.ts'
import { maybeText } from '../core/json.ts'
import { Secret } from '../core/secret.ts'
import { instant } from '../core/time.ts'
import type { Answer } from '../core/wire.ts'
import { type BrokerCase, type BrokerContract, describeBroker } from './describe-broker.ts'
import cases from './rotating-broker.cases.json' with { type: 'json' }
import { rotatingBroker } from './rotating-broker.ts'

const sound: Broker = rotatingBroker
const { login, refresh, probes, judge } = rotatingBroker

/** Adapters with one fault each, and a word of the test that must notice. */
const faults: [what: string, broker: Broker, noticedBy: RegExp][] = [
  [
    'sends a secret as plain text',
    { ...sound, authorize: ({ accessToken }) => ({ Authorization: accessToken.expose() }) },
    /no secret when a request is printed/,
  ],
  [
    'puts the token in the URL',
    {
      ...sound,
      probes: [
        {
          ...probes[0],
          request: (input) => ({ ...probes[0].request(input), url: `${input.origins.api}/me?t=1` }),
        },
      ],
    },
    /sends only to the simulator origins/,
  ],
  [
    'asks a host nobody declared',
    {
      ...sound,
      probes: [
        { ...probes[0], request: (input) => ({ ...probes[0].request(input), url: 'http://127.0.0.1:1/me' }) },
      ],
    },
    /sends only to the simulator origins/,
  ],
  [
    'never sends the client secret',
    {
      ...sound,
      login: { ...login, exchange: { ...login.exchange, request: ({ code }) => bare(code) } },
      refresh: { ...refresh, request: ({ refreshToken }) => bare(refreshToken) },
    },
    /uses every required credential/,
  ],
  [
    'takes any 200 for a yes',
    {
      ...sound,
      judge: (outcome, during) =>
        outcome.kind === 'answer' && outcome.status === 200 ? 'ok' : judge(outcome, during),
    },
    /proves nothing/,
  ],
  [
    'throws on a body that is null',
    {
      ...sound,
      judge(outcome, during) {
        if (outcome.kind === 'answer' && outcome.body === null) throw new TypeError('null')
        return judge(outcome, during)
      },
    },
    /proves nothing/,
  ],
  [
    'calls an outage a dead token',
    {
      ...sound,
      judge(outcome, during) {
        if (outcome.kind !== 'answer' || outcome.status !== 503) return judge(outcome, during)
        return { remedy: 'login', code: 'login-needed', message: 'The token is dead, log in.' }
      },
    },
    /outage/,
  ],
  [
    'calls a page of HTML a dead token',
    {
      ...sound,
      judge(outcome, during) {
        if (outcome.kind !== 'answer' || outcome.status !== 401) return judge(outcome, during)
        return { remedy: 'login', code: 'login-needed', message: 'The token is dead, log in.' }
      },
    },
    /no JSON/,
  ],
  [
    'repeats what the body says',
    {
      ...sound,
      judge(outcome, during) {
        const verdict = judge(outcome, during)
        if (typeof verdict === 'string' || outcome.kind !== 'answer') return verdict
        return { ...verdict, message: `Rotating said ${maybeText(outcome.body, 'error')}.` }
      },
    },
    /brought along/,
  ],
  [
    'gives a remedy that is not the code’s',
    {
      ...sound,
      judge(outcome, during) {
        const verdict = judge(outcome, during)
        return typeof verdict === 'string' ? verdict : { ...verdict, remedy: 'retry' }
      },
    },
    /outage/,
  ],
  [
    'makes up an access token',
    {
      ...sound,
      refresh: {
        ...refresh,
        read: (answer, input) => ({ ...readAnyhow(answer, input), accessToken: new Secret('none') }),
      },
    },
    /out of nothing/,
  ],
  [
    'makes up a refresh token',
    {
      ...sound,
      refresh: {
        ...refresh,
        read: (answer, input) => ({ refresh: { token: input.refreshToken }, ...refresh.read(answer, input) }),
      },
    },
    /refresh: no new refresh token/,
  ],
  [
    'reads a token that has ended',
    {
      ...sound,
      refresh: {
        ...refresh,
        read: (answer, input) => ({
          ...refresh.read(answer, input),
          expiry: { at: instant(0), source: 'declared' },
        }),
      },
    },
    /refresh: a token and the next/,
  ],
  [
    'loses the state',
    {
      ...sound,
      login: {
        ...login,
        callback(query) {
          const { state: _, ...callback } = login.callback(query) as {
            kind: 'code'
            code: Secret
            state?: string
          }
          return callback
        },
      },
    },
    /state and code back/,
  ],
  [
    'takes any redirect for its own',
    { ...sound, login: { ...login, callback: () => ({ kind: 'code', code: new Secret('none') }) } },
    /somebody else/,
  ],
  ['has a secret app key', { ...sound, appKey: 'clientSecret' }, /describes itself/],
]

it.each(faults)('notices an adapter that %s', (_, broker, noticedBy) => {
  expect(failing(broker).filter((name) => noticedBy.test(name))).not.toEqual([])
})

it('finds nothing wrong with the adapter before each of these faults', () => {
  expect(failing(sound)).toEqual([])
})

/** Names of the tests of the suite that this broker fails. */
function failing(broker: Broker): string[] {
  const failed: string[] = []
  const contract: BrokerContract = {
    cases: cases as BrokerCase[],
    app: {
      id: 'app',
      tenantId: 'default',
      version: 1,
      brokerId: 'rotating',
      environment: 'simulator',
      credentials: {
        clientId: new Secret('client'),
        clientSecret: new Secret('canary-rotating-secret-0123456789'),
      },
      fingerprint: 'made-up',
      redirectUri: 'http://127.0.0.1:8079/callback',
      origins: { api: 'http://127.0.0.1:4001', login: 'http://127.0.0.1:4002' },
      refresh: { state: 'auto' },
    },
    redirect: {
      accepted: (page) =>
        new URLSearchParams({ code: 'made-up-code', state: page.searchParams.get('state') ?? '' }),
      refused: (page) =>
        new URLSearchParams({ error: 'denied', state: page.searchParams.get('state') ?? '' }),
      foreign: ['request_token=made-up'],
    },
    describe: (_, body) => body(),
    it(name, body) {
      try {
        body()
      } catch {
        failed.push(name)
      }
    },
    expect,
  }
  describeBroker(broker, contract)
  return failed
}

function bare(spent: Secret) {
  return {
    method: 'POST',
    url: 'http://127.0.0.1:4001/token',
    headers: { 'Content-Type': 'text/plain' },
    body: spent,
  } as const
}

function readAnyhow(answer: Answer, input: RefreshInput) {
  const body = { access_token: 'none', user_id: 'R1', expires_in: 600 }
  return refresh.read({ ...answer, body } as Answer, input)
}
