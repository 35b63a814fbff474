/** `openbell import`: takes over a token that a program of the user's own obtained, or that the broker's page shows. */

import type { Command } from 'commander'
import { OpenbellError } from '../core/errors.ts'
import type { Slot } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { findAccount, waitsForPerson } from './accounts.ts'
import { type Context, type ExitCode, printJson, type Run, UsageError } from './command.ts'
import { isFromStdin } from './credentials.ts'
import { outcomeSentence, statusDocument } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

const slots: readonly Slot[] = ['trading', 'read', 'market-data']

export interface ImportInput {
  account: string
  token?: string
  slot?: string
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .requiredOption('--token <->', 'read the access token from stdin')
    .option('--slot <slot>', `what the token is for: ${slots.join(', ')} (default: the account's own)`)
    .addHelpText(
      'after',
      afterHelp(
        'openbell import upstox-data --slot read --token - < analytics-token.txt',
        'The broker is asked about it first; a token of another user is refused, and one that the broker does not accept changes nothing.',
      ),
    )
    .action((account: string, options: Omit<ImportInput, 'account'>) =>
      run((context) => importToken({ account, ...options }, context)),
    )
}

export async function importToken(input: ImportInput, context: Context): Promise<ExitCode> {
  const { house: open, io, json } = context
  isFromStdin(input.token, 'token')
  const slot = slots.find((one) => one === input.slot)
  if (input.slot !== undefined && slot === undefined) {
    throw new UsageError(`There is no slot "${input.slot}": choose ${slots.join(', ')}.`)
  }
  const house = await open()
  const { ref } = await findAccount(house, input.account)
  const token = (await io.readStdin()).trim()
  if (token === '') {
    throw new OpenbellError('invalid-field', 'token: stdin was empty: pipe the access token in.', {
      field: 'token',
    })
  }
  const status = await house.keeper.importToken(ref, new Secret(token), slot)
  if (json) printJson(io, statusDocument(status))
  else io.out(outcomeSentence(status, house.keeper, io, { already: false }))
  return waitsForPerson(status) ? 3 : 0
}
