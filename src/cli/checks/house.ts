/** The house: service, clocks, accounts, redirects and destinations. */

import type { House } from '../../compose/house.ts'
import { isOpenbellError } from '../../core/errors.ts'
import type { AccountStatus, DeliveryView } from '../../core/keeper.ts'
import { secondMs } from '../../core/time.ts'
import { waitsForPerson } from '../accounts.ts'
import type { Io } from '../command.ts'
import { isDelivered } from '../destination.ts'
import { endOf, stateOf } from '../status-view.ts'
import type { Check } from './check.ts'
import { checkTokenFile } from './files.ts'

/** Every broker that was asked must agree with this machine's clock to a minute: expiries are read by it. */
const mostOffsetMs = 60 * secondMs

export async function checkService(house: House): Promise<Check> {
  if (await house.serviceIsUp())
    return { about: 'service', result: 'ok', message: 'a service keeps this vault' }
  return {
    about: 'service',
    result: 'warn',
    message: 'no service is running, so nothing is renewed or announced',
    mend: 'openbell up',
  }
}

/** Call after `checkAccounts`: an offset is learned by asking a broker. */
export function checkClocks(house: House): Check[] {
  const offsets = Object.entries(house.clockOffsets())
  if (offsets.length === 0) {
    return [
      {
        about: 'clock',
        result: 'note',
        message: 'no broker was asked just now, so the clock was compared with none',
      },
    ]
  }
  return offsets.map(([broker, offsetMs]) => {
    const about = `clock, ${broker}`
    const seconds = Math.round(Math.abs(offsetMs) / secondMs)
    const message =
      seconds === 0
        ? `this machine agrees with ${broker}`
        : `this machine is ${seconds} s ${offsetMs > 0 ? 'behind' : 'ahead of'} ${broker}`
    if (Math.abs(offsetMs) <= mostOffsetMs) return { about, result: 'ok', message }
    return {
      about,
      result: 'fail',
      message,
      mend: 'switch on time synchronisation (timedatectl set-ntp true)',
    }
  })
}

/** Asks each broker whether it still accepts the token, within the budget for such questions. */
export async function checkAccounts(house: House, io: Io): Promise<Check[]> {
  const { keeper, settings } = house
  const statuses = await keeper.status(settings.tenantId)
  if (statuses.length === 0) {
    return [{ about: 'accounts', result: 'warn', message: 'there is no account yet', mend: 'openbell setup' }]
  }
  const checks: Check[] = []
  for (const before of statuses) {
    const asked = await accountCheck(house, before, io)
    checks.push(asked)
    const redirect = await redirectCheck(house, before)
    if (redirect) checks.push(redirect)
  }
  return checks
}

async function accountCheck({ keeper }: House, before: AccountStatus, io: Io): Promise<Check> {
  const about = before.ref.accountId
  const mayAsk = before.token !== 'none' && before.work.state !== 'paused'
  let status = before
  try {
    if (mayAsk) status = await keeper.check(before.ref)
  } catch (error) {
    if (!isOpenbellError(error)) throw error
    return { about, result: 'fail', message: error.message }
  }
  const { work } = status
  const ends = status.token === 'none' ? '' : `; ends ${endOf(status, keeper, io)}`
  const message = `${stateOf(status)}${ends}${work.problem ? `; ${work.problem.message}` : ''}`
  if (work.state === 'paused') return { about, result: 'warn', message, mend: `openbell resume ${about}` }
  if (waitsForPerson(status)) {
    return { about, result: 'warn', message, mend: `openbell login ${about}`, needsLogin: true }
  }
  if (work.state === 'needs-fixing') return { about, result: 'fail', message, mend: `openbell edit ${about}` }
  return { about, result: status.token === 'live' && !work.problem ? 'ok' : 'warn', message }
}

/** Whether a login could come back here. Undefined where none does: the person pastes a grant. */
async function redirectCheck(house: House, { ref, redirectUri }: AccountStatus): Promise<Check | undefined> {
  const { settings } = house
  if (redirectUri === undefined) return undefined
  const about = `${ref.accountId}, redirect`
  try {
    const { origin, port, hostname } = new URL(redirectUri)
    if (settings.publicUrl !== undefined && new URL(settings.publicUrl).origin === origin) {
      return { about, result: 'ok', message: `${redirectUri} leads to the service` }
    }
    if (Number(port) === settings.port && isLoopback(hostname) && (await house.serviceIsUp())) {
      return { about, result: 'ok', message: `the service listens at ${redirectUri}` }
    }
    const listener = await house.listenForLogin(ref.accountId, redirectUri)
    await listener.close()
    return { about, result: 'ok', message: `Openbell can listen at ${redirectUri}` }
  } catch (error) {
    if (!isOpenbellError(error)) throw error
    if (error.code === 'redirect-not-listenable') {
      return { about, result: 'warn', message: error.message }
    }
    return { about, result: 'fail', message: error.message }
  }
}

function isLoopback(hostname: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
}

export async function checkDestinations({ keeper, settings }: House): Promise<Check[]> {
  const checks: Check[] = []
  for (const { id, settings: its } of await keeper.listDestinations(settings.tenantId)) {
    const about = `destination ${id}`
    try {
      const views = await keeper.testDestination(settings.tenantId, id)
      if (views.length === 0) {
        const mend = `openbell destination attach <account> ${id}`
        checks.push({ about, result: 'warn', message: 'no account writes there', mend })
      }
      // Several accounts may share a file; the same finding is said once.
      const findings = new Map(views.map((view) => [deliveryMessage(view), isDelivered(view)]))
      for (const [message, good] of findings) checks.push({ about, result: good ? 'ok' : 'fail', message })
    } catch (error) {
      if (!isOpenbellError(error)) throw error
      checks.push({ about, result: 'fail', message: error.message })
    }
    if (its.path !== undefined) checks.push(...(await checkTokenFile(about, its.path)))
  }
  return checks
}

function deliveryMessage(view: DeliveryView): string {
  if (view.problem) return view.problem.message
  return `${view.where} ${isDelivered(view) ? 'holds what it should' : 'does not hold the current token'}`
}
