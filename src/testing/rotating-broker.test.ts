import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { App } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type BrokerCase, describeBroker } from './describe-broker.ts'
import cases from './rotating-broker.cases.json' with { type: 'json' }
import { rotatingBroker } from './rotating-broker.ts'

const app: App = {
  id: 'rotating-app',
  tenantId: 'default',
  version: 1,
  brokerId: 'rotating',
  environment: 'simulator',
  credentials: {
    clientId: new Secret('rotating-client'),
    clientSecret: new Secret('canary-rotating-secret-0123456789'),
  },
  fingerprint: 'made-up',
  redirectUri: 'http://127.0.0.1:8079/callback',
  origins: { api: 'http://127.0.0.1:4001', login: 'http://127.0.0.1:4002' },
  refresh: { state: 'auto' },
}

describeBroker(rotatingBroker, {
  cases: cases as BrokerCase[],
  app,
  redirect: {
    accepted: (login) => echoed(login, { code: 'canary-rotating-code-0123456789' }),
    refused: (login) => echoed(login, { error: 'access_denied' }),
    foreign: ['request_token=made-up&status=success', 's=ok&code=200&auth_code=made-up'],
  },
  garbage: (check) => fc.assert(fc.property(fc.anything(), check)),
  describe,
  it,
  expect,
})

it('burns whatever it spends', () => {
  expect(rotatingBroker.login.exchange.spend).toBe('single-use')
  expect(rotatingBroker.refresh.spend).toBe('single-use')
})

function echoed(login: URL, more: Record<string, string>): URLSearchParams {
  return new URLSearchParams({ ...more, state: login.searchParams.get('state') ?? '' })
}
