/** `openbell refresh`: a person's "try once more". */

import type { Command } from 'commander'
import { findAccount, isBroken, waitsForPerson } from './accounts.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { outcomeSentence, statusDocument } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export interface RefreshInput {
  account: string
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .addHelpText(
      'after',
      afterHelp(
        'openbell refresh tasty-main',
        'Tries once more also where Openbell has stopped after a refusal. Where the broker gives a token only to a person, nothing is sent: `openbell login` is the way.',
      ),
    )
    .action((account: string) => run((context) => refresh({ account }, context)))
}

export async function refresh(
  { account }: RefreshInput,
  { house: open, io, json }: Context,
): Promise<ExitCode> {
  const house = await open()
  const before = await findAccount(house, account)
  const after = before.unattended ? await house.keeper.renew(before.ref, 'person') : before
  const renewed = after.generation !== before.generation
  if (json) {
    printJson(io, { ...statusDocument(after), renewed })
  } else if (!before.unattended) {
    io.out(`${before.brokerName} renews no token without a person, so nothing was sent.`)
    io.out(outcomeSentence(after, house.keeper, io, { already: true }))
    if (waitsForPerson(after)) io.err(`Log in with \`openbell login ${account}\`.`)
  } else {
    const what = renewed ? `Token number ${after.generation}` : 'No new token is in use yet'
    io.out(`${what}: ${outcomeSentence(after, house.keeper, io)}`)
  }
  if (waitsForPerson(after)) return 3
  return isBroken(after) ? 1 : 0
}
