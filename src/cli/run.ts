/** `openbell run`: a program with the account's token in its environment, for as long as the program runs. */

import { constants } from 'node:os'
import type { Command } from 'commander'
import type { House } from '../compose/house.ts'
import { isOpenbellError } from '../core/errors.ts'
import type { AccountStatus } from '../core/keeper.ts'
import type { Secret } from '../core/secret.ts'
import { zonedTime } from '../core/spoken-time.ts'
import { hourMs, secondMs } from '../core/time.ts'
import { findAccount, findBroker, waitsForPerson } from './accounts.ts'
import { type Context, type Io, type Program, type Run, UsageError, type Variables } from './command.ts'
import { nearest } from './nearest.ts'
import { stateOf, zoneOf } from './status-view.ts'
import { afterHelp } from './text-layout.ts'
import { sessionVariables } from './variables.ts'

export interface RunInput {
  account: string
  command: readonly string[]
  wait?: boolean
  signal?: string
  restart?: boolean
}

/** A token that ends sooner would be stale in an environment before long: the program asks for it instead. */
const worthHandingOverMs = hourMs
/** After that a program that was told to end is made to. */
const graceMs = 10 * secondMs
/** Not every store tells of changes by other processes. */
const lookEveryMs = 5 * secondMs

export function configure(command: Command, run: Run): void {
  command
    .argument('<account>')
    .argument('[command...]', 'after `--`: the program and its arguments')
    .option('--wait', 'start it only when the account is live')
    .option('--signal <name>', 'send it this signal when there is a new token')
    .option('--restart', 'when there is a new token, end it and start it anew')
    .addHelpText(
      'after',
      afterHelp(
        'openbell run kite-main --wait -- python bot.py',
        'The program finds OPENBELL_URL and OPENBELL_KEY: a key to read status and tokens, made for this run and revoked when it ends. A token that lives for more than an hour, and the app key, are there as well under the names usual at the broker; never a secret, a PIN, a refresh token or the key of the vault.',
        '--restart sends SIGTERM, and SIGKILL after 10 s. SIGINT, SIGTERM and SIGHUP are passed on. Ends with the exit code of the program, or 128 and the number of the signal that ended it.',
        'Where no service runs, this command keeps the accounts alive meanwhile, but nothing answers at OPENBELL_URL.',
      ),
    )
    .action((account: string, words: readonly string[], options: Omit<RunInput, 'account' | 'command'>) =>
      run((context) => runCommand({ account, command: words, ...options }, context)),
    )
}

export async function runCommand(input: RunInput, context: Context): Promise<number> {
  const signal = readSignal(input)
  const [name] = input.command
  if (name === undefined) {
    throw new UsageError(
      `Name the program after \`--\`, for example \`openbell run ${input.account} -- python bot.py\`.`,
    )
  }
  const house = await context.house()
  const account = await findAccount(house, input.account)
  const tell = (sentence: string) => {
    if (!context.json) context.io.err(`openbell: ${sentence}`)
  }
  if (!(await house.serviceIsUp())) {
    tell(`no service runs, so nothing answers at ${urlOf(house)}; \`openbell up\` starts it.`)
    await house.keeper.start()
  }

  const supervisor = new Supervisor(house, context.io, account, tell)
  try {
    if (input.wait) await supervisor.untilLive()
    return await supervisor.supervise(input.command, { signal, restart: input.restart === true })
  } finally {
    await supervisor.close()
  }
}

class Supervisor {
  readonly #house: House
  readonly #io: Io
  readonly #account: AccountStatus
  readonly #tell: (sentence: string) => void
  readonly #unlisten: () => void
  readonly #unwatch: () => void
  #child: Program | undefined
  /** The first signal by which we were told to end. */
  readonly #told = new AbortController()
  #toldBy: NodeJS.Signals | undefined
  /** Something has changed since we last looked. */
  #changed = false
  #wake = new AbortController()
  #key: { key: Secret; id: string } | undefined

  constructor(house: House, io: Io, account: AccountStatus, tell: (sentence: string) => void) {
    this.#house = house
    this.#io = io
    this.#account = account
    this.#tell = tell
    this.#unlisten = io.onSignal((signal, sentToAll) => {
      // From the keyboard it has it already, and a second Ctrl-C means something else to many programs.
      if (!sentToAll) this.#child?.kill(signal)
      this.#toldBy ??= signal
      this.#told.abort()
    })
    this.#unwatch = house.keeper.onChange(() => {
      this.#changed = true
      this.#wake.abort()
    })
  }

  async close(): Promise<void> {
    this.#unwatch()
    this.#unlisten()
    if (this.#key) await this.#house.keys.revoke(this.#house.settings.tenantId, this.#key.id)
  }

  /** Says what it waits for, once for each thing. */
  async untilLive(): Promise<void> {
    let said = ''
    while (!this.#told.signal.aborted) {
      const status = await this.#look()
      if (status.token === 'live') return
      const sentence = waitingFor(status)
      if (sentence !== said) this.#tell(sentence)
      said = sentence
      await this.#nextChange(this.#told.signal)
    }
  }

  /** Until the program ends, or the last one that was started in its place. */
  async supervise(
    command: readonly string[],
    { signal, restart }: { signal: NodeJS.Signals | undefined; restart: boolean },
  ): Promise<number> {
    if (this.#toldBy !== undefined) return exitCodeBy(this.#toldBy)
    let { generation, variables } = await this.#variables(command)
    for (;;) {
      const child = await this.#start(command, variables)
      if (!restart && !signal) return child.ended
      const over = new AbortController()
      const ended = child.ended.finally(() => over.abort())
      for (;;) {
        const next = await this.#newerThan(generation, over.signal)
        if (next === undefined) return ended
        if (restart) {
          if (this.#toldBy !== undefined) return ended
          const renewed = await this.#variables(command).catch(this.#cannotHandOver)
          if (!renewed) continue
          ;({ generation, variables } = renewed)
          this.#tell(`there is token number ${generation}; starting ${command[0]} anew.`)
          const exitCode = await this.#end(child)
          // Told to end meanwhile: then it is over.
          if (this.#toldBy !== undefined) return exitCode
          break
        }
        generation = next
        if (signal) child.kill(signal)
      }
    }
  }

  readonly #cannotHandOver = (error: unknown): undefined => {
    // The program still has a token; a later change is tried again.
    if (!isOpenbellError(error)) throw error
    return undefined
  }

  async #start(command: readonly string[], variables: Variables): Promise<Program> {
    const child = await this.#io.start(command, variables)
    this.#child = child
    // A signal that came while it was being started had nobody to go to.
    if (this.#toldBy !== undefined) child.kill(this.#toldBy)
    return child
  }

  async #end(child: Program): Promise<number> {
    child.kill('SIGTERM')
    const over = new AbortController()
    const slow = this.#io.sleep(graceMs, over.signal).then(() => {
      if (!over.signal.aborted) child.kill('SIGKILL')
    })
    const exitCode = await child.ended
    over.abort()
    await slow
    return exitCode
  }

  /** Undefined once `over`. */
  async #newerThan(generation: number, over: AbortSignal): Promise<number | undefined> {
    while (!over.aborted) {
      await this.#nextChange(over)
      if (over.aborted) return undefined
      const status = await this.#look().catch(() => undefined)
      // It may fall again, when the broker refuses what it has just issued.
      if (status && status.generation !== generation) return status.generation
    }
    return undefined
  }

  async #nextChange(over: AbortSignal): Promise<void> {
    if (!this.#changed) {
      this.#wake = new AbortController()
      await this.#io.sleep(lookEveryMs, AbortSignal.any([over, this.#wake.signal]))
    }
    this.#changed = false
  }

  #look(): Promise<AccountStatus> {
    return this.#house.keeper.statusOf(this.#account.ref)
  }

  async #variables(command: readonly string[]): Promise<{ generation: number; variables: Variables }> {
    const { keeper } = this.#house
    const session = await keeper.token(this.#account.ref)
    const info = findBroker(this.#house, this.#account.brokerId)
    const lives = session.expiry.at - this.#io.now()
    const lasts = lives > worthHandingOverMs
    if (!lasts) {
      const until = zonedTime(session.expiry.at, this.#io.now(), zoneOf(this.#account, keeper, this.#io))
      this.#tell(
        `the token ends at ${until}, too soon to hand it over: the program asks OPENBELL_URL for it.`,
      )
    }
    return {
      generation: session.generation,
      variables: {
        // Ours alone.
        OPENBELL_VAULT_KEY: undefined,
        // What an earlier day left there would be taken for today's.
        [info.env.accessToken]: undefined,
        ...(lasts ? sessionVariables(info, session) : {}),
        OPENBELL_URL: urlOf(this.#house),
        OPENBELL_KEY: (await this.#keyFor(command)).key,
      },
    }
  }

  /** One for the run. Its label names the program alone: an argument may be a secret. */
  async #keyFor([name = '']: readonly string[]): Promise<{ key: Secret }> {
    if (!this.#key) {
      const { key, record } = await this.#house.keys.create({
        tenantId: this.#house.settings.tenantId,
        label: `run ${this.#account.ref.accountId}: ${name}`,
        scopes: ['status:read', 'token:read'],
      })
      this.#key = { key, id: record.id }
    }
    return this.#key
  }
}

function waitingFor(status: AccountStatus): string {
  const { accountId } = status.ref
  const { problem, state } = status.work
  if (state === 'paused') return `waiting: ${accountId} is paused; \`openbell resume ${accountId}\` goes on.`
  if (problem) return `waiting: ${problem.message}`
  if (waitsForPerson(status)) {
    return `waiting for a person: \`openbell login ${accountId}\`.`
  }
  return `waiting until ${accountId} is live; its token: ${stateOf(status)}.`
}

/** `hup`, `HUP` and `SIGHUP` are one. */
function readSignal({ signal: wanted, restart }: RunInput): NodeJS.Signals | undefined {
  if (wanted === undefined) return undefined
  if (restart) throw new UsageError('--signal and --restart exclude each other: choose one.')
  const known = Object.keys(constants.signals) as NodeJS.Signals[]
  const name = `SIG${wanted.toUpperCase().replace(/^SIG/, '')}`
  const found = known.find((each) => each === name)
  if (found !== undefined) return found
  const near = nearest(name, known)
  throw new UsageError(
    `There is no signal "${wanted}".${near === undefined ? ' For example: --signal HUP.' : ` Did you mean "${near}"?`}`,
  )
}

function exitCodeBy(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

function urlOf({ settings: { host, port } }: House): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
