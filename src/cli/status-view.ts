/** How an account looks to a person and to a program. */

import type { AccountStatus, Keeper, WorkView } from '../core/keeper.ts'
import type { Expiry } from '../core/model.ts'
import { clockTime, timeWithDistance, zonedTime, zoneLabel } from '../core/spoken-time.ts'
import { instant, iso, type Zone } from '../core/time.ts'
import type { Io } from './command.ts'
import { columns, labelled, paint, type Tone } from './text-layout.ts'

const states: Readonly<Record<AccountStatus['token'], { words: string; tone: Tone }>> = {
  live: { words: 'live', tone: 'good' },
  unproven: { words: 'not confirmed', tone: 'doubtful' },
  suspect: { words: 'in doubt', tone: 'doubtful' },
  dead: { words: 'ended', tone: 'bad' },
  none: { words: 'no token', tone: 'bad' },
}

const headings = ['ACCOUNT', 'BROKER', 'STATE', 'ENDS', 'DELIVERED']
const stateColumn = 2

/** Knows the brokers, and so the zone in which each account's times are shown. */
export type Brokers = Pick<Keeper, 'brokers'>

/** The broker's day, wherever this machine stands. */
export function zoneOf({ brokerId }: Pick<AccountStatus, 'brokerId'>, keeper: Brokers, io: Io): Zone {
  return keeper.brokers().find(({ id }) => id === brokerId)?.zone ?? io.zone()
}

/** A table when every row fits the width, else one block per account. */
export function renderStatuses(statuses: readonly AccountStatus[], keeper: Brokers, io: Io): string {
  const rows = [headings, ...statuses.map((status) => rowOf(status, keeper, io))]
  const lines = columns(rows, (text, row, column) => {
    const status = statuses[row - 1]
    if (!status) return paint(text, 'quiet', io.colour)
    return column === stateColumn ? paint(text, toneOf(status), io.colour) : text
  })
  const plainWidth = Math.max(...columns(rows).map((line) => line.length))
  if (plainWidth > io.width) return statuses.map((status) => block(status, keeper, io)).join('\n\n')
  const [heading = '', ...body] = lines
  return [
    heading,
    ...body.flatMap((line, index) => [line, ...details(statuses[index] as AccountStatus, keeper, io)]),
  ].join('\n')
}

function rowOf(status: AccountStatus, keeper: Brokers, io: Io): string[] {
  return [nameOf(status), brokerOf(status), stateOf(status), endOf(status, keeper, io), deliveredOf(status)]
}

function block(status: AccountStatus, keeper: Brokers, io: Io): string {
  const line = (label: string, text: string) => labelled(label, text, io.width)
  const name = paint(nameOf(status), 'strong', io.colour)
  return [
    `${name}  ${brokerOf(status)}  ${paint(stateOf(status), toneOf(status), io.colour)}`,
    line('ends', endOf(status, keeper, io)),
    line('delivered', deliveredOf(status)),
    ...details(status, keeper, io),
  ].join('\n')
}

/** The sentences below a row: evidence, doubt, what comes next, what is wrong. */
function details(status: AccountStatus, keeper: Brokers, io: Io): string[] {
  const zone = zoneOf(status, keeper, io)
  const now = io.now()
  const lines: string[] = []
  const line = (label: string, text: string, tone?: Tone) => {
    const laidOut = labelled(label, text, io.width)
    lines.push(tone === undefined ? laidOut : paint(laidOut, tone, io.colour))
  }
  if (status.generation > 0 && status.renewedAt !== undefined) {
    line('token', `number ${status.generation}, since ${timeWithDistance(status.renewedAt, now, zone)}`)
  }
  const evidence = [status.evidence, endEvidence(status)].filter((each) => each !== '')
  if (evidence.length > 0) line('evidence', evidence.join('; '))
  const doubtUntil = status.expiry?.doubtUntil
  if (doubtUntil !== undefined && doubtUntil > now) {
    line('doubt', `until ${zonedTime(doubtUntil, now, zone)} the broker may end it early`, 'doubtful')
  }
  if (status.next) {
    const { at, action, reason } = status.next
    line('next', `${action} ${at <= now ? 'now' : `at ${zonedTime(at, now, zone)}`}: ${reason}`)
  }
  const { problem } = status.work
  if (problem) line('problem', problem.message, 'bad')
  for (const { destinationId, problem: failed } of status.deliveries) {
    if (failed) line('problem', `${destinationId}: ${failed.message}`, 'bad')
  }
  return lines
}

/** How the end is known. A refused token needs none: that it was refused is the evidence. */
function endEvidence({ expiry, token }: AccountStatus): string {
  if (!expiry || token === 'none' || token === 'dead') return ''
  return endSources[expiry.source]
}

const endSources: Readonly<Record<Expiry['source'], string>> = {
  jwt: 'the token itself says when it ends',
  declared: 'the broker said with it when it ends',
  'broker-rule': "it ends by the broker's rule",
  rejected: '',
}

/** `upstox-main`, and `upstox-main (read)` for a token that is not for trading. */
function nameOf({ ref, slot }: AccountStatus): string {
  return slot === 'trading' ? ref.accountId : `${ref.accountId} (${slot})`
}

function brokerOf({ brokerName, environment }: AccountStatus): string {
  return environment === 'live' ? brokerName : `${brokerName} (${environment})`
}

/** `live`, `live, retrying`, `no token, waits for you`. */
export function stateOf({ token, work }: AccountStatus): string {
  const doing = workWords[work.state]
  return doing === '' ? states[token].words : `${states[token].words}, ${doing}`
}

const workWords: Readonly<Record<WorkView['state'], string>> = {
  idle: '',
  renewing: 'renewing',
  retrying: 'retrying',
  'waiting-for-person': 'waits for you',
  blocked: 'blocked',
  'needs-fixing': 'needs fixing',
  paused: 'paused',
}

function toneOf({ token, work }: AccountStatus): Tone {
  if (work.state === 'paused') return 'quiet'
  if (token === 'live' && work.problem) return 'doubtful'
  return states[token].tone
}

/** `06:00 tomorrow (IST), in 3h 12m`. */
export function endOf(status: AccountStatus, keeper: Brokers, io: Io): string {
  if (!status.expiry || status.token === 'none') return '-'
  return timeWithDistance(status.expiry.at, io.now(), zoneOf(status, keeper, io))
}

export function deliveredOf({ delivered: { n, m } }: AccountStatus): string {
  return m === 0 ? 'no destination' : `${n} of ${m}`
}

/** `kite-main is live until 06:00 tomorrow (IST), 1 of 1 destinations.` Says *live* only of what the broker accepted. */
export function outcomeSentence(
  status: AccountStatus,
  keeper: Brokers,
  io: Io,
  { already = false } = {},
): string {
  const { ref, token, expiry, delivered } = status
  const zone = zoneOf(status, keeper, io)
  const until = expiry ? ` until ${clockTime(expiry.at, io.now(), zone)} (${zoneLabel(expiry.at, zone)})` : ''
  const where = delivered.m === 0 ? 'no destinations yet' : `${delivered.n} of ${delivered.m} destinations`
  switch (token) {
    case 'live':
      return `${ref.accountId} is ${already ? 'already ' : ''}live${until}, ${where}.`
    case 'unproven':
    case 'suspect':
      return `${ref.accountId}: the token is saved and not yet confirmed by the broker; good${until} if it is, ${where}.`
    default:
      return `${ref.accountId} has no usable token: ${status.work.problem?.message ?? status.evidence}`
  }
}

/** With times in ISO 8601, UTC. */
export function statusDocument(status: AccountStatus): object {
  const { ref, expiry, acceptedAt, renewedAt, work, next, deliveries, ...rest } = status
  return {
    account: ref.accountId,
    tenant: ref.tenantId,
    ...rest,
    ...(expiry ? { expiresAt: iso(expiry.at), expirySource: expiry.source } : {}),
    ...(expiry?.doubtUntil === undefined ? {} : { doubtUntil: iso(expiry.doubtUntil) }),
    ...(acceptedAt === undefined ? {} : { acceptedAt: iso(acceptedAt) }),
    ...(renewedAt === undefined ? {} : { renewedAt: iso(renewedAt) }),
    work: workDocument(work),
    deliveries: deliveries.map(({ verifiedAt, ...delivery }) => ({
      ...delivery,
      ...(verifiedAt === undefined ? {} : { verifiedAt: iso(verifiedAt) }),
    })),
    ...(next ? { next: { ...next, at: iso(next.at) } } : {}),
  }
}

function workDocument({ state, until, problem }: WorkView): object {
  return {
    state,
    ...(until === undefined ? {} : { until: iso(until) }),
    ...(problem
      ? {
          problem: {
            ...problem,
            ...(problem.until === undefined ? {} : { until: iso(instant(problem.until)) }),
          },
        }
      : {}),
  }
}
