/** `openbell events`: the ledger as a story, and whether anybody changed it. */

import type { Command } from 'commander'
import type { House } from '../compose/house.ts'
import type { AccountStatus } from '../core/keeper.ts'
import type { LedgerEvent } from '../core/model.ts'
import { zonedTime } from '../core/spoken-time.ts'
import { iso, secondMs, type Zone } from '../core/time.ts'
import { findAccount } from './accounts.ts'
import { type Context, type ExitCode, type Io, printJson, type Run, UsageError } from './command.ts'
import { zoneOf } from './status-view.ts'
import { afterHelp, columns, wrap } from './text-layout.ts'

export interface EventsInput {
  account?: string | undefined
  follow?: boolean
  limit?: string
  check?: boolean
}

const usualLimit = 50
const lookEveryMs = secondMs
/** More than can happen between two looks. */
const followLimit = 10_000

export function configure(command: Command, run: Run): void {
  command
    .argument('[account]', 'only what happened to this one')
    .option('--limit <n>', `so many of the newest (default: ${usualLimit})`)
    .option('--follow', 'go on with what happens, until Ctrl-C')
    .option('--check', 'instead look whether the record was changed; exit code 1 when it was')
    .addHelpText(
      'after',
      afterHelp(
        'openbell events kite-main --follow',
        "Oldest first; times are those of the account's broker. With --json each event is one JSON object on a line of its own.",
        'Every event holds a hash of the one before it, so --check notices what was changed, removed or put in between. It cannot notice that the newest ones are missing.',
      ),
    )
    .action((account: string | undefined, options: Omit<EventsInput, 'account'>) =>
      run((context) => events({ account, ...options }, context)),
    )
}

export async function events(input: EventsInput, context: Context): Promise<ExitCode> {
  if (input.check) {
    if (input.follow || input.limit !== undefined || input.account !== undefined)
      throw new UsageError('--check looks at the whole ledger: leave account, --limit and --follow out.')
    return check(context)
  }
  const limit = readLimit(input.limit)
  const { house: open, io, json } = context
  const house = await open()
  const { keeper, settings } = house
  const query = {
    tenantId: settings.tenantId,
    ...(input.account === undefined ? {} : { accountId: input.account }),
  }
  const over = new AbortController()
  const stopped = input.follow ? io.untilStopped().then(() => over.abort()) : undefined

  const first = await keeper.events({ ...query, limit })
  // Of a removed account the events stay; a name that has none may be mistyped.
  if (input.account !== undefined && first.length === 0) await findAccount(house, input.account)
  if (first.length > 0) await print(first, house, context)
  else if (!json) io.err('Nothing has happened yet.')
  if (!stopped) return 0

  let last = first.at(-1)?.seq ?? 0
  while (!over.signal.aborted) {
    await io.sleep(lookEveryMs, over.signal)
    const more = await keeper.events({ ...query, afterSeq: last, limit: followLimit })
    last = more.at(-1)?.seq ?? last
    if (more.length > 0) await print(more, house, context)
  }
  return 0
}

async function check({ house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  const broken = await house.ledger.firstBrokenEvent()
  if (json) {
    printJson(io, broken ? { whole: false, firstBroken: documentOf(broken) } : { whole: true })
  } else if (broken) {
    const zones = zonesOf(await house.keeper.status(house.settings.tenantId), house, io)
    const { at, accountId, kind, seq } = broken
    const when = zonedTime(at, io.now(), zones(accountId))
    io.out(
      `fail  event ${seq} (${kind}, ${when}) does not fit the one before it: one of the two was changed, or one in between removed or put in, by something other than Openbell.`,
    )
  } else {
    io.out('ok    the ledger is whole up to its newest event.')
  }
  return broken ? 1 : 0
}

function readLimit(text: string | undefined): number {
  if (text === undefined) return usualLimit
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (limit > 0) return limit
  throw new UsageError('--limit takes a whole number above 0, for example --limit 20.')
}

async function print(happened: readonly LedgerEvent[], house: House, { io, json }: Context): Promise<void> {
  if (json) {
    for (const event of happened) printJson(io, documentOf(event))
    return
  }
  // Accounts come and go while somebody follows.
  const zones = zonesOf(await house.keeper.status(house.settings.tenantId), house, io)
  const rows = happened.map(({ at, accountId, kind, text }) => [
    zonedTime(at, io.now(), zones(accountId)),
    accountId ?? '-',
    kind,
    text,
  ])
  const heads = columns(rows.map((row) => row.slice(0, -1)))
  // On one line for a program, and for a person who sees it whole.
  const lines = columns(rows).map((line, index) =>
    !io.isTTY || line.length <= io.width
      ? line
      : `${heads[index]}\n${wrap(happened[index]?.text ?? '', io.width, '    ')}`,
  )
  io.out(lines.join('\n'))
}

/** Of events that belong to no account that is still there: the zone of this machine. */
function zonesOf(
  statuses: readonly AccountStatus[],
  { keeper }: House,
  io: Io,
): (accountId?: string) => Zone {
  const zones = new Map(statuses.map((status) => [status.ref.accountId, zoneOf(status, keeper, io)]))
  return (accountId = '') => zones.get(accountId) ?? io.zone()
}

function documentOf({ at, accountId, tenantId, ...event }: LedgerEvent): object {
  return {
    at: iso(at),
    tenant: tenantId,
    ...(accountId === undefined ? {} : { account: accountId }),
    ...event,
  }
}
