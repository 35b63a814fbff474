/** `openbell login`: gets a person through the broker's login, by whichever way ends first. */

import type { Command } from 'commander'
import type { House, LoginListener } from '../compose/house.ts'
import { isOpenbellError, OpenbellError } from '../core/errors.ts'
import type { AccountStatus, BegunLogin, BrokerInfo, FinishLogin, LoginResult } from '../core/keeper.ts'
import { Secret } from '../core/secret.ts'
import { zonedTime } from '../core/spoken-time.ts'
import { findAccount, findBroker, waitsForPerson } from './accounts.ts'
import {
  type Context,
  type ExitCode,
  Interrupted,
  type Io,
  printJson,
  type Run,
  UsageError,
} from './command.ts'
import { isFromStdin, shapeProblem } from './credentials.ts'
import { outcomeSentence, statusDocument, zoneOf } from './status-view.ts'
import { afterHelp } from './text-layout.ts'

export interface LoginInput extends LoginOptions {
  account?: string | undefined
  code?: string
}

export interface LoginOptions {
  replace?: boolean
  browser?: boolean
}

export function configure(command: Command, run: Run): void {
  command
    .argument('[account]', 'default: every account that waits, one after the other')
    .option('--replace', 'log in although the present token is still good')
    .option('--no-browser', 'only print the address')
    .option('--code <->', 'read the code, the address you ended on, or the grant from stdin')
    .addHelpText(
      'after',
      afterHelp(
        'openbell login kite-main',
        "Openbell opens the broker's page and waits at the account's redirect URI. Where the browser cannot come back (another machine, a phone), paste the address it ended on. A link is good for about ten minutes.",
      ),
    )
    .action((account: string | undefined, options: Omit<LoginInput, 'account'>) =>
      run((context) => login({ account, ...options }, context)),
    )
}

export async function login(input: LoginInput, context: Context): Promise<ExitCode> {
  const { house: open, io } = context
  const fromStdin = isFromStdin(input.code, 'code')
  const house = await open()
  if (fromStdin) {
    if (input.account === undefined) throw new UsageError('Name the account that the code belongs to.')
    return finishFromStdin(await findAccount(house, input.account), input, context)
  }
  if (input.account !== undefined) return logIn(await findAccount(house, input.account), input, context)

  const waiting = (await house.keeper.status(house.settings.tenantId)).filter(waitsForPerson)
  if (waiting.length === 0) {
    if (context.json) printJson(io, { accounts: [] })
    else io.out('Nobody needs to log in.')
    return 0
  }
  if (waiting.length > 1 && context.json) {
    throw new UsageError('Several accounts wait; name one of them, since --json prints one document.')
  }
  for (const status of waiting) await logIn(status, input, context)
  return 0
}

/** One account, from the address to the sentence about the result. */
export async function logIn(
  status: AccountStatus,
  options: LoginOptions,
  context: Context,
): Promise<ExitCode> {
  const house = await context.house()
  const begun = await house.keeper.beginLogin(status.ref, { replace: options.replace === true })
  const attempt: Attempt = { house, io: context.io, status, begun, replace: options.replace === true }
  try {
    const result =
      begun.kind === 'redirect'
        ? await throughBrowser(attempt, begun, options.browser !== false)
        : await throughGrant(attempt, begun)
    return report(result, house, context)
  } catch (error) {
    if (error instanceof Interrupted)
      throw new Interrupted(`Stopped: ${status.ref.accountId} was not logged in.`)
    throw error
  }
}

interface Attempt {
  house: House
  io: Io
  status: AccountStatus
  begun: BegunLogin
  replace: boolean
}

function report({ status, exchanged }: LoginResult, { keeper }: House, { io, json }: Context): ExitCode {
  if (json) {
    printJson(io, { ...statusDocument(status), exchanged })
  } else {
    io.out(outcomeSentence(status, keeper, io, { already: !exchanged }))
    if (!exchanged) io.out('Nothing was exchanged; `--replace` logs in all the same.')
  }
  return waitsForPerson(status) ? 3 : 0
}

async function finishFromStdin(
  status: AccountStatus,
  { replace }: LoginOptions,
  context: Context,
): Promise<ExitCode> {
  const house = await context.house()
  const pasted = (await context.io.readStdin()).trim()
  if (pasted === '')
    throw new OpenbellError('invalid-field', 'code: stdin was empty: pipe the code in.', { field: 'code' })
  const info = findBroker(house, status.brokerId)
  return report(
    await house.keeper.finishLogin(readPasted(pasted, status, info, replace === true)),
    house,
    context,
  )
}

/** A redirect's address or a bare code; a grant is never taken apart. */
export function readPasted(
  pasted: string,
  { ref }: AccountStatus,
  { login: kind }: Pick<BrokerInfo, 'login'>,
  replace: boolean,
): FinishLogin {
  const query = kind === 'redirect' ? queryOf(pasted) : undefined
  if (query) return { query, ref, by: 'signed-in', replace }
  return { code: new Secret(pasted), ref, by: 'signed-in', replace }
}

function queryOf(pasted: string): URLSearchParams | undefined {
  const mark = pasted.indexOf('?')
  if (mark !== -1) return new URLSearchParams(pasted.slice(mark + 1).split('#')[0])
  if (URL.canParse(pasted) && pasted.includes('://')) return new URLSearchParams()
  // A query copied without its address; `abc==` is a code.
  return /^[a-z_]+=[^=]/i.test(pasted) ? new URLSearchParams(pasted) : undefined
}

async function throughGrant(
  { house, io, status, replace }: Attempt,
  { steps, field }: Extract<BegunLogin, { kind: 'paste-grant' }>,
): Promise<LoginResult> {
  steps.forEach((step, index) => {
    io.err(`${index + 1}. ${step}`)
  })
  if (!io.canAsk) {
    throw new OpenbellError(
      'login-needed',
      `Nobody can be asked here: pipe it in, \`openbell login ${status.ref.accountId} --code - < file\`.`,
    )
  }
  const code = await io.askSecret(field.label, { validate: (value) => shapeProblem(field, value) })
  return house.keeper.finishLogin({ code, ref: status.ref, by: 'signed-in', replace })
}

/** The redirect, the pasted address and the running service race; whichever brings the login ends the others. */
async function throughBrowser(
  attempt: Attempt,
  begun: Extract<BegunLogin, { kind: 'redirect' }>,
  mayOpen: boolean,
): Promise<LoginResult> {
  const { io, status } = attempt
  const listener = await listen(attempt, begun)
  if (!listener.here && !listener.elsewhere && !io.canAsk) throw listener.why

  io.err(`Log in to ${status.brokerName} here:\n\n${begun.url}\n`)
  await printQr(begun.url, io)
  const until = zonedTime(begun.expiresAt, io.now(), zoneOf(status, attempt.house.keeper, io))
  io.err(`The link is good until ${until}.`)
  const forward = mayOpen ? await attempt.house.forward(begun.url) : undefined
  if (forward && !(await io.openBrowser(forward.address)))
    io.err('No browser could be opened here: open the address yourself.')

  const over = new AbortController()
  const ways: Promise<LoginResult>[] = [expiry(attempt, over.signal)]
  const pasting = { begun: false }
  if (listener.here) ways.push(listener.here.finished)
  else ways.push(finishedElsewhere(attempt, over.signal, pasting))
  const prompt = io.canAsk ? pasted(attempt, over.signal, pasting) : undefined
  if (prompt !== undefined) ways.push(prompt)
  // Those that lose may still fail, and nobody listens to them then.
  for (const way of ways) way.catch(() => undefined)
  try {
    return await Promise.race(ways)
  } finally {
    over.abort()
    await Promise.all([forward?.close(), listener.here?.close()])
    // The prompt puts the terminal back before anything else is printed.
    await prompt?.catch(() => undefined)
  }
}

type Listening =
  | { here: LoginListener; elsewhere: false }
  | { here?: never; elsewhere: boolean; why: unknown }

async function listen(
  { house, io, status }: Attempt,
  { redirectUri }: Extract<BegunLogin, { kind: 'redirect' }>,
): Promise<Listening> {
  try {
    return { here: await house.listenForLogin(status.ref.accountId, redirectUri), elsewhere: false }
  } catch (why) {
    if (!isOpenbellError(why) || why.code !== 'redirect-not-listenable') throw why
    const elsewhere = await house.serviceIsUp()
    if (elsewhere) io.err('The running service waits for the browser to come back.')
    else if (io.canAsk) io.err(why.message)
    return { elsewhere, why }
  }
}

/** Asks again after an address that belongs elsewhere; any other refusal ends the attempt. */
async function pasted(
  { house, io, status, replace }: Attempt,
  signal: AbortSignal,
  pasting: { begun: boolean },
): Promise<LoginResult> {
  const info = findBroker(house, status.brokerId)
  for (;;) {
    const answer = await io.askSecret(
      'Waiting for the browser; or paste the address it ended on, or the code',
      {
        signal,
        validate: (value) => (value.trim() === '' ? 'Paste the whole address, or the code.' : undefined),
      },
    )
    pasting.begun = true
    try {
      return await house.keeper.finishLogin(readPasted(answer.expose().trim(), status, info, replace))
    } catch (error) {
      if (!isOpenbellError(error) || error.code !== 'login-foreign') throw error
      io.err(error.message)
      pasting.begun = false
    }
  }
}

/** The service or another terminal finished it: the account has a newer token, and nothing of it is under way. */
function finishedElsewhere(
  { house, status: before }: Attempt,
  signal: AbortSignal,
  pasting: { begun: boolean },
): Promise<LoginResult> {
  return new Promise((resolve, reject) => {
    const look = async () => {
      const status = await house.keeper.statusOf(before.ref)
      if (pasting.begun || status.generation <= before.generation || status.work.state === 'renewing') return
      if (status.deliveries.some(({ desired, delivered, problem }) => desired !== delivered && !problem))
        return
      resolve({ status, exchanged: true })
    }
    const stop = house.keeper.onChange(() => {
      look().catch(reject)
    })
    signal.addEventListener('abort', () => {
      stop()
      reject(signal.reason)
    })
  })
}

async function expiry({ io, begun, status }: Attempt, signal: AbortSignal): Promise<never> {
  await io.sleep(begun.expiresAt - io.now(), signal)
  const { accountId } = status.ref
  throw new OpenbellError(
    'login-expired',
    `Nobody finished the login in time: start again with \`openbell login ${accountId}\`.`,
    { accountId },
  )
}

/** For a phone's camera. Left out where it would scroll the address away. */
async function printQr(url: string, io: Io): Promise<void> {
  if (!io.isTTY || !io.canAsk) return
  const { renderUnicodeCompact } = await import('uqr')
  const code = renderUnicodeCompact(url, { border: 2 })
  const lines = code.split('\n')
  if (lines.length > io.height - 8 || (lines[0]?.length ?? 0) > io.width) return
  io.err(code)
}
