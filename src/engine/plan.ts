/** What comes next for an account, when, and why. Pure; its head is the decision and every step carries its reason. */

import type { Broker } from '../core/broker.ts'
import type { Step } from '../core/keeper.ts'
import type { Account, App, Grant, Session } from '../core/model.ts'
import type { Instant } from '../core/time.ts'
import { earliest, instant, minuteMs, nextTimeOfDay, plus } from '../core/time.ts'
import { slotOf } from './sessions.ts'

export interface PlanInput {
  account: Account
  app: App
  session: Session
  /** The promoted grant. */
  grant: Grant | undefined
  broker: Broker
  /** The broker's time. */
  now: Instant
  /** How much earlier than planned a renewal comes while the clocks disagree. */
  earlyMs: number
  /** Of the promoted grant; see `halfLife`. */
  halfLife: Instant
  /** In [0, 1), fixed per account: spreads many accounts over the margin. */
  spread: number
}

/** A probe right at the flush would still see the old world. */
const afterDoubtMs = minuteMs

/** The coming steps, earliest first. Empty: nothing will happen by itself. */
export function plan(input: PlanInput): Step[] {
  const { account, session, broker, now } = input
  if (account.paused) return []
  const steps: Step[] = []
  const { expiry } = session
  const served = session.token === 'live' || session.token === 'unproven' || session.token === 'suspect'

  if (served && expiry && expiry.at <= now) {
    return [{ at: now, action: 'end', reason: 'the token has reached its end' }]
  }
  if (session.probe) steps.push({ at: session.probe.nextAt, action: 'probe', reason: session.probe.why })
  else if (served && session.token !== 'live') {
    // Who wanted to ask has been interrupted.
    const at = session.token === 'suspect' ? now : plus(session.renewedAt ?? now, minuteMs)
    steps.push({ at, action: 'probe', reason: `${broker.name} has not confirmed it yet` })
  }

  // A renewed token that waits to be confirmed is not renewed again meanwhile.
  if (session.candidate === undefined) steps.push(...attempts(input, served))

  if (served && expiry) {
    const doubt = expiry.doubtUntil
    if (doubt && !session.probe && !(session.acceptedAt && session.acceptedAt > doubt)) {
      const at = plus(doubt, afterDoubtMs)
      if (at < expiry.at) {
        steps.push({
          at,
          action: 'probe',
          reason: `${broker.name} may have ended it early; ask again after its flush`,
        })
      }
    }
    steps.push({ at: expiry.at, action: 'end', reason: endReason(input) })
  }
  return steps.sort((a, b) => a.at - b.at)
}

function attempts(input: PlanInput, served: boolean): Step[] {
  const { app, now } = input
  const { work } = input.session
  switch (work.state) {
    case 'retrying':
      return [
        {
          at: work.nextAt,
          action: 'retry',
          reason: `attempt ${work.attempt} failed: ${work.problem.message}`,
        },
      ]
    case 'blocked':
      return [{ at: work.until, action: 'retry', reason: work.problem.message }]
    case 'waiting-for-person':
    case 'needs-fixing':
      // New credentials change things; the same ones do not.
      if (app.version === work.appVersion) return []
      if (canRefresh(input)) return [{ at: now, action: 'retry', reason: 'the credentials have changed' }]
      return renewal(input, served)
    case 'idle':
      return renewal(input, served)
  }
}

/** Whether the account holds all that an unattended renewal needs. */
export function canRefresh({
  app,
  session,
  grant,
  broker,
  now,
}: Pick<PlanInput, 'app' | 'session' | 'grant' | 'broker' | 'now'>): boolean {
  if (!broker.refresh || !grant?.refresh || session.generation === 0) return false
  if (app.refresh.state === 'retired') return false
  if (broker.refresh.needs?.some((name) => !app.credentials[name])) return false
  return !grant.refresh.expiry || grant.refresh.expiry.at > now
}

function renewal(input: PlanInput, served: boolean): Step[] {
  const { session, broker, now, spread, earlyMs, halfLife } = input
  if (canRefresh(input)) {
    if (!served)
      return [{ at: now, action: 'refresh', reason: 'there is no living token and no person is needed' }]
    if (!session.expiry || session.candidate !== undefined) return []
    const margin = broker.rules.marginMs * (1 + 0.2 * spread)
    const planned = plus(session.expiry.at, -margin)
    const early = instant(Math.max(plus(planned, -earlyMs), halfLife))
    return [
      {
        at: earliest(planned, early),
        action: 'refresh',
        reason: margin === 0 ? 'the token ends' : `${Math.round(margin / 1000)} s before the token ends`,
      },
    ]
  }
  if (served) return []
  // Somebody else's token beside the account's own: nice to have, and no reason to ask anybody.
  if (session.slot !== slotOf(input.account)) return []
  const reason =
    session.generation === 0 ? 'nobody has logged in yet' : 'the token has ended and a person must log in'
  return [{ at: session.generation === 0 ? now : askFrom(broker, now), action: 'ask', reason }]
}

/** Before this a person who logs in would have to do it again. */
export function askFrom(broker: Broker, now: Instant): Instant {
  const { mintFrom, zone } = broker.rules
  if (!mintFrom) return now
  const opens = nextTimeOfDay(now, mintFrom.time, zone)
  const dawn = nextTimeOfDay(now, '00:00', zone)
  // After the opening time the next one is tomorrow's, so the window is open now.
  return opens > dawn ? now : opens
}

function endReason({ broker, session }: PlanInput): string {
  switch (session.expiry?.source) {
    case 'jwt':
      return 'the token itself says so'
    case 'declared':
      return `${broker.name} said so when it handed the token over`
    case 'rejected':
      return `${broker.name} refused the token`
    default:
      return `${broker.name} ends every token at that time of day`
  }
}
