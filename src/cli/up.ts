/** `openbell up`: the service, in the foreground. */

import type { Command } from 'commander'
import { OpenbellError } from '../core/errors.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { renderStatuses, statusDocument } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export function configure(command: Command, run: Run): void {
  command
    .addHelpText(
      'after',
      afterHelp(
        'openbell up',
        'Stops cleanly on Ctrl-C or SIGTERM: what is under way is recorded first; a second signal ends it at once. With --json one document is printed as soon as it serves.',
      ),
    )
    .action(() => run(up))
}

export async function up({ house: open, io, json }: Context): Promise<ExitCode> {
  const stopped = io.untilStopped()
  const house = await open()
  const { keeper, settings } = house
  if (await house.serviceIsUp()) throw alreadyUp(settings.host, settings.port)
  const server = await house.serve().catch((error: unknown) => {
    throw isTaken(error) ? portTaken(settings.host, settings.port, error) : error
  })
  try {
    await keeper.start()
    const statuses = await keeper.status(settings.tenantId)
    if (json) {
      printJson(io, { url: server.url, keyFile: settings.apiKeyPath, accounts: statuses.map(statusDocument) })
    } else {
      io.out(`Openbell serves at ${server.url}.`)
      io.out(`Programs of this user find their key in ${settings.apiKeyPath}.\n`)
      io.out(
        statuses.length === 0
          ? 'There is no account yet: `openbell setup`, in another terminal.'
          : renderStatuses(statuses, keeper, io),
      )
      io.err('\nCtrl-C stops it.')
    }
    await stopped
    if (!json) io.err('Stopping …')
  } finally {
    await server.close()
    await keeper.stop()
  }
  return 0
}

function alreadyUp(host: string, port: number): OpenbellError {
  return new OpenbellError(
    'vault-busy',
    `Another \`openbell up\` keeps this vault already (http://${host}:${port}): use that one, or stop it first.`,
  )
}

function portTaken(host: string, port: number, cause: unknown): OpenbellError {
  return new OpenbellError(
    'invalid-config',
    `Port ${port} on ${host} is taken by another program: stop that one, or set OPENBELL_PORT to a free port.`,
    { field: 'OPENBELL_PORT', cause },
  )
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
