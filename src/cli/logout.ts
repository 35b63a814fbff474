/** `openbell logout`: the session ends, at the broker where it can be ended there, and in every destination. */

import type { Command } from 'commander'
import type { AccountStatus, LogoutResult } from '../core/keeper.ts'
import { zonedTime } from '../core/spoken-time.ts'
import { findAccount } from './accounts.ts'
import {
  type Context,
  type ExitCode,
  Interrupted,
  type Io,
  printJson,
  type Run,
  UsageError,
} from './command.ts'
import { type Brokers, statusDocument, zoneOf } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export interface LogoutInput {
  account: string
  yes?: boolean
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      afterHelp(
        'openbell logout kite-main',
        'The account and its credentials stay. Nobody is asked to log in again; `openbell login` goes on.',
      ),
    )
    .action((account: string, options: { yes?: boolean }) =>
      run((context) => logout({ account, ...options }, context)),
    )
}

export async function logout(input: LogoutInput, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  const before = await findAccount(house, input.account)
  if (!input.yes) {
    if (!io.canAsk)
      throw new UsageError(`Programs that trade with ${input.account} will stop: add --yes to mean it.`)
    if (!(await io.confirm(`Log ${input.account} out? Programs that trade with it will stop.`))) {
      throw new Interrupted()
    }
  }
  const { status, atBroker } = await house.keeper.logout(before.ref)
  const withdrawn = withdrawnFrom(before, status)
  if (json) {
    printJson(io, { ...statusDocument(status), atBroker, withdrawnFrom: withdrawn })
    return 0
  }
  io.out(`${input.account} is logged out${brokerSentence(before, atBroker, house.keeper, io)}`)
  if (withdrawn.length > 0) io.out(`Its token was taken out of ${withdrawn.join(', ')}.`)
  io.out(`\`openbell login ${input.account}\` goes on.`)
  return 0
}

function brokerSentence(
  before: AccountStatus,
  atBroker: LogoutResult['atBroker'],
  keeper: Brokers,
  io: Io,
): string {
  const { brokerName, expiry } = before
  const until = expiry ? zonedTime(expiry.at, io.now(), zoneOf(before, keeper, io)) : 'its end'
  switch (atBroker) {
    case 'ended':
      return `: ${brokerName} has ended its token.`
    case 'refused':
      return ` here; ${brokerName} did not confirm it, so the token may live on there until ${until}.`
    case 'not-possible':
      return ` here; ${brokerName} has no call that ends a token, so it lives on there until ${until}.`
    case 'nothing-there':
      return ': it had no living token.'
  }
}

function withdrawnFrom(before: AccountStatus, after: AccountStatus): string[] {
  const still = new Set(
    after.deliveries.filter(({ delivered }) => delivered > 0).map((each) => each.destinationId),
  )
  return before.deliveries
    .filter(({ delivered, destinationId }) => delivered > 0 && !still.has(destinationId))
    .map(({ destinationId }) => destinationId)
}
