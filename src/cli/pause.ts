/** `openbell pause`: nothing is renewed, probed or asked for until `resume`. */

import type { Command } from 'commander'
import { findAccount } from './accounts.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { statusDocument } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export interface PauseInput {
  account: string
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .addHelpText('after', afterHelp('openbell pause kite-main'))
    .action((account: string) => run((context) => pause({ account }, context)))
}

export async function pause({ account }: PauseInput, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  const { ref } = await findAccount(house, account)
  const status = await house.keeper.pauseAccount(ref)
  if (json) printJson(io, statusDocument(status))
  else
    io.out(`${account} is paused: nothing is renewed or asked for. \`openbell resume ${account}\` goes on.`)
  return 0
}
