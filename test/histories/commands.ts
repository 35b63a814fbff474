/** Everything that may happen in a history, each with the words that a failure shows. */

import fc from 'fast-check'
import { hourMs, minuteMs, secondMs } from '../../src/core/time.ts'
import type { StepName } from '../../src/engine/deps.ts'
import type { Fault } from './issuer.ts'
import type { World } from './world.ts'

interface Happening {
  words: string
  event(world: World): Promise<void> | void
}

type Weighted = { weight: number; arbitrary: fc.Arbitrary<Happening> }

function said(ms: number): string {
  if (ms >= hourMs && ms % hourMs === 0) return `${ms / hourMs} h`
  return ms >= minuteMs && ms % minuteMs === 0 ? `${ms / minuteMs} min` : `${ms / secondMs} s`
}

const duration = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 90 }).map((seconds) => seconds * secondMs) },
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 59 }).map((minutes) => minutes * minuteMs) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 6 }).map((hours) => hours * hourMs) },
  { weight: 1, arbitrary: fc.constant(24 * hourMs) },
)

const acts = fc.boolean()
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.constant<Fault>({ kind: 'connection refused' }),
  acts.map((acts): Fault => ({ kind: 'timeout', acts })),
  fc.constantFrom(3, 14, 40, 200).map((seconds): Fault => ({ kind: 'late', ms: seconds * secondMs })),
  fc.record({ kind: fc.constant('status' as const), status: fc.constantFrom(500, 503), acts }),
  fc.constantFrom<Fault>(
    { kind: 'throttled' },
    ...[0, 1, 30, 7200].map((retryAfter): Fault => ({ kind: 'throttled', retryAfter })),
  ),
  acts.map((acts): Fault => ({ kind: 'HTML', acts })),
  acts.map((acts): Fault => ({ kind: 'garbage', acts })),
  fc.constant<Fault>({ kind: 'fields missing' }),
  fc.constant<Fault>({ kind: 'token already dead' }),
  fc.constant<Fault>({ kind: 'token already ended' }),
  fc.constant<Fault>({ kind: 'same token again' }),
  fc.constant<Fault>({ kind: 'no refresh token' }),
)

function saidFault(one: Fault): string {
  switch (one.kind) {
    case 'timeout':
    case 'HTML':
    case 'garbage':
      return `${one.kind} (${one.acts ? 'acts' : 'does nothing'})`
    case 'status':
      return `HTTP ${one.status} (${one.acts ? 'acts' : 'does nothing'})`
    case 'late':
      return `${said(one.ms)} late`
    case 'throttled':
      return `HTTP 429${one.retryAfter === undefined ? '' : `, Retry-After: ${one.retryAfter}`}`
    default:
      return one.kind
  }
}

const always = (words: string, event: Happening['event']): fc.Arbitrary<Happening> =>
  fc.constant({ words, event })
const steps: StepName[] = [
  'lease',
  'load',
  'prepared',
  'sending',
  'answer',
  'record',
  'promote',
  'probe',
  'deliver',
]

const happenings: Weighted[] = [
  {
    weight: 12,
    arbitrary: duration.map((ms) => ({ words: `${said(ms)} pass`, event: (world) => world.pass(ms) })),
  },
  {
    weight: 9,
    arbitrary: fc
      .tuple(fc.constantFrom('token' as const, 'me' as const), fault, fc.integer({ min: 1, max: 4 }))
      .map(([to, one, times]) => ({
        words: `the next ${times} answers to ${to === 'token' ? 'renewals and logins' : 'probes'}: ${saidFault(one)}`,
        event: (world) => void world.issuer.faults[to].push(...Array.from({ length: times }, () => one)),
      })),
  },
  { weight: 1, arbitrary: always('the broker ends every grant', (world) => world.issuer.revokeAll()) },
  {
    weight: 2,
    arbitrary: always('the broker ends every access token', (world) => world.issuer.killAccess()),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 30, 7200, -7200).map((seconds) => ({
      words: `the broker's clock is ${seconds} s ahead of ours`,
      event: (world) => world.aheadBy(seconds * secondMs),
    })),
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.integer({ min: 1, max: 20 }), fc.constantFrom(0, 0, 5 * minuteMs, 3 * hourMs))
      .map(([count, minValidMs]) => ({
        words: `${count} callers want a token${minValidMs === 0 ? '' : ` good for ${said(minValidMs)}`}`,
        event: (world) => world.callers(count, minValidMs),
      })),
  },
  {
    weight: 4,
    arbitrary: always('a caller complains about the token', (world) => world.complain('current')),
  },
  {
    weight: 1,
    arbitrary: always('a caller complains about the token before', (world) => world.complain('older')),
  },
  { weight: 3, arbitrary: always('the right person logs in', (world) => world.logIn('right')) },
  {
    weight: 2,
    arbitrary: always('the right person logs in to replace', (world) => world.logIn('right', true)),
  },
  { weight: 2, arbitrary: always('somebody else logs in', (world) => world.logIn('wrong', true)) },
  {
    weight: 2,
    arbitrary: always('the same code comes again', (world) => world.logIn('same code again', true)),
  },
  { weight: 2, arbitrary: always('a person presses try again', (world) => world.tryAgain()) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('right' as const, 'wrong' as const).map((which) => ({
      words: `${which} credentials are entered`,
      event: (world) => world.editCredentials(which),
    })),
  },
  {
    weight: 2,
    arbitrary: fc.boolean().map((paused) => ({
      words: paused ? 'the account is paused' : 'the account is resumed',
      event: (world) => world.pause(paused),
    })),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom('stops' as const, 'is killed' as const).map((how) => ({
      words: `the keeper ${how} and another starts`,
      event: (world) => world.restart(how),
    })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        step: fc.constantFrom(...steps),
        moment: fc.constantFrom('before' as const, 'after' as const),
      })
      .map((trap) => ({
        words: `the keeper dies when it next comes to: ${trap.moment} ${trap.step}`,
        event: (world) => world.diesAt(trap),
      })),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(
        'a dead token' as const,
        "another user's token" as const,
        'their own token' as const,
        'nothing' as const,
      )
      .map((content) => ({
        words: `a hand puts ${content} into the file`,
        event: (world) => world.handEdit(content),
      })),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map((writable) => ({
      words: writable ? 'the file can be written again' : 'the file cannot be written',
      event: (world) => {
        world.file.writable = writable
      },
    })),
  },
]

type Command = fc.AsyncCommand<object, World>

const command = ({ words, event }: Happening): Command => ({
  check: () => true,
  run: (_, world) => world.happen(words, () => event(world)),
  toString: () => words,
})

export function histories(maxCommands: number): fc.Arbitrary<Iterable<Command>> {
  const total = happenings.map(({ weight, arbitrary }) => ({ weight, arbitrary: arbitrary.map(command) }))
  return fc.commands([fc.oneof(...total)], { maxCommands, size: 'max' })
}
