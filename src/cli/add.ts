/** `openbell add`: an account at a broker. Nothing is stored before every field has the right shape. */

import type { Command } from 'commander'
import type { House } from '../compose/house.ts'
import { OpenbellError } from '../core/errors.ts'
import type { AccountStatus, BrokerInfo } from '../core/keeper.ts'
import type { Environment } from '../core/model.ts'
import { findBroker } from './accounts.ts'
import {
  type Context,
  type ExitCode,
  Interrupted,
  type Io,
  printJson,
  type Run,
  UsageError,
} from './command.ts'
import { askCredentials, isFromStdin, readCredentials } from './credentials.ts'
import { logIn } from './login.ts'
import { suggestion } from './nearest.ts'
import { statusDocument } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export interface AddInput {
  broker: string
  name?: string | undefined
  environment?: string
  origin?: readonly string[]
  redirect?: string
  label?: string
  destination?: readonly string[]
  secrets?: string
}

export function configure(command: Command, run: Run): void {
  const collect = (value: string, before: readonly string[] = []) => [...before, value]
  command
    .argument('<broker>', 'fyers, upstox, kite or tastytrade')
    .argument('[name]', 'what you call the account (default: <broker>-main)')
    .option('--environment <which>', 'live, sandbox or simulator', 'live')
    .option('--origin <role=url>', 'only for simulator: where it listens; once per role', collect)
    .option('--redirect <url>', 'where the broker sends the browser, exactly as registered there')
    .option('--label <text>', 'the name shown to people')
    .option('--destination <id>', 'where programs read its token; may be given again', collect)
    .option('--secrets <->', 'read the credentials from stdin: KEY=VALUE lines or one JSON object')
    .addHelpText(
      'after',
      afterHelp(
        'openbell add kite',
        'Credentials are typed at a prompt or piped in; both are checked before anything is stored.',
      ),
    )
    .action((broker: string, name: string | undefined, options: Omit<AddInput, 'broker' | 'name'>) =>
      run((context) => add({ broker, name, ...options }, context)),
    )
}

export async function add(input: AddInput, context: Context): Promise<ExitCode> {
  const { io, json } = context
  const { status, redirectUri } = await addAccount(input, context)
  const { accountId } = status.ref
  if (json) {
    printJson(io, statusDocument(status))
    return 0
  }
  io.out(`${accountId} is saved.`)
  if (redirectUri !== undefined && status.environment !== 'simulator') {
    io.out(`Its redirect URI is ${redirectUri}; your app at ${status.brokerName} must have exactly this one.`)
  }
  try {
    if (io.canAsk && !input.secrets && (await io.confirm('Log in now?'))) {
      return await logIn(status, {}, context)
    }
  } catch (error) {
    if (error instanceof Interrupted) throw stopped(accountId)
    throw error
  }
  io.out(`Log in with \`openbell login ${accountId}\`.`)
  return 0
}

function stopped(accountId: string): Interrupted {
  return new Interrupted(`Stopped: ${accountId} stays saved; \`openbell login ${accountId}\` goes on.`)
}

/** Asks for what is missing where somebody can answer, checks, saves. */
export async function addAccount(
  input: AddInput,
  { house: open, io }: Context,
): Promise<{ status: AccountStatus; redirectUri: string | undefined }> {
  const fromStdin = isFromStdin(input.secrets, 'secrets')
  if (input.redirect !== undefined) checkRedirect(input.redirect)
  const house = await open()
  const info = findBroker(house, input.broker)
  const environment = readEnvironment(info, input.environment ?? 'live')
  const origins = readOrigins(input.origin ?? [], environment, info)
  if (!fromStdin && !io.canAsk) {
    const names = Object.keys(info.credentials).join(', ')
    throw new UsageError(
      `Nobody can be asked here: pipe ${names} in, \`openbell add ${info.id} --secrets - < file\`.`,
    )
  }

  const taken = (await house.keeper.status(house.settings.tenantId)).map(({ ref }) => ref.accountId)
  const name = input.name ?? (await askName(info, taken, fromStdin, io))
  // Before anybody types a secret in vain.
  if (taken.includes(name)) throw nameTaken(name)

  const credentials = fromStdin ? readCredentials(info, await io.readStdin()) : await askCredentials(info, io)
  const redirectUri =
    info.login === 'redirect'
      ? (input.redirect ?? (await askRedirect(info, house, environment, fromStdin, io)))
      : undefined

  const status = await house.keeper.addAccount({
    ref: { tenantId: house.settings.tenantId, accountId: name },
    brokerId: info.id,
    environment,
    credentials,
    ...(input.label === undefined ? {} : { label: input.label }),
    ...(redirectUri === undefined ? {} : { redirectUri }),
    ...(origins === undefined ? {} : { origins }),
    ...(input.destination === undefined ? {} : { destinations: input.destination }),
  })
  return { status, redirectUri }
}

async function askName(info: BrokerInfo, taken: readonly string[], quiet: boolean, io: Io): Promise<string> {
  const usual = `${info.id}-main`
  if (quiet) return usual
  return io.ask('What do you call this account?', {
    default: taken.includes(usual) ? undefined : usual,
    validate: (value) => {
      if (value === '') return 'Type a name, for example kite-wife.'
      return taken.includes(value) ? nameTaken(value).message : undefined
    },
  })
}

function nameTaken(name: string): OpenbellError {
  return new OpenbellError('name-taken', `There is an account "${name}" already: choose another name.`, {
    field: 'name',
  })
}

async function askRedirect(
  info: BrokerInfo,
  house: House,
  environment: Environment,
  quiet: boolean,
  io: Io,
): Promise<string> {
  const usual = `http://127.0.0.1:${house.settings.port}/callback`
  // A simulated broker takes any redirect: nothing is registered anywhere.
  if (environment === 'simulator' || quiet) return usual
  io.err(
    `After a login ${info.name} sends the browser to the redirect URI. It must equal the one in your app there.`,
  )
  return io.ask('Redirect URI', {
    default: usual,
    validate: (value) => redirectProblem(value),
  })
}

/** Throws `invalid-field`. */
export function checkRedirect(value: string): void {
  const problem = redirectProblem(value)
  if (problem !== undefined)
    throw new OpenbellError('invalid-field', `redirect: ${problem}`, { field: 'redirect' })
}

function redirectProblem(value: string): string | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url && /^https?:$/.test(url.protocol)) return undefined
  return 'It must be a whole http:// or https:// address, exactly as registered at the broker.'
}

function readEnvironment(info: BrokerInfo, wanted: string): Environment {
  const found = info.environments.find((each) => each === wanted)
  if (found !== undefined) return found
  throw new OpenbellError(
    'invalid-field',
    `environment: ${info.name} has no "${wanted}".${suggestion(wanted, info.environments, 'It has')}`,
    { field: 'environment' },
  )
}

function readOrigins(
  pairs: readonly string[],
  environment: Environment,
  { originRoles }: BrokerInfo,
): Readonly<Record<string, string>> | undefined {
  const invalid = (message: string) => new OpenbellError('invalid-field', message, { field: 'origin' })
  if (environment !== 'simulator') {
    if (pairs.length === 0) return undefined
    throw invalid(`origin: only a simulator has one; add --environment simulator or leave it out.`)
  }
  const origins: Record<string, string> = {}
  for (const pair of pairs) {
    const [, role, url] = /^([a-z][\w-]*)=(.+)$/i.exec(pair) ?? []
    if (role === undefined || url === undefined || !URL.canParse(url)) {
      throw invalid(`origin: "${pair}" is not role=url, for example api=http://127.0.0.1:8181.`)
    }
    if (!originRoles.includes(role))
      throw invalid(`origin: there is no role "${role}".${suggestion(role, originRoles, 'There are')}`)
    origins[role] = url
  }
  const missing = originRoles.find((role) => !Object.hasOwn(origins, role))
  if (missing !== undefined)
    throw invalid(`origin: the role ${missing} is missing: add --origin ${missing}=http://127.0.0.1:….`)
  return origins
}
