/** Everything that can happen to an account, to look at what is shown meanwhile. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { kite } from '../../src/brokers/kite.ts'
import { tastytrade } from '../../src/brokers/tastytrade.ts'
import { openHouse } from '../../src/compose/compose.ts'
import { type Broker, defineBroker } from '../../src/core/broker.ts'
import { Secret } from '../../src/core/secret.ts'
import { Commands, seeProcess } from './command.ts'
import { spoilings } from './spoiling-broker.ts'
import { canary, kiteRef, type Stage, tastyRef, tenantId } from './stage.ts'

/** Adapters that die while they read, with everything they hold in their words. */
function breakable(): { brokers: readonly Broker[]; breakNext(): void } {
  let broken = false
  const refresh = tastytrade.refresh
  return {
    breakNext() {
      broken = true
    },
    brokers: [
      kite,
      defineBroker({
        ...tastytrade,
        refresh: {
          ...refresh,
          read(answer, input) {
            if (!broken) return refresh.read(answer, input)
            broken = false
            const cause = new Error(`sent ${input.refreshToken.expose()}`)
            throw Object.assign(new Error(`cannot read ${JSON.stringify(answer.body)}`, { cause }), {
              body: answer.body,
            })
          },
        },
      }),
    ],
  }
}

/** In this process: both brokers, every way to fail that the wire has. */
export async function liveInside(stage: Stage): Promise<void> {
  const { sieve, settings, simulators } = stage
  const adapters = breakable()
  const house = await openHouse(settings, { brokers: adapters.brokers })
  const { keeper } = house
  const folder = join(settings.home, '..')
  await keeper.addDestination({
    id: 'bot-env',
    tenantId,
    kind: 'dotenv',
    settings: { path: join(folder, '.env') },
  })
  await keeper.addDestination({
    id: 'bot-json',
    tenantId,
    kind: 'json-file',
    settings: { path: join(folder, 'bot.json') },
  })

  // In the wrong field, of the wrong shape, under the wrong name.
  const wrong = canary()
  sieve.forbid('what was typed wrongly', wrong)
  const kiteAccount = stage.kiteAccount()
  for (const credentials of [
    { ...kiteAccount.credentials, apiSecret: new Secret(`${wrong} ${wrong}`) },
    { ...kiteAccount.credentials, pin: new Secret(wrong) },
    { apiSecret: new Secret(wrong) },
  ]) {
    await stage.failing(keeper.addAccount({ ...kiteAccount, credentials }))
  }
  await keeper.addAccount(kiteAccount)
  await keeper.addAccount(stage.tastyAccount())
  await keeper.start()
  const server = await house.serve()
  await stage.seeKeys()

  // The login through the redirect, and what is left of it afterwards.
  const begin = async () => {
    const begun = await keeper.beginLogin(kiteRef, { replace: true })
    if (begun.kind !== 'redirect') throw new Error('Kite logs in by a redirect')
    sieve.forbid('state', begun.state.expose())
    return stage.press(new URL(begun.url))
  }
  const pages = (path: string, method?: string) => stage.get(path, {}, method, 'pages')
  const back = await begin()
  await pages(back.pathname + back.search, 'HEAD')
  expect(await pages(back.pathname + back.search)).toContain('Live until')
  await pages(back.pathname + back.search)
  back.searchParams.set('state', canary())
  sieve.forbid('unknown state', back.searchParams.get('state') ?? '')
  await pages(back.pathname + back.search)
  back.searchParams.delete('state')
  await pages(back.pathname + back.search)
  for (const how of spoilings) {
    const again = await begin()
    stage.kiteWire.spoil('/session/token', how)
    await pages(again.pathname + again.search)
  }
  await stage.trying(keeper.statusOf(kiteRef))

  // The pasted grant, renewals, and each answer of the broker spoiled in each way.
  await stage.failing(keeper.finishLogin({ ref: tastyRef, code: new Secret(wrong), by: 'signed-in' }))
  await keeper.finishLogin({ ref: tastyRef, code: new Secret(stage.secrets.grant), by: 'signed-in' })
  await keeper.renew(tastyRef, 'person')
  for (const how of spoilings) {
    stage.tastyWire.spoil('/oauth/token', how)
    await stage.trying(keeper.renew(tastyRef, 'person'))
    stage.tastyWire.spoil('/customers/me/accounts', how)
    await stage.trying(keeper.check(tastyRef))
    stage.kiteWire.spoil('/user/profile', how)
    await stage.trying(keeper.check(kiteRef))
  }
  expect(stage.tastyWire.spoiled()).toBe(2 * spoilings.length)
  expect(stage.kiteWire.spoiled()).toBeGreaterThan(spoilings.length)

  adapters.breakNext()
  await stage.failing(keeper.renew(tastyRef, 'person'))
  await keeper.renew(tastyRef, 'person')
  simulators.tastytrade.revoke()
  await stage.failing(keeper.renew(tastyRef, 'person'))
  simulators.tastytrade.endSession()
  await stage.trying(keeper.check(tastyRef))
  await stage.failing(keeper.token(tastyRef, { minValidMs: 3_600_000 }))
  simulators.kite.endSession()
  await stage.trying(keeper.check(kiteRef))

  sieve.see('errors', JSON.stringify(await keeper.status(tenantId)))
  await stage.seeEvents(house)
  await stage.seeFiles()
  await server.close()
  await house.close()
}

/** As a user runs it: the service and the commands, each a process. */
export async function liveOutside(stage: Stage): Promise<void> {
  const { sieve, settings, simulators } = stage
  const env = { OPENBELL_HOME: settings.home, OPENBELL_PORT: String(settings.port), OPENBELL_LOG: 'debug' }
  const commands = new Commands(sieve, env)
  const service = commands.start(['up', '--json'])
  await once(service.stdout as NonNullable<typeof service.stdout>, 'data')

  const key = (await readFile(settings.apiKeyPath, 'utf8')).trim()
  const wrongKey = `ob_${canary()}`
  sieve.forbid('a wrong API key', wrongKey)
  const bearer = { authorization: `Bearer ${key}` }
  for (const path of [
    '/healthz',
    '/readyz',
    '/v1/accounts',
    '/v1/accounts/nobody/token',
    '/nothing',
    '/kite/back',
  ]) {
    for (const method of ['GET', 'POST', 'DELETE']) await stage.get(path, bearer, method)
    await stage.get(path, { authorization: `Bearer ${wrongKey}` })
    await stage.get(path, {})
    await stage.get(path, { ...bearer, host: 'evil.example.test' })
  }
  const token = '/v1/accounts/kite-main/token'
  await stage.get(token, { authorization: `Bearer ${wrongKey}` })
  await stage.get(`${token}?key=${wrongKey}`, bearer)
  await stage.get(`${token}?slot=${wrongKey}`, bearer)
  await stage.get('/v1/accounts/tasty-main/token', bearer)
  await stage.get(`/kite/back?status=success&action=login&request_token=${wrongKey}&state=${wrongKey}`)
  await stage.get(`/kite/back?status=failed&message=${wrongKey}`)

  const tastySecrets = (secret: string) => `clientId=${canary()}\nclientSecret=${secret}\n`
  const otherSecret = canary()
  sieve.forbid('a piped secret', otherSecret)
  const origin = ['--environment', 'simulator', '--origin', `api=${stage.tastyWire.origin}`]
  const grant = simulators.tastytrade.createGrant()
  sieve.forbid('another grant', grant)
  const runs: { args: string[]; stdin?: string; code: number }[] = [
    {
      args: ['add', 'tastytrade', 'piped', ...origin, '--secrets', '-'],
      stdin: tastySecrets(otherSecret),
      code: 0,
    },
    { args: ['add', 'tastytrade', 'bare', ...origin, '--secrets', '-'], stdin: otherSecret, code: 2 },
    {
      args: ['add', 'tastytrade', 'json', ...origin, '--secrets', '-'],
      stdin: `{"${otherSecret}": 1`,
      code: 2,
    },
    { args: ['login', 'tasty-main', '--code', '-'], stdin: grant, code: 0 },
    { args: ['login', 'piped', '--code', '-'], stdin: otherSecret, code: 1 },
    { args: ['edit', 'piped', '--label', 'renamed'], code: 0 },
    { args: ['status'], code: 3 },
    { args: ['status', '--check'], code: 3 },
    { args: ['plan'], code: 0 },
    { args: ['destination', 'list'], code: 0 },
    { args: ['destination', 'test', 'bot-env'], code: 0 },
    { args: ['destination', 'test', 'bot-json'], code: 0 },
    { args: ['token', 'nobody'], code: 2 },
    { args: ['token', 'kite-main'], code: 3 },
    { args: ['doctor'], code: 3 },
    { args: ['remove', 'piped'], code: 2 },
  ]
  for (const { args, stdin = '', code } of runs) {
    for (const form of [[], ['--json']]) {
      // An account is added once.
      if (code === 0 && args[0] === 'add' && form.length === 0) continue
      const command = [...args, ...form]
      expect({ command, code: await commands.run(command, stdin) }).toEqual({ command, code })
    }
  }

  await stage.seeFiles()

  // The wrong key, a key that is no key, and no key.
  const otherKey = randomBytes(32).toString('base64')
  sieve.forbid('another vault key', otherKey)
  for (const [text, code] of [
    [otherKey, 1],
    [`${otherKey}${otherKey}`, 2],
  ] as const) {
    const file = join(settings.home, '..', 'other.key')
    await writeFile(file, `${text}\n`, { mode: 0o600 })
    expect(await commands.run(['status', '--json'], '', { OPENBELL_VAULT_KEY_FILE: file })).toBe(code)
    await stage.failing(openHouse({ ...settings, keyFromEnvironment: text }))
  }

  seeProcess(sieve, service.pid)
  const ended = once(service, 'exit')
  service.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
}
