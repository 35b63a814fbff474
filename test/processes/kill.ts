/** A process is killed at one moment of its work, another one opens the vault: what it must come to, and trying it. */

import type { Timings } from '../../src/engine/deps.ts'
import { type Child, House, type Kept } from './house.ts'
import type { Command, Moment } from './protocol.ts'

/** `early` is a single-use refresh token that is spent while the access token still lives. */
export type Spending = 'single-use' | 'early' | 'repeatable' | 'code'

type End =
  /** Live with a new token, without a person. */
  | 'renewed'
  /** The refresh token may not be sent again, so a person is asked. */
  | 'asked'
  /** The same, while the token that still lives is served. */
  | 'asked, served'
  /** Live without a person, although only the killed process had the code. */
  | 'logged in'
  /** The login request is open and the same code still finishes it. */
  | 'code good'
  /** The login request is open and the same code is refused without being sent. */
  | 'code burnt'

interface Rule {
  end: End
  /** Token requests that the broker sees in all. */
  requests: number
}

function rule(
  singleUse: [End, number],
  early: [End, number],
  repeatable: [End, number],
  code: [End, number],
): Record<Spending, Rule> {
  const of = ([end, requests]: [End, number]): Rule => ({ end, requests })
  return { 'single-use': of(singleUse), early: of(early), repeatable: of(repeatable), code: of(code) }
}

export const spendings: readonly Spending[] = ['single-use', 'early', 'repeatable', 'code']

/** `answer before` is the moment when the broker has spent the secret and its answer is on the way. */
export const rules: Readonly<Partial<Record<Moment, Record<Spending, Rule>>>> = {
  'prepared before': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['code good', 1]),
  'prepared after': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['code good', 1]),
  'sending before': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['code good', 1]),
  'sending after': rule(['asked', 0], ['asked, served', 0], ['renewed', 1], ['code burnt', 0]),
  'answer before': rule(['asked', 1], ['asked, served', 1], ['renewed', 2], ['code burnt', 1]),
  'answer after': rule(['asked', 1], ['asked, served', 1], ['renewed', 2], ['code burnt', 1]),
  'record before': rule(['asked', 1], ['asked, served', 1], ['renewed', 2], ['code burnt', 1]),
  'record after': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['logged in', 1]),
  'promote before': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['logged in', 1]),
  'promote after': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['logged in', 1]),
  'probe before': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['logged in', 1]),
  'probe after': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['logged in', 1]),
  'deliver before': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['logged in', 1]),
  'deliver after': rule(['renewed', 1], ['renewed', 1], ['renewed', 1], ['logged in', 1]),
}

export const cases = (Object.keys(rules) as Moment[]).flatMap((moment) =>
  spendings.map((spending) => ({ moment, spending })),
)

const timings: Partial<Timings> = {
  leaseTermMs: 1_000,
  leaseExtendMs: 250,
  spendDeadlineMs: 700,
  lookEveryMs: 25,
}

const answerDelayMs = 400
const accountId = 'a'

export interface Outcome {
  token: string | undefined
  generation: number | undefined
  /** Generation of the grant in the file. */
  inFile: number
  /** A login request is open. */
  asked: boolean
  /** What a caller of `token` gets. */
  callers: string
  /** What became of the same code, where it was tried again. */
  code: string | undefined
  requests: number
  reuses: number
}

const renewed = {
  token: 'live',
  generation: 2,
  inFile: 2,
  asked: false,
  callers: 'generation 2',
  code: undefined,
}
const loggedIn = { token: 'live', generation: 1, inFile: 1, asked: false, callers: 'generation 1' }

const ends: Readonly<Record<End, Omit<Outcome, 'requests' | 'reuses'>>> = {
  renewed,
  asked: { ...renewed, token: 'dead', generation: 1, inFile: 0, asked: true, callers: 'spend-unknown' },
  'asked, served': { ...renewed, generation: 1, inFile: 1, asked: true, callers: 'generation 1' },
  'logged in': { ...loggedIn, code: undefined },
  'code good': { ...loggedIn, code: 'good' },
  'code burnt': {
    token: 'none',
    generation: 0,
    inFile: 0,
    asked: true,
    callers: 'login-needed',
    code: 'spend-unknown',
  },
}

export function expected(moment: Moment, spending: Spending): Outcome {
  const { end, requests } = ruleOf(moment, spending)
  return { ...ends[end], requests, reuses: 0 }
}

/** Everything is undone when `onEnd`'s callback has run. With `watching`, the other process is keeping already. */
export async function killedAt(
  moment: Moment,
  spending: Spending,
  onEnd: (close: () => Promise<void>) => void,
  { watching = false } = {},
): Promise<Outcome> {
  const house = await House.open(spending === 'repeatable' ? 'repeatable' : 'single-use', timings)
  onEnd(() => house.close())
  const [victim, heir] = await Promise.all([house.child(), house.child()])
  const work = await prepare(house, spending)
  if (watching) {
    await heir.ask({ do: 'start' })
    await house.keptOnce(accountId, waits)
  }

  if (moment === 'answer before') {
    house.issuer.delayAnswers(answerDelayMs)
    void victim.ask(work)
    await house.requests(1)
  } else {
    await victim.ask({ do: 'hold', at: [moment] })
    void victim.ask(work)
    await victim.reached(moment)
  }
  await victim.kill()
  house.issuer.delayAnswers(0)

  await heir.ask({ do: 'start' })
  const { end } = ruleOf(moment, spending)
  const code = end === 'code good' || end === 'code burnt' ? await tryAgain(house, heir, work) : undefined
  const { session, inFile, asked } = await house.keptOnce(accountId, done[end])
  return {
    token: session?.token,
    generation: session?.generation,
    inFile,
    asked,
    callers: Object.keys(await heir.token(accountId)).join(),
    code,
    requests: house.issuer.tokenRequests(),
    reuses: house.issuer.reuses(),
  }
}

async function prepare(house: House, spending: Spending): Promise<Command> {
  switch (spending) {
    case 'code':
      await house.addAccount(accountId)
      return { do: 'login', accountId, code: await house.issuer.code() }
    case 'early':
      await house.addDueAccount(accountId)
      return { do: 'renew', accountId }
    default:
      await house.addColdAccount(accountId)
      return { do: 'token', accountId, callers: 1, waitMs: 10_000 }
  }
}

async function tryAgain(house: House, heir: Child, login: Command): Promise<string> {
  await house.keptOnce(accountId, waits)
  return heir.ask(login).then(
    () => 'good',
    (error: { code: string }) => error.code,
  )
}

function waits({ session, asked }: Kept): boolean {
  return asked && session?.work.state === 'waiting-for-person'
}

function isDelivered({ session, inFile }: Kept): boolean {
  return session?.token === 'live' && inFile === session.generation
}

const isNew = (generation: number) => (kept: Kept) =>
  isDelivered(kept) && kept.session?.generation === generation && !kept.asked

/** When there is nothing more to wait for. */
const done: Readonly<Record<End, (kept: Kept) => boolean>> = {
  renewed: isNew(2),
  asked: waits,
  'asked, served': (kept) => waits(kept) && isDelivered(kept),
  'logged in': isNew(1),
  'code good': isNew(1),
  'code burnt': waits,
}

function ruleOf(moment: Moment, spending: Spending): Rule {
  const found = rules[moment]?.[spending]
  if (!found) throw new Error(`no rule for ${moment}`)
  return found
}
