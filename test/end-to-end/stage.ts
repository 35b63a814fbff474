/** A house that is about to be made, the brokers it will talk to, and eyes on everything it shows. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, type TestContext } from 'vitest'
import type { House, Settings } from '../../src/compose/house.ts'
import type { NewAccount } from '../../src/core/keeper.ts'
import { Secret } from '../../src/core/secret.ts'
import { type Simulators, startSimulators } from '../../src/simulators/index.ts'
import { Sieve } from './sieve.ts'
import { type SpoilingBroker, startSpoilingBroker } from './spoiling-broker.ts'

export const tenantId = 'house'
export const kiteRef = { tenantId, accountId: 'kite-main' }
export const tastyRef = { tenantId, accountId: 'tasty-main' }

/** Random from the first letter on, so that even a beginning of it is no accident. */
export function canary(): string {
  return randomBytes(24).toString('base64url').replace(/[-_]/g, 'x')
}

export class Stage {
  readonly sieve = new Sieve()
  readonly settings: Settings
  readonly simulators: Simulators
  readonly kiteWire: SpoilingBroker
  readonly tastyWire: SpoilingBroker
  readonly secrets = { kiteSecret: '', tastySecret: '', grant: '' }

  private constructor(
    settings: Settings,
    simulators: Simulators,
    wires: readonly [SpoilingBroker, SpoilingBroker],
  ) {
    this.settings = settings
    this.simulators = simulators
    this.kiteWire = wires[0]
    this.tastyWire = wires[1]
  }

  static async set({ onTestFinished }: TestContext): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), 'openbell-leaks-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const port = await freePort()
    const secrets = { kiteSecret: canary(), tastySecret: canary(), grant: canary() }
    const simulators = await startSimulators({
      kite: { apps: [{ apiSecret: secrets.kiteSecret, redirectUrl: `http://127.0.0.1:${port}/kite/back` }] },
      tastytrade: {
        clientSecret: secrets.tastySecret,
        refreshToken: secrets.grant,
        blockAfterFailures: 1_000,
      },
    })
    onTestFinished(() => simulators.close())

    let stage: Stage | undefined
    const learn = (name: string, value: string) => stage?.sieve.forbid(`${name} on the wire`, value)
    const wires = [
      await startSpoilingBroker(simulators.kite.root, learn),
      await startSpoilingBroker(simulators.tastytrade.baseUrl, learn),
    ] as const
    for (const wire of wires) onTestFinished(() => wire.close())

    const home = join(folder, 'home')
    const settings: Settings = {
      home,
      vaultPath: join(home, 'vault.db'),
      keyPath: join(home, 'vault.key'),
      keyFromEnvironment: undefined,
      apiKeyPath: join(home, 'api.key'),
      host: '127.0.0.1',
      port,
      publicUrl: undefined,
      logLevel: 'debug',
      tenantId,
    }
    stage = new Stage(settings, simulators, wires)
    Object.assign(stage.secrets, secrets)
    for (const [name, value] of Object.entries(secrets)) stage.sieve.forbid(name, value)
    return stage
  }

  get origin(): string {
    return `http://127.0.0.1:${this.settings.port}`
  }

  /** What fails is a thing to look at. */
  async failing(work: Promise<unknown>): Promise<void> {
    await work.then(
      () => expect.unreachable('this should have failed'),
      (error: unknown) => this.sieve.seeError('errors', error),
    )
  }

  async trying(work: Promise<unknown>): Promise<void> {
    await work.catch((error: unknown) => this.sieve.seeError('errors', error))
  }

  /** Status, headers and body; the body alone is for the caller. */
  async get(
    path: string,
    headers: Record<string, string> = {},
    method = 'GET',
    channel = 'HTTP answers',
  ): Promise<string> {
    const { port } = this.settings
    const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false }).end()
    const [response] = await once(asked, 'response')
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk
    this.sieve.see(channel, `${response.statusCode} ${JSON.stringify(response.rawHeaders)}\n${text}`)
    return text
  }

  /** Presses the broker's button; the address to which the browser is sent back. */
  async press(login: URL): Promise<URL> {
    const form = new URLSearchParams(login.searchParams)
    form.set('user', this.simulators.kite.userIds[0] ?? '')
    const pressed = await fetch(login.origin + login.pathname, {
      method: 'POST',
      body: form,
      redirect: 'manual',
    })
    const back = new URL(pressed.headers.get('location') ?? '')
    this.sieve.forbid('request_token', back.searchParams.get('request_token') ?? '')
    return back
  }

  kiteAccount(): NewAccount {
    const { kite: simulated } = this.simulators
    return {
      ref: kiteRef,
      brokerId: 'kite',
      environment: 'simulator',
      credentials: { apiKey: new Secret(simulated.apiKey), apiSecret: new Secret(this.secrets.kiteSecret) },
      redirectUri: simulated.redirectUrl,
      origins: { api: this.kiteWire.origin, login: new URL(simulated.login).origin },
      destinations: ['bot-env'],
    }
  }

  tastyAccount(): NewAccount {
    return {
      ref: tastyRef,
      brokerId: 'tastytrade',
      environment: 'simulator',
      credentials: {
        clientId: new Secret(this.simulators.tastytrade.clientId),
        clientSecret: new Secret(this.secrets.tastySecret),
      },
      origins: { api: this.tastyWire.origin },
      destinations: ['bot-env', 'bot-json'],
    }
  }

  /** Every file that is no destination and holds no key by design. */
  async seeFiles(): Promise<void> {
    for (const name of await readdir(this.settings.home)) {
      if (name === 'vault.key' || name === 'api.key') continue
      this.sieve.see('files', await readFile(join(this.settings.home, name)))
    }
  }

  async seeKeys(): Promise<void> {
    const { keyPath, apiKeyPath } = this.settings
    this.sieve.forbid('vault key', (await readFile(keyPath, 'utf8')).trim())
    // Its first part names it in lists.
    this.sieve.forbid('API key', (await readFile(apiKeyPath, 'utf8')).trim().split('_').slice(2).join('_'))
  }

  async seeEvents(house: House): Promise<void> {
    const events = await house.ledger.listEvents({ tenantId, limit: 10_000 })
    this.sieve.see('events', JSON.stringify(events))
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
