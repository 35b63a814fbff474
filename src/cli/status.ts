/** `openbell status`: every account at a glance. */

import type { Command } from 'commander'
import { secondMs } from '../core/time.ts'
import { findAccount, isBroken, waitsForPerson } from './accounts.ts'
import { type Context, clearScreen, type ExitCode, printJson, type Run, UsageError } from './command.ts'
import { renderStatuses, statusDocument } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export interface StatusInput {
  account?: string | undefined
  check?: boolean
  watch?: boolean
}

const watchEveryMs = 5 * secondMs

export function configure(command: Command, run: Run): void {
  command
    .argument('[account]', 'only this one')
    .option('--check', 'ask the brokers now whether they still accept the tokens')
    .option('--watch', 'show it again every 5 seconds, until Ctrl-C')
    .addHelpText(
      'after',
      afterHelp(
        'openbell status --check',
        'Exit codes: 3 when an account waits for a person to log in, else 1 when one needs fixing, else 0.',
      ),
    )
    .action((account: string | undefined, options: Omit<StatusInput, 'account'>) =>
      run((context) => status({ account, ...options }, context)),
    )
}

export async function status(input: StatusInput, context: Context): Promise<ExitCode> {
  return input.watch ? watch(input, context) : look(input, context)
}

async function watch(input: StatusInput, context: Context): Promise<ExitCode> {
  const { io, json } = context
  if (!io.isTTY || json)
    throw new UsageError('--watch redraws a terminal: leave it out here, and call status again instead.')
  const over = new AbortController()
  const stopped = io.untilStopped().then(() => over.abort())
  let exitCode: ExitCode = 0
  while (!over.signal.aborted) {
    io.out(clearScreen)
    exitCode = await look(input, context)
    await io.sleep(watchEveryMs, over.signal)
  }
  await stopped
  return exitCode
}

async function look(input: StatusInput, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  const { keeper, settings } = house
  let statuses =
    input.account === undefined
      ? await keeper.status(settings.tenantId)
      : [await findAccount(house, input.account)]
  if (input.check) {
    statuses = await Promise.all(
      statuses.map((each) => (each.token === 'none' ? each : keeper.check(each.ref))),
    )
  }
  if (json) printJson(io, { accounts: statuses.map(statusDocument) })
  else if (statuses.length === 0) io.out('There is no account yet. Add one with `openbell setup`.')
  else io.out(renderStatuses(statuses, keeper, io))

  const waiting = statuses.filter(waitsForPerson)
  if (!json && waiting.length > 0) {
    io.err(
      `\nA person must log in: ${waiting.map(({ ref }) => `\`openbell login ${ref.accountId}\``).join(', ')}.`,
    )
  }
  if (waiting.length > 0) return 3
  return statuses.some(isBroken) ? 1 : 0
}
