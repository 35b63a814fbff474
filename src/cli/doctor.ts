/** `openbell doctor`: what is wrong, or will be, with the mend. */

import type { Command } from 'commander'
import { isOpenbellError } from '../core/errors.ts'
import type { Check } from './checks/check.ts'
import { checkHome } from './checks/files.ts'
import { checkAccounts, checkClocks, checkDestinations, checkService } from './checks/house.ts'
import { checkKeyBackup, checkNode, checkReboot, usualStartPlaces } from './checks/machine.ts'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { afterHelp, paint, type Tone, wrap } from './text-layout.ts'

export function configure(command: Command, run: Run): void {
  command
    .addHelpText(
      'after',
      afterHelp(
        'openbell doctor',
        'Asks each broker once whether it still accepts the token, listens for a moment at each redirect URI, and reads every destination back; a token that is missing there is delivered. Settings stay as they are.',
        'Exit codes: 1 when something fails, else 3 when a person must log in, else 0.',
      ),
    )
    .action(() => run(doctor))
}

export async function doctor(context: Context): Promise<ExitCode> {
  const { io, json } = context
  const checks = await examine(context)
  if (json) printJson(io, { checks })
  else io.out(checks.map((check) => line(check, io.width, io.colour)).join('\n'))
  const count = (result: Check['result']) => checks.filter((check) => check.result === result).length
  if (!json) io.out(`\n${count('ok')} ok, ${count('warn')} warn, ${count('fail')} fail.`)
  if (count('fail') > 0) return 1
  return checks.some(({ needsLogin }) => needsLogin) ? 3 : 0
}

/** Goes on as far as it can: a vault that stays shut hides the rest, and that is then what it says. */
async function examine({ settings: readSettings, house: open, io }: Context): Promise<Check[]> {
  const checks: Check[] = [checkNode(process.versions.node)]
  try {
    const settings = await readSettings()
    checks.push(...(await checkHome(settings)))
    const house = await open()
    checks.push({ about: 'vault', result: 'ok', message: 'opens with this key' })
    checks.push(await checkService(house))
    checks.push(...(await checkAccounts(house, io)))
    checks.push(...checkClocks(house))
    checks.push(...(await checkDestinations(house)))
    checks.push(await checkReboot(usualStartPlaces(process.platform)), checkKeyBackup(settings))
  } catch (error) {
    if (!isOpenbellError(error)) throw error
    checks.push({ about: error.code, result: 'fail', message: error.message })
  }
  return checks
}

const tones: Readonly<Record<Check['result'], Tone>> = {
  ok: 'good',
  warn: 'doubtful',
  fail: 'bad',
  note: 'quiet',
}

function line({ about, result, message, mend }: Check, width: number, colour: boolean): string {
  const indent = ' '.repeat(6)
  const text = wrap(`${about}: ${message}`, width, indent).slice(indent.length)
  const first = `${paint(result.padEnd(4), tones[result], colour)}  ${text}`
  return mend === undefined ? first : `${first}\n${wrap(`mend: ${mend}`, width, indent)}`
}
