/** From a command line to an exit code: finds the command, loads only that one, runs it, says what went wrong. */

import { Command, CommanderError } from 'commander'
import { type Context, type ListedCommand, type Run, UsageError } from './command.ts'
import { exitCodeOf, printFailure } from './failure.ts'
import { nearest } from './nearest.ts'

/** What a newcomer needs, in the order of need. Those that are in the list come first in the help. */
const firstVerbs = ['setup', 'status', 'login', 'plan', 'drill', 'doctor']

export interface Program {
  commands: readonly ListedCommand[]
  version: string
  /** `argv` without node and script. */
  argv: readonly string[]
  open(options: { json: boolean }): Context & { close(): Promise<void> }
}

export async function runProgram({ commands, version, argv, open }: Program): Promise<number> {
  const own = ownWords(argv)
  const json = own.includes('--json')
  const context = open({ json })
  try {
    refuseSecrets(own)
    return await dispatch(commands, version, argv, context)
  } catch (error) {
    const told = error instanceof CommanderError ? usageError(error, own, commands) : error
    if (told === undefined) return 0
    printFailure(told, context.io, json)
    return exitCodeOf(told)
  } finally {
    await context.close()
  }
}

/** What follows `--` are the words of another program. */
function ownWords(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end === -1 ? argv : argv.slice(0, end)
}

async function dispatch(
  commands: readonly ListedCommand[],
  version: string,
  argv: readonly string[],
  context: Context,
): Promise<number> {
  let exitCode = 0
  const run: Run = async (work) => {
    exitCode = await work(context)
  }
  const words = ownWords(argv).filter((word) => !word.startsWith('-'))
  const wanted = words[0] === 'help' ? words[1] : words[0]

  const program = rootCommand(version, context)
  const inOrder = [...commands].sort((a, b) => rank(a.name) - rank(b.name))
  for (const { name, summary, hidden, load } of inOrder) {
    const command = program.command(name, { hidden: hidden === true }).description(summary)
    command.helpGroup(firstVerbs.includes(name) ? 'Start here:' : 'Then:')
    if (name === wanted) (await load()).configure(command, run)
  }
  if (words.length === 0) program.action(() => program.outputHelp())
  await program.parseAsync(argv, { from: 'user' })
  return exitCode
}

function rank(name: string): number {
  const place = firstVerbs.indexOf(name)
  return place === -1 ? firstVerbs.length : place
}

function rootCommand(version: string, { io }: Context): Command {
  const width = Math.min(io.width, 100)
  return new Command('openbell')
    .description(
      'Keeps trading-broker sessions alive: before the bell, every account has a token the broker accepts.',
    )
    .usage('<command> [options]')
    .version(version, '-V, --version', 'Show the version.')
    .helpOption('-h, --help', 'Show this help.')
    .commandsGroup('Then:')
    .helpCommand('help [command]', 'Show the help of a command.')
    .option('--json', 'Print one JSON document on stdout; a failure is one on stderr.')
    .addHelpText(
      'after',
      `
Exit codes: 0 ok, 1 failed, 2 wrong input, 3 a person must log in,
130 stopped at a prompt. \`run\` ends with the code of its program.
With --json a failure is the last line of stderr,
{"error":{"code","message","field"?}}; the exit codes stay.
Secrets are typed at a hidden prompt or piped in (--secrets -, --code -), never
given as options.

Example:
  openbell setup`,
    )
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      // Said once, by us, in one form.
      writeErr: () => undefined,
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
      getOutHasColors: () => io.colour,
    })
    .exitOverride()
}

/** Undefined when nothing is wrong: help or version was shown. */
function usageError(
  error: CommanderError,
  argv: readonly string[],
  commands: readonly ListedCommand[],
): UsageError | undefined {
  if (error.exitCode === 0) return undefined
  const [name = '', second] = argv.filter((word) => !word.startsWith('-'))
  const help = `See \`openbell ${commands.some((each) => each.name === name) ? `${name} ` : ''}--help\`.`
  switch (error.code) {
    case 'commander.unknownCommand': {
      const visible = commands.filter(({ hidden }) => !hidden).map((each) => each.name)
      if (commands.some((each) => each.name === name)) {
        const meant = /Did you mean ([\w-]+)\?/.exec(error.message)?.[1]
        const mend = meant === undefined ? help : `Did you mean \`openbell ${name} ${meant}\`?`
        return new UsageError(`\`openbell ${name}\` has no command "${second ?? ''}". ${mend}`)
      }
      const near = nearest(name, visible)
      return new UsageError(
        `There is no command "${name}". ${near === undefined ? help : `Did you mean \`openbell ${near}\`?`}`,
      )
    }
    // Commander quotes the arguments here, and a pasted code is one of them.
    case 'commander.excessArguments':
      return new UsageError(`\`openbell ${name}\` takes fewer arguments. ${help}`)
    case 'commander.help':
      return new UsageError(`\`openbell ${name}\` needs to know what to do. ${help}`)
    default: {
      const said = error.message
        .replace(/^error: /, '')
        .replace(/\s*\n\(?/g, '. ')
        .replace(/\)$/, '')
        // What follows the sign may be a secret.
        .replace(/'(--?[^'=]+)=[^']*'/, "'$1'")
        .replace(/\.$/, '')
      return new UsageError(
        `${said.charAt(0).toUpperCase()}${said.slice(1)}${/\?$/.test(said) ? '' : '.'} ${help}`,
      )
    }
  }
}

const secretWords = new Set([
  'secret',
  'password',
  'passwd',
  'passphrase',
  'token',
  'pin',
  'totp',
  'otp',
  'key',
])

/** Before anything is parsed, so that no message can quote the value. */
function refuseSecrets(argv: readonly string[]): void {
  for (const word of argv) {
    const name = /^--([^=]+)/.exec(word)?.[1]
    if (name === undefined) continue
    const parts = name
      .replace(/([a-z])([A-Z])/g, '$1-$2')
      .toLowerCase()
      .split(/[-_]/)
    if (!parts.some((part) => secretWords.has(part))) continue
    throw new UsageError(
      `--${name} is not taken: other users of this machine can read a command line, and the shell's history ` +
        'keeps it. Leave it out and type it when asked, or pipe it in with `--secrets -`.',
    )
  }
}
