/** `openbell destination`: where programs read tokens. Defined here, on the host, and never over HTTP. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { House } from '../compose/house.ts'
import { OpenbellError } from '../core/errors.ts'
import type { AccountStatus, DeliveryView } from '../core/keeper.ts'
import type { Destination } from '../core/model.ts'
import { iso } from '../core/time.ts'
import { findAccount } from './accounts.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { suggestion } from './nearest.ts'
import { deliveredOf, statusDocument } from './status-view.ts'
import { afterHelp, columns, paint } from './text-layout.ts'

export function configure(command: Command, run: Run): void {
  const collect = (value: string, before: readonly string[] = []) => [...before, value]
  command
    .command('add')
    .description('Define a destination; it is checked before it is saved.')
    .argument('<id>', 'what you call it')
    .option('--kind <kind>', 'dotenv, json-file, token-file, command or webhook', 'dotenv')
    .option('--path <file>', 'the file, seen from this folder')
    .option('--set <name=value>', 'another setting of this kind; may be given again', collect)
    .addHelpText('after', afterHelp('openbell destination add bot-env --kind dotenv --path .env'))
    .action((id: string, options: Omit<AddDestinationInput, 'id'>) =>
      run((context) => addDestination({ id, ...options }, context)),
    )
  command
    .command('attach')
    .description("Write an account's token to a destination from now on.")
    .argument('<account>')
    .argument('<destination>')
    .addHelpText('after', afterHelp('openbell destination attach kite-main bot-env'))
    .action((account: string, destination: string) =>
      run((context) => attach({ account, destination }, context)),
    )
  command
    .command('detach')
    .description("Stop writing an account's token to a destination.")
    .argument('<account>')
    .argument('<destination>')
    .addHelpText('after', afterHelp('openbell destination detach kite-main bot-env'))
    .action((account: string, destination: string) =>
      run((context) => detach({ account, destination }, context)),
    )
  command
    .command('list')
    .description('Show the destinations and who writes there.')
    .addHelpText('after', afterHelp('openbell destination list'))
    .action(() => run(list))
  command
    .command('test')
    .description('Read a destination back and compare it with what should be there.')
    .argument('<id>')
    .addHelpText('after', afterHelp('openbell destination test bot-env'))
    .action((id: string) => run((context) => test({ id }, context)))
  command
    .command('remove')
    .description('Forget a destination that no account is attached to; the file stays.')
    .argument('<id>')
    .addHelpText('after', afterHelp('openbell destination remove bot-env'))
    .action((id: string) => run((context) => remove({ id }, context)))
  command.addHelpText('after', afterHelp('openbell destination add bot-env --kind dotenv --path .env'))
}

export interface AddDestinationInput {
  id: string
  kind?: string
  path?: string
  set?: readonly string[]
}

export async function addDestination(input: AddDestinationInput, context: Context): Promise<ExitCode> {
  const destination = await defineDestination(input, await context.house(), context.io.cwd())
  if (context.json) printJson(context.io, destination)
  else
    context.io.out(
      `${destination.id} is saved${whereOf(destination)}. Attach it with \`openbell destination attach <account> ${destination.id}\`.`,
    )
  return 0
}

/** Throws `invalid-field` for a kind or setting that is not there, and what the keeper throws. */
export async function defineDestination(
  { id, kind: wanted = 'dotenv', path, set = [] }: AddDestinationInput,
  { keeper, settings: { tenantId } }: House,
  cwd: string,
): Promise<Destination> {
  const kinds = keeper.destinationKinds()
  const kind = kinds.find((each) => each.kind === wanted)
  if (!kind) {
    const known = kinds.map((each) => each.kind)
    throw invalid('kind', `kind: there is no "${wanted}".${suggestion(wanted, known, 'There are')}`)
  }
  const settings: Record<string, string> = {}
  for (const pair of set) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
    if (name === undefined || value === undefined) {
      throw invalid('set', 'set: it takes name=value, for example --set mode=0640.')
    }
    settings[name] = value
  }
  if (path !== undefined) settings.path = path
  const names = Object.keys(kind.settings)
  for (const name of Object.keys(settings)) {
    if (names.includes(name)) continue
    throw invalid(
      name,
      `${name}: a ${wanted} destination has no such setting.${suggestion(name, names, 'It has')}`,
    )
  }
  for (const [name, field] of Object.entries(kind.settings)) {
    if (field.optional || (settings[name] ?? '') !== '') continue
    throw invalid(
      name,
      `${name} is missing: ${name === 'path' ? '--path <file>' : `--set ${name}=…`}. ${field.help}`,
    )
  }
  if (settings.path !== undefined) settings.path = resolve(cwd, settings.path)
  return keeper.addDestination({ id, tenantId, kind: wanted, settings })
}

export interface AttachInput {
  account: string
  destination: string
}

export async function attach(input: AttachInput, context: Context): Promise<ExitCode> {
  const house = await context.house()
  const before = await findAccount(house, input.account)
  const { id } = await findDestination(house, input.destination)
  return reportAttached(await attachTo(house, before, id), context)
}

/** Keeps what is attached already. */
export async function attachTo({ keeper }: House, before: AccountStatus, id: string): Promise<AccountStatus> {
  const attached = attachedTo(before)
  if (attached.includes(id)) return before
  return keeper.editAccount(before.ref, { destinations: [...attached, id] })
}

export async function detach(input: AttachInput, context: Context): Promise<ExitCode> {
  const house = await context.house()
  const before = await findAccount(house, input.account)
  const attached = attachedTo(before)
  if (!attached.includes(input.destination)) {
    throw new OpenbellError(
      'unknown-destination',
      `${input.account} does not write to "${input.destination}".${suggestion(input.destination, attached, 'It writes to')}`,
      { field: 'destination' },
    )
  }
  const destinations = attached.filter((each) => each !== input.destination)
  return reportAttached(await house.keeper.editAccount(before.ref, { destinations }), context)
}

function attachedTo({ deliveries }: AccountStatus): string[] {
  return deliveries.map(({ destinationId }) => destinationId)
}

function reportAttached(status: AccountStatus, { io, json }: Context): ExitCode {
  if (json) printJson(io, statusDocument(status))
  else {
    const names = attachedTo(status).join(', ')
    io.out(
      names === ''
        ? `${status.ref.accountId} writes nowhere.`
        : `${status.ref.accountId} writes to ${names}: ${deliveredOf(status)}.`,
    )
  }
  return 0
}

export async function list({ house: open, io, json }: Context): Promise<ExitCode> {
  const { keeper, settings } = await open()
  const [destinations, statuses] = await Promise.all([
    keeper.listDestinations(settings.tenantId),
    keeper.status(settings.tenantId),
  ])
  const accountsAt = (id: string) =>
    statuses.filter((status) => attachedTo(status).includes(id)).map(({ ref }) => ref.accountId)
  if (json) {
    printJson(io, { destinations: destinations.map((each) => ({ ...each, accounts: accountsAt(each.id) })) })
  } else if (destinations.length === 0) {
    io.out('There is no destination yet. Add one with `openbell destination add <id> --path .env`.')
  } else {
    const rows = destinations.map((each) => [
      each.id,
      each.kind,
      each.settings.path ?? '-',
      accountsAt(each.id).join(', ') || 'nobody',
    ])
    const lines = columns([['DESTINATION', 'KIND', 'WHERE', 'WRITTEN BY'], ...rows], (text, row) =>
      row === 0 ? paint(text, 'quiet', io.colour) : text,
    )
    io.out(lines.join('\n'))
  }
  return 0
}

export async function test({ id }: { id: string }, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  await findDestination(house, id)
  const views = await house.keeper.testDestination(house.settings.tenantId, id)
  if (json) {
    printJson(io, {
      destination: id,
      deliveries: views.map(({ verifiedAt, ...view }) => ({
        ...view,
        ...(verifiedAt === undefined ? {} : { verifiedAt: iso(verifiedAt) }),
      })),
    })
  } else if (views.length === 0) {
    io.out(`No account writes to ${id}: \`openbell destination attach <account> ${id}\`.`)
  } else {
    io.out(views.map(verdict).join('\n'))
  }
  return views.every(isDelivered) ? 0 : 1
}

export function isDelivered({ desired, delivered, problem }: DeliveryView): boolean {
  return desired === delivered && problem === undefined
}

function verdict(view: DeliveryView): string {
  if (view.problem) return `fail  ${view.where}: ${view.problem.message}`
  if (!isDelivered(view)) return `fail  ${view.where}: not the current token yet`
  return view.desired === 0
    ? `ok    ${view.where}: writable, and there is no token to write yet`
    : `ok    ${view.where}: holds the current token`
}

export async function remove({ id }: { id: string }, { house: open, io, json }: Context): Promise<ExitCode> {
  const house = await open()
  await findDestination(house, id)
  await house.keeper.removeDestination(house.settings.tenantId, id)
  if (json) printJson(io, { removed: id })
  else io.out(`${id} is removed.`)
  return 0
}

async function findDestination({ keeper, settings }: House, id: string): Promise<Destination> {
  const destinations = await keeper.listDestinations(settings.tenantId)
  const found = destinations.find((each) => each.id === id)
  if (found) return found
  const known = destinations.map((each) => each.id)
  throw new OpenbellError(
    'unknown-destination',
    `There is no destination "${id}".${suggestion(id, known, 'There are')}`,
    {
      field: 'destination',
    },
  )
}

function whereOf({ settings }: Destination): string {
  return settings.path === undefined ? '' : `: ${settings.path}`
}

function invalid(field: string, message: string): OpenbellError {
  return new OpenbellError('invalid-field', message, { field })
}
