/** `openbell token`: what a program needs, and nothing else, on stdout. */

import type { Command } from 'commander'
import { isOpenbellError } from '../core/errors.ts'
import { iso } from '../core/time.ts'
import type { Text } from '../core/wire.ts'
import { findAccount } from './accounts.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { afterHelp } from './text-layout.ts'

export interface TokenInput {
  account: string
  header?: boolean
}

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .option('--header', 'print the headers to send with every call, one `Name: value` a line')
    .addHelpText(
      'after',
      afterHelp(
        'ACCESS_TOKEN=$(openbell token kite-main)',
        'Renews first where that needs no person. With --json: token, headers and expiry.',
      ),
    )
    .action((account: string, options: { header?: boolean }) =>
      run((context) => token({ account, ...options }, context)),
    )
}

export async function token(input: TokenInput, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  const ref = { tenantId: house.settings.tenantId, accountId: input.account }
  try {
    const session = await house.keeper.token(ref)
    if (json) {
      const headers = Object.fromEntries(
        Object.entries(session.headers).map(([name, value]) => [name, shown(value)]),
      )
      printJson(io, {
        account: input.account,
        slot: session.slot,
        generation: session.generation,
        token: session.token,
        accessToken: session.accessToken.expose(),
        headers,
        expiresAt: iso(session.expiry.at),
        expirySource: session.expiry.source,
      })
    } else if (input.header) {
      io.out(
        Object.entries(session.headers)
          .map(([name, value]) => `${name}: ${shown(value)}`)
          .join('\n'),
      )
    } else {
      io.out(session.accessToken.expose())
    }
    return 0
  } catch (error) {
    // Names the nearest account; the keeper only knows that there is no such one.
    if (isOpenbellError(error) && error.code === 'unknown-account') await findAccount(house, input.account)
    throw error
  }
}

function shown(value: Text): string {
  return typeof value === 'string' ? value : value.expose()
}
