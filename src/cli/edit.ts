/** `openbell edit`: what an account may change without being added again. */

import type { Command } from 'commander'
import type { AccountChanges } from '../core/keeper.ts'
import { findAccount, findBroker } from './accounts.ts'
import { checkRedirect } from './add.ts'
import { type Context, type ExitCode, printJson, type Run, UsageError } from './command.ts'
import { askCredentials, isFromStdin, readCredentials } from './credentials.ts'
import { outcomeSentence, statusDocument } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export interface EditInput {
  account: string
  label?: string
  redirect?: string
  secrets?: string
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .option('--label <text>', 'the name shown to people')
    .option('--redirect <url>', 'where the broker sends the browser, exactly as registered there')
    .option(
      '--secrets <->',
      'read the credentials that change from stdin: KEY=VALUE lines or one JSON object',
    )
    .addHelpText(
      'after',
      afterHelp(
        'openbell edit kite-main',
        'Without an option it asks for the credentials; an empty answer keeps one. New credentials release an account that waits because its settings were refused.',
      ),
    )
    .action((account: string, options: Omit<EditInput, 'account'>) =>
      run((context) => edit({ account, ...options }, context)),
    )
}

export async function edit(input: EditInput, { house: open, io, json }: Context): Promise<ExitCode> {
  const fromStdin = isFromStdin(input.secrets, 'secrets')
  if (input.redirect !== undefined) checkRedirect(input.redirect)
  const house = await open()
  const before = await findAccount(house, input.account)
  const info = findBroker(house, before.brokerId)

  const changes: AccountChanges = {}
  if (input.label !== undefined) changes.label = input.label
  if (input.redirect !== undefined) changes.redirectUri = input.redirect
  if (fromStdin) changes.credentials = readCredentials(info, await io.readStdin(), { partial: true })
  if (Object.keys(changes).length === 0) {
    if (!io.canAsk) throw new UsageError('Say what to change: --label, --redirect or --secrets -.')
    const credentials = await askCredentials(info, io, { keep: true })
    if (Object.keys(credentials).length === 0) {
      if (json) printJson(io, statusDocument(before))
      else io.out('Nothing was changed.')
      return 0
    }
    changes.credentials = credentials
  }

  const status = await house.keeper.editAccount(before.ref, changes)
  if (json) printJson(io, statusDocument(status))
  else io.out(`Saved. ${outcomeSentence(status, house.keeper, io)}`)
  return 0
}
