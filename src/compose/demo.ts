/**
 * The main job, without a broker account: simulated brokers, an account each, a simulated person who logs in through the
 * real pages, and a keeper on a clock that runs fast. Everything lives in a temporary folder that goes away afterwards.
 */

import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OpenbellError } from '../core/errors.ts'
import type { AccountRef } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type Clock, dayIn, instant, secondMs } from '../core/time.ts'
import { systemClock } from '../host/clock.ts'
import { type Simulators, startSimulators } from '../simulators/index.ts'
import { openHouse } from './compose.ts'
import type { House } from './house.ts'

/** One second of the demo is three minutes of its day, so a tastytrade token lives five seconds and a Kite token eight minutes. */
export const demoScale = 180
const personTakesMs = 2 * secondMs
const tenantId = 'house'

export interface Demo {
  house: House
  clock: Clock
  kite: AccountRef
  tastytrade: AccountRef
  folder: string
  control: string
  /** What the simulated person did last, for people. */
  personSays(): string
  close(): Promise<void>
}

export async function startDemo(): Promise<Demo> {
  const folder = await mkdtemp(join(tmpdir(), 'openbell-demo-'))
  const closers: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })]
  const close = async () => {
    for (const one of closers.splice(0).reverse()) await one()
  }
  try {
    const port = await freePort()
    const redirectUri = `http://127.0.0.1:${port}/callback`
    // Half an hour before Kite ends yesterday's tokens: that is where the day of this program begins.
    const today = dayIn(systemClock.now(), 'Asia/Kolkata')
    const from = instant(Date.parse(`${today}T05:30:00+05:30`))
    const simulators = await startSimulators({
      clock: { at: from, scale: demoScale },
      kite: { apps: [{ redirectUrl: redirectUri }] },
    })
    closers.push(() => simulators.close())
    const clock: Clock = {
      now: () => instant(simulators.clock.now()),
      sleep: (ms, signal) => systemClock.sleep(ms / demoScale, signal),
    }
    const house = await openHouse(
      {
        home: join(folder, 'home'),
        vaultPath: join(folder, 'home', 'vault.db'),
        keyPath: join(folder, 'home', 'vault.key'),
        keyFromEnvironment: undefined,
        apiKeyPath: join(folder, 'home', 'api.key'),
        host: '127.0.0.1',
        port,
        publicUrl: undefined,
        logLevel: 'silent',
        tenantId,
      },
      {
        clock,
        // What waits for the network or another process waits in real seconds, also on a fast clock.
        timings: {
          lookEveryMs: 100 * demoScale,
          leaseExtendMs: 15 * secondMs * demoScale,
          callerWaitMs: 20 * secondMs * demoScale,
        },
      },
    )
    closers.push(() => house.close())
    const { kite, tastytrade } = await addAccounts(house, simulators, folder, redirectUri)
    const server = await house.serve()
    closers.push(() => server.close())
    await house.keeper.start()
    const person = simulatedPerson(house, simulators, { kite, tastytrade })
    closers.push(() => person.leave())
    return {
      house,
      clock,
      kite,
      tastytrade,
      folder,
      control: simulators.control,
      personSays: person.says,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function addAccounts(
  house: House,
  { kite, tastytrade }: Simulators,
  folder: string,
  redirectUri: string,
) {
  const { keeper } = house
  const bot = join(folder, 'bot')
  await mkdir(bot)
  await keeper.addDestination({
    id: 'bot-env',
    tenantId,
    kind: 'dotenv',
    settings: { path: join(bot, '.env') },
  })
  await keeper.addDestination({
    id: 'bot-json',
    tenantId,
    kind: 'json-file',
    settings: { path: join(bot, 'tastytrade.json') },
  })
  const refs = {
    kite: { tenantId, accountId: 'kite-main' },
    tastytrade: { tenantId, accountId: 'tastytrade-main' },
  }
  await keeper.addAccount({
    ref: refs.kite,
    brokerId: 'kite',
    environment: 'simulator',
    credentials: { apiKey: new Secret(kite.apiKey), apiSecret: new Secret(kite.apiSecret) },
    redirectUri,
    origins: { api: kite.root, login: new URL(kite.login).origin },
    destinations: ['bot-env'],
  })
  await keeper.addAccount({
    ref: refs.tastytrade,
    brokerId: 'tastytrade',
    environment: 'simulator',
    credentials: {
      clientId: new Secret(tastytrade.clientId),
      clientSecret: new Secret(tastytrade.clientSecret),
    },
    origins: { api: tastytrade.baseUrl },
    destinations: ['bot-env', 'bot-json'],
  })
  return refs
}

/** Does what a person does, two seconds after being asked: opens the link, presses the broker's button, lands on Openbell's page. */
function simulatedPerson(
  house: House,
  { kite, tastytrade }: Simulators,
  refs: { kite: AccountRef; tastytrade: AccountRef },
): { says(): string; leave(): Promise<void> } {
  const { keeper } = house
  const leaving = new AbortController()
  let says = 'has not been asked yet'

  async function answer(ref: AccountRef): Promise<void> {
    const { work } = await keeper.statusOf(ref)
    if (work.state !== 'waiting-for-person') return
    says = `was asked for ${ref.accountId}`
    await systemClock.sleep(personTakesMs, leaving.signal)
    if (leaving.signal.aborted) return
    const begun = await keeper.beginLogin(ref)
    if (begun.kind === 'paste-grant') {
      await keeper.finishLogin({ ref, code: new Secret(tastytrade.refreshToken), by: 'signed-in' })
      says = `pasted the grant for ${ref.accountId}`
      return
    }
    const link = new URL(begun.url)
    const click = new URLSearchParams(link.searchParams)
    click.set('user', kite.userIds[0] ?? '')
    const pressed = await fetch(link.origin + link.pathname, {
      method: 'POST',
      body: click,
      redirect: 'manual',
    })
    const back = pressed.headers.get('location')
    if (!back) throw new OpenbellError('internal', 'The simulated broker did not send the browser back.')
    const page = await fetch(back)
    says = page.ok ? `logged in at the broker for ${ref.accountId}` : `met an error page for ${ref.accountId}`
    await page.body?.cancel()
  }

  const living = (async () => {
    while (!leaving.signal.aborted) {
      for (const ref of [refs.tastytrade, refs.kite]) {
        await answer(ref).catch((error: unknown) => {
          says = `could not log in: ${error instanceof Error ? error.message : 'unknown'}`
        })
      }
      await systemClock.sleep(250, leaving.signal)
    }
  })()

  return {
    says: () => says,
    async leave() {
      leaving.abort()
      await living
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string')
    throw new OpenbellError('internal', 'No free port was found.')
  return address.port
}
