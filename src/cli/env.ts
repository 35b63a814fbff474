/** `openbell env`: the token under its usual name, for a shell. */

import type { Command } from 'commander'
import { iso } from '../core/time.ts'
import { findAccount, findBroker } from './accounts.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { afterHelp } from './text-layout.ts'
import { sessionVariables, shellQuoted } from './variables.ts'

export interface EnvInput {
  account: string
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .addHelpText(
      'after',
      afterHelp(
        'eval "$(openbell env kite-main)"',
        "Prints `export NAME='value'` for the access token and, where the broker's programs need it, the app key; never a secret, a PIN or a refresh token. Renews first where that needs no person. `openbell run` does without a shell that keeps them.",
      ),
    )
    .action((account: string) => run((context) => env({ account }, context)))
}

export async function env({ account }: EnvInput, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  const { ref, brokerId } = await findAccount(house, account)
  const session = await house.keeper.token(ref)
  const variables = Object.entries(sessionVariables(findBroker(house, brokerId), session)).map(
    ([name, value]) => [name, value.expose()] as const,
  )
  if (json) {
    printJson(io, {
      account,
      generation: session.generation,
      expiresAt: iso(session.expiry.at),
      variables: Object.fromEntries(variables),
    })
  } else {
    io.out(variables.map(([name, value]) => `export ${name}=${shellQuoted(value)}`).join('\n'))
  }
  return 0
}
