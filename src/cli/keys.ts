/** `openbell keys`: which programs may ask the service, and for what. */

import type { Command } from 'commander'
import type { ApiKey } from '../core/model.ts'
import { clockTime } from '../core/spoken-time.ts'
import { iso } from '../core/time.ts'
import { type Context, type ExitCode, printJson, type Run, UsageError } from './command.ts'
import { afterHelp, columns, paint } from './text-layout.ts'

export const scopesHelp =
  'Scopes: status:read token:read accounts:write proxy:read proxy:trade audit:read admin. A program that trades needs status:read and token:read; admin may do everything.'

export function configure(command: Command, run: Run): void {
  const collect = (value: string, before: readonly string[] = []) => [...before, value]
  command
    .command('list')
    .description('Show the keys by their ids; the keys themselves are nowhere.')
    .addHelpText('after', afterHelp('openbell keys list'))
    .action(() => run(list))
  command
    .command('create')
    .description('Make a key and print it, this once.')
    .requiredOption('--label <text>', 'which program it is for')
    .option('--scope <scope>', 'what it may do; may be given again', collect)
    .addHelpText(
      'after',
      afterHelp(
        'openbell keys create --label bot --scope status:read --scope token:read',
        'The key alone is on stdout. A program sends it as `Authorization: Bearer <key>`.',
        scopesHelp,
      ),
    )
    .action((options: CreateInput) => run((context) => create(options, context)))
  command
    .command('revoke')
    .description('Make a key useless from now on.')
    .argument('<id>', 'as `openbell keys list` shows it')
    .addHelpText(
      'after',
      afterHelp('openbell keys revoke 1f0c93ab', 'A running service heeds it within 5 seconds.'),
    )
    .action((id: string) => run((context) => revoke({ id }, context)))
  command.addHelpText(
    'after',
    afterHelp('openbell keys create --label bot --scope status:read --scope token:read'),
  )
}

export interface CreateInput {
  label: string
  scope?: readonly string[]
}

export async function create(
  { label, scope = [] }: CreateInput,
  { house: open, io, json }: Context,
): Promise<ExitCode> {
  const { keys, settings } = await open()
  const { key, record } = await keys.create({
    tenantId: settings.tenantId,
    label,
    scopes: [...new Set(scope)],
  })
  if (json) {
    printJson(io, { ...documentOf(record), key: key.expose() })
  } else {
    io.err(`Key ${record.id} (${label}) may ${record.scopes.join(', ')}. It is shown this once:`)
    io.out(key.expose())
  }
  return 0
}

export async function list({ house: open, io, json }: Context): Promise<ExitCode> {
  const { keys, settings } = await open()
  const records = await keys.list(settings.tenantId)
  if (json) {
    printJson(io, { keys: records.map(documentOf) })
  } else if (records.length === 0) {
    io.out('There is no key yet. `openbell up` makes one for this user; `openbell keys create` makes others.')
  } else {
    const when = (at: ApiKey['createdAt']) => clockTime(at, io.now(), io.zone())
    const rows = records.map(({ id, label, scopes, createdAt, revokedAt }) => [
      id,
      label,
      scopes.join(' '),
      when(createdAt),
      revokedAt === undefined ? 'in force' : `revoked ${when(revokedAt)}`,
    ])
    const lines = columns([['ID', 'LABEL', 'MAY', 'MADE', 'STATE'], ...rows], (text, row) =>
      row === 0 ? paint(text, 'quiet', io.colour) : text,
    )
    io.out(lines.join('\n'))
  }
  return 0
}

export async function revoke({ id }: { id: string }, { house: open, io, json }: Context): Promise<ExitCode> {
  const { keys, settings } = await open()
  const found = (await keys.list(settings.tenantId)).find((each) => each.id === id)
  // What was typed is not repeated: it may be a key.
  if (!found) throw new UsageError('There is no key with this id: `openbell keys list` shows the ids.')
  const already = found.revokedAt !== undefined
  if (!already) await keys.revoke(settings.tenantId, id)
  if (json) printJson(io, { revoked: id, already })
  else io.out(`Key ${id} (${found.label}) ${already ? 'was revoked already' : 'is revoked'}.`)
  return 0
}

function documentOf({ id, label, scopes, createdAt, revokedAt }: ApiKey): object {
  return {
    id,
    label,
    scopes,
    createdAt: iso(createdAt),
    ...(revokedAt === undefined ? {} : { revokedAt: iso(revokedAt) }),
  }
}
