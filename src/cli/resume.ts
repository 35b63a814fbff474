/** `openbell resume`: the end of a pause. */

import type { Command } from 'commander'
import { findAccount } from './accounts.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { outcomeSentence, statusDocument } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export interface ResumeInput {
  account: string
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .addHelpText('after', afterHelp('openbell resume kite-main'))
    .action((account: string) => run((context) => resume({ account }, context)))
}

export async function resume(
  { account }: ResumeInput,
  { house: open, io, json }: Context,
): Promise<ExitCode> {
  const house = await open()
  const { ref } = await findAccount(house, account)
  const status = await house.keeper.resumeAccount(ref)
  if (json) printJson(io, statusDocument(status))
  else io.out(`${account} is kept again. ${outcomeSentence(status, house.keeper, io)}`)
  return 0
}
