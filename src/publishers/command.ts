/**
 * A program of the operator's, for every place that has no kind of its own. It gets one JSON document on stdin, whose `action`
 * is `write`, `withdraw` or `read`, and ends with 0 when that is done.
 */

import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { OpenbellError } from '../core/errors.ts'
import { maybeText } from '../core/json.ts'
import type { Destination } from '../core/model.ts'
import type { Publisher, Release } from '../core/publisher.ts'
import { Secret } from '../core/secret.ts'
import { runCommand } from './command/run.ts'
import { flag, invalid, refuseUnknown } from './file/settings.ts'
import { documentOf } from './release/document.ts'

export const command: Publisher = {
  kind: 'command',
  settings: {
    command: {
      label: 'Command',
      help: 'The absolute path of a program and its arguments as a JSON array of strings, like ["/srv/bot/take-token"].',
    },
    readBack: {
      label: 'Reads back',
      optional: true,
      help: 'true if the program answers {"action":"read"} with {"access_token": …}. Openbell calls a token delivered only after reading it back.',
    },
  },
  needs: ['accessToken', 'appKey', 'expiry'],

  async check(destination) {
    const [program] = placeOf(destination).argv
    try {
      if (!(await stat(program)).isFile()) throw notRunnable(program)
      await access(program, constants.X_OK)
    } catch (error) {
      throw error instanceof OpenbellError ? error : notRunnable(program, error)
    }
  },

  resource(destination) {
    return `command:${JSON.stringify(placeOf(destination).argv)}`
  },

  /** Each document names its account, so that one program may serve several. */
  places() {
    return []
  },

  async write(destination, release) {
    await runCommand(placeOf(destination).argv, { action: 'write', ...documentOf(release) })
  },

  acknowledges: (destination) => !placeOf(destination).readsBack,

  async readBack(destination, release) {
    const { argv, readsBack } = placeOf(destination)
    if (!readsBack) return undefined
    const token = maybeText(await runCommand(argv, { action: 'read', ...addressOf(release) }), 'access_token')
    return token === undefined ? undefined : new Secret(token)
  },

  async withdraw(destination, release) {
    await runCommand(placeOf(destination).argv, { action: 'withdraw', ...addressOf(release) })
  },
}

function addressOf({ ref, slot }: Pick<Release, 'ref' | 'slot'>) {
  return { account: ref.accountId, slot }
}

function placeOf(destination: Destination): { argv: readonly [string, ...string[]]; readsBack: boolean } {
  refuseUnknown(destination, command.settings)
  return { argv: argvOf(destination), readsBack: flag(destination, 'readBack') }
}

function argvOf({ id, settings }: Destination): readonly [string, ...string[]] {
  const [program, ...args] = listOf(settings.command ?? '')
  const parts = [program, ...args]
  if (typeof program === 'string' && isAbsolute(program) && parts.every(isArgument)) {
    return [program, ...(args as string[])]
  }
  throw invalid(
    'command',
    `command of destination ${id} must be a JSON array of strings that begins with an absolute path, like ["/srv/bot/take-token"].`,
  )
}

function listOf(json: string): unknown[] {
  try {
    const list: unknown = JSON.parse(json)
    return Array.isArray(list) ? list : []
  } catch {
    return []
  }
}

function isArgument(part: unknown): boolean {
  return typeof part === 'string' && !part.includes('\0')
}

function notRunnable(program: string, cause?: unknown): OpenbellError {
  return new OpenbellError(
    'destination-unwritable',
    `${program} is no program that this user may run: correct the path, or run chmod +x on it.`,
    { cause },
  )
}
