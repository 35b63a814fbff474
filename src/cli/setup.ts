/** `openbell setup`: from nothing to a bot that reads its token, one question at a time. Run it again to go on. */

import { basename } from 'node:path'
import type { Command } from 'commander'
import type { House } from '../compose/house.ts'
import { isOpenbellError } from '../core/errors.ts'
import type { AccountStatus } from '../core/keeper.ts'
import { findBroker } from './accounts.ts'
import { addAccount } from './add.ts'
import { type Context, type ExitCode, Interrupted, type Io, type Run, UsageError } from './command.ts'
import { attachTo, defineDestination } from './destination.ts'
import { logIn } from './login.ts'
import { stateOf } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export function configure(command: Command, run: Run): void {
  command
    .addHelpText(
      'after',
      afterHelp(
        'openbell setup',
        'Asks for a broker, its credentials, the file your programs read, and logs in. Every step is saved by itself: stop with Ctrl-C at any time and run it again to go on.',
      ),
    )
    .action(() => run(setup))
}

export async function setup(context: Context): Promise<ExitCode> {
  const { io, json } = context
  if (json || !io.canAsk) {
    throw new UsageError(
      'setup asks questions and needs a terminal. Without one: `openbell add`, `openbell destination add`, `openbell login`.',
    )
  }
  try {
    return await walk(await context.house(), context)
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    throw new Interrupted('Stopped: the steps before this one are saved; `openbell setup` goes on.')
  }
}

async function walk(house: House, context: Context): Promise<ExitCode> {
  const { io } = context
  let status = await chooseAccount(house, context)
  status = await chooseDestination(status, house, io)

  let exitCode: ExitCode = 0
  if (status.token === 'live') io.err(`${status.ref.accountId} is logged in.`)
  else if (await io.confirm(`Log in to ${status.brokerName} now?`))
    exitCode = await logIn(status, {}, context)

  io.out(
    [
      '',
      'What to type next:',
      '  openbell up       keep the tokens alive; leave it running',
      '  openbell status   see every account',
      '  openbell doctor   look for what could go wrong',
      ...(status.unattended
        ? []
        : [`  openbell login ${status.ref.accountId}   when the broker wants you again`]),
    ].join('\n'),
  )
  return exitCode
}

const another = 'another'

async function chooseAccount(house: House, context: Context): Promise<AccountStatus> {
  const { io } = context
  const statuses = await house.keeper.status(house.settings.tenantId)
  if (statuses.length > 0) {
    const chosen = await io.choose('Which account?', [
      ...statuses.map((each) => ({
        value: `account ${each.ref.accountId}`,
        label: `${each.ref.accountId} (${each.brokerName}, ${stateOf(each)})`,
      })),
      { value: another, label: 'Add another account' },
    ])
    const found = statuses.find(({ ref }) => chosen === `account ${ref.accountId}`)
    if (found) return found
  }
  const brokers = house.keeper.brokers().filter(({ environments }) => environments.includes('live'))
  const broker = await io.choose(
    'Which broker?',
    brokers.map(({ id, name, unattended }) => ({
      value: id,
      label: unattended ? `${name} (one login, then by itself)` : `${name} (a login every trading day)`,
    })),
  )
  const { status } = await addAccount({ broker }, context)
  io.err(`${status.ref.accountId} is saved.`)
  return status
}

async function chooseDestination(status: AccountStatus, house: House, io: Io): Promise<AccountStatus> {
  const [delivery] = status.deliveries
  if (delivery) {
    io.err(`${status.ref.accountId} writes its token to ${delivery.where}.`)
    return status
  }
  const { env } = findBroker(house, status.brokerId)
  io.err(`Openbell writes ${Object.values(env).join(', ')} into the .env file that your programs read.`)
  for (;;) {
    const path = (await io.ask('Which .env file? (`none` for no file)', { default: '.env' })).trim()
    if (path === 'none') return status
    const id = `${status.ref.accountId}-${basename(path).replace(/[^a-z0-9]+/gi, '') || 'env'}`
    try {
      const known = await house.keeper.listDestinations(house.settings.tenantId)
      if (!known.some((each) => each.id === id)) {
        await defineDestination({ id, kind: 'dotenv', path }, house, io.cwd())
      }
      return await attachTo(house, status, id)
    } catch (error) {
      if (!isOpenbellError(error)) throw error
      io.err(`${error.message} Name another file.`)
    }
  }
}
