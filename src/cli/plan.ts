/** `openbell plan`: the coming steps of each account. */

import type { Command } from 'commander'
import { timeWithDistance } from '../core/spoken-time.ts'
import { iso } from '../core/time.ts'
import { findAccount } from './accounts.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { zoneOf } from './status-view.ts'
import { afterHelp, columns, paint } from './text-layout.ts'

export interface PlanInput {
  account?: string | undefined
}

export function configure(command: Command, run: Run): void {
  command
    .argument('[account]', 'only this one')
    .addHelpText('after', afterHelp('openbell plan kite-main'))
    .action((account: string | undefined) => run((context) => plan({ account }, context)))
}

export async function plan(input: PlanInput, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  const { keeper, settings } = house
  const statuses =
    input.account === undefined
      ? await keeper.status(settings.tenantId)
      : [await findAccount(house, input.account)]
  const plans = await Promise.all(
    statuses.map(async ({ ref, brokerId }) => ({ ref, brokerId, steps: await keeper.plan(ref) })),
  )
  if (json) {
    const document = plans.map(({ ref, steps }) => ({
      account: ref.accountId,
      steps: steps.map((step) => ({ ...step, at: iso(step.at) })),
    }))
    printJson(io, { plans: document })
    return 0
  }
  if (plans.length === 0) io.out('There is no account yet. Add one with `openbell setup`.')
  for (const { ref, brokerId, steps } of plans) {
    io.out(paint(ref.accountId, 'strong', io.colour))
    const zone = zoneOf({ brokerId }, keeper, io)
    const rows = steps.map(({ at, action, reason }) => [timeWithDistance(at, io.now(), zone), action, reason])
    io.out(
      rows.length === 0
        ? '  nothing is due'
        : columns(rows)
            .map((line) => `  ${line}`)
            .join('\n'),
    )
  }
  return 0
}
