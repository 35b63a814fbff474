/** `openbell remove`: the account goes, with its credentials and tokens. */

import type { Command } from 'commander'
import { findAccount } from './accounts.ts'
import { type Context, type ExitCode, Interrupted, printJson, type Run, UsageError } from './command.ts'
import { afterHelp } from './text-layout.ts'

export interface RemoveInput {
  account: string
  yes?: boolean
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .option('--yes', 'do not ask')
    .addHelpText('after', afterHelp('openbell remove kite-main'))
    .action((account: string, options: { yes?: boolean }) =>
      run((context) => remove({ account, ...options }, context)),
    )
}

export async function remove(input: RemoveInput, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  const { ref } = await findAccount(house, input.account)
  if (!input.yes) {
    if (!io.canAsk) throw new UsageError(`Removing ${input.account} cannot be undone: add --yes to mean it.`)
    if (
      !(await io.confirm(`Remove ${input.account} with its credentials and tokens? This cannot be undone.`))
    ) {
      throw new Interrupted()
    }
  }
  await house.keeper.removeAccount(ref)
  if (json) printJson(io, { removed: input.account })
  else io.out(`${input.account} is removed.`)
  return 0
}
