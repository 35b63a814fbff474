/** Another program logs in to Kite with the same app and writes its token where our programs read: it is followed. */

import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openHouse } from '../../src/compose/compose.ts'
import type { House } from '../../src/compose/house.ts'
import { readSettings } from '../../src/compose/settings.ts'
import { Secret } from '../../src/core/secret.ts'
import { type Simulators, startSimulators } from '../../src/simulators/index.ts'

const ref = { tenantId: 'house', accountId: 'kite-main' }
let folder: string
let simulators: Simulators
let house: House
let env: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openbell-test-'))
  env = join(folder, '.env')
  simulators = await startSimulators()
  house = await openHouse(readSettings({ OPENBELL_HOME: join(folder, 'home'), OPENBELL_LOG: 'silent' }))
  const { kite } = simulators
  await house.keeper.addDestination({ id: 'bot', tenantId: 'house', kind: 'dotenv', settings: { path: env } })
  await house.keeper.addAccount({
    ref,
    brokerId: 'kite',
    environment: 'simulator',
    credentials: { apiKey: new Secret(kite.apiKey), apiSecret: new Secret(kite.apiSecret) },
    redirectUri: kite.redirectUrl,
    origins: { api: kite.root, login: new URL(kite.login).origin },
    destinations: ['bot'],
  })
})

afterEach(async () => {
  await house.close()
  await simulators.close()
  await rm(folder, { recursive: true })
})

it('follows a token that another login has put into the destination', async () => {
  await house.keeper.finishLogin({ ref, code: new Secret(await requestToken('SIM001')), by: 'signed-in' })
  const theirs = await tokenOfAnotherProgram('SIM001')
  await writeToken(theirs)

  const status = await house.keeper.check(ref)
  expect(status).toMatchObject({ token: 'live', delivered: { n: 1, m: 1 }, brokerUserId: 'SIM001' })
  expect(house.keeper.session(ref)?.accessToken.expose()).toBe(theirs)
  expect(parseEnv(await readFile(env, 'utf8')).KITE_ACCESS_TOKEN).toBe(theirs)
  const kinds = (await house.ledger.listEvents({ tenantId: 'house', limit: 50 })).map(({ kind }) => kind)
  expect(kinds).toContain('destination-adopted')
  expect(kinds).not.toContain('destination-differs')
})

it('reports and replaces a token that the broker does not accept, once', async () => {
  await house.keeper.finishLogin({ ref, code: new Secret(await requestToken('SIM001')), by: 'signed-in' })
  const ours = house.keeper.session(ref)?.accessToken.expose()
  for (let time = 0; time < 3; time++) {
    await writeToken('canary-of-a-stranger')
    await house.keeper.check(ref)
    expect(parseEnv(await readFile(env, 'utf8')).KITE_ACCESS_TOKEN).toBe(ours)
  }
  const events = await house.ledger.listEvents({ tenantId: 'house', limit: 50 })
  expect(events.filter(({ kind }) => kind === 'destination-differs')).toHaveLength(1)
})

async function writeToken(token: string): Promise<void> {
  const text = await readFile(env, 'utf8')
  await writeFile(env, text.replace(/KITE_ACCESS_TOKEN=.*/, `KITE_ACCESS_TOKEN=${token}`))
}

async function requestToken(user: string): Promise<string> {
  const { kite } = simulators
  const body = new URLSearchParams({ api_key: kite.apiKey, user, redirect_params: '' })
  const answer = await fetch(kite.login, { method: 'POST', body, redirect: 'manual' })
  return new URL(answer.headers.get('location') ?? '').searchParams.get('request_token') ?? ''
}

async function tokenOfAnotherProgram(user: string): Promise<string> {
  const { kite } = simulators
  const request_token = await requestToken(user)
  const checksum = createHash('sha256')
    .update(kite.apiKey + request_token + kite.apiSecret)
    .digest('hex')
  const answer = await fetch(`${kite.root}/session/token`, {
    method: 'POST',
    body: new URLSearchParams({ api_key: kite.apiKey, request_token, checksum }),
  })
  const { data } = (await answer.json()) as { data: { access_token: string } }
  return data.access_token
}
