/** What people are shown of a session. Pure; says nothing that is not known. */

import type { Broker } from '../core/broker.ts'
import type { AccountStatus, BrokerInfo, DeliveryView, Step, WorkView } from '../core/keeper.ts'
import type { Delivery, Environment, Session } from '../core/model.ts'
import { duration, zonedTime } from '../core/spoken-time.ts'
import type { Instant } from '../core/time.ts'
import type { Known } from './sessions.ts'

export function viewStatus(
  known: Known,
  deliveries: readonly DeliveryView[],
  next: Step | undefined,
  renewing: boolean,
  now: Instant,
  /** Broker minus local clock in ms, where that is too much. */
  clockWrongByMs: number | undefined,
): AccountStatus {
  const { account, app, broker, session } = known
  const m = account.destinations.length
  const served = session.token === 'live' || session.token === 'unproven' || session.token === 'suspect'
  const n = served ? deliveries.filter(({ delivered }) => delivered === session.generation).length : 0
  return {
    ref: session.ref,
    label: account.label,
    brokerId: broker.id,
    brokerName: broker.name,
    environment: app.environment,
    ...(account.brokerUserId === undefined ? {} : { brokerUserId: account.brokerUserId }),
    slot: session.slot,
    ...(app.redirectUri === undefined ? {} : { redirectUri: app.redirectUri }),
    unattended: isUnattended(broker),
    generation: session.generation,
    token: session.token,
    ...(session.expiry === undefined ? {} : { expiry: session.expiry }),
    evidence: evidence(session, broker, now),
    ...(session.acceptedAt === undefined ? {} : { acceptedAt: session.acceptedAt }),
    ...(session.renewedAt === undefined ? {} : { renewedAt: session.renewedAt }),
    work: withClock(viewWork(known, renewing), broker, clockWrongByMs),
    delivered: { n, m },
    deliveries,
    bell: 'unknown',
    ...(next === undefined ? {} : { next }),
  }
}

export function viewDelivery(delivery: Delivery, kind: string, where: string): DeliveryView {
  const { ref, destinationId, desired, delivered, taken, verifiedAt, problem } = delivery
  return {
    accountId: ref.accountId,
    destinationId,
    kind,
    where,
    desired,
    delivered,
    ...(taken === undefined ? {} : { taken }),
    ...(verifiedAt === undefined ? {} : { verifiedAt }),
    ...(problem === undefined ? {} : { problem }),
  }
}

export function viewBroker(broker: Broker): BrokerInfo {
  const { login } = broker
  const environments: Environment[] = ['simulator']
  if (broker.environments.sandbox) environments.unshift('sandbox')
  if (broker.environments.live) environments.unshift('live')
  return {
    id: broker.id,
    name: broker.name,
    docs: broker.docs,
    zone: broker.rules.zone,
    credentials: broker.credentials,
    login: login.kind,
    steps: login.kind === 'paste-grant' ? login.steps : [],
    ...(login.kind === 'paste-grant' ? { grantField: login.field } : {}),
    originRoles: Object.keys(broker.environments.live ?? {}),
    environments,
    unattended: isUnattended(broker),
    env: broker.env,
  }
}

/** What is on trial is no promise. */
function isUnattended({ refresh }: Broker): boolean {
  return refresh !== undefined && refresh.onTrial !== true
}

function viewWork({ account, session, app }: Known, renewing: boolean): WorkView {
  if (account.paused) return { state: 'paused' }
  if (renewing) return { state: 'renewing' }
  const { work } = session
  switch (work.state) {
    case 'idle':
      return { state: 'idle' }
    case 'retrying':
      return { state: 'retrying', until: work.nextAt, problem: work.problem }
    case 'blocked':
      return { state: 'blocked', until: work.until, problem: work.problem }
    case 'waiting-for-person':
    case 'needs-fixing':
      return work.appVersion === app.version
        ? { state: work.state, problem: work.problem }
        : { state: 'idle' }
  }
}

/** Nothing is wrong with the account then, so its own problem, if it has one, comes first. */
function withClock(work: WorkView, { name }: Broker, clockWrongByMs: number | undefined): WorkView {
  if (clockWrongByMs === undefined || work.problem) return work
  const apart = duration(Math.abs(clockWrongByMs))
  const message = `This machine's clock is ${apart} ${clockWrongByMs > 0 ? 'behind' : 'ahead of'} ${name}'s: set it, e.g. with \`timedatectl set-ntp true\`. Until then tokens are renewed by whichever clock is later.`
  return { ...work, problem: { remedy: 'fix-settings', code: 'clock-wrong', message } }
}

function evidence(session: Session, { name, rules, probes }: Broker, now: Instant): string {
  const probe = probes[0].id
  switch (session.token) {
    case 'none':
      return session.candidate === undefined ? 'never logged in' : `saved, not yet confirmed by ${name}`
    case 'live':
      return session.acceptedAt === undefined
        ? `accepted by ${name}`
        : `${name} accepted ${session.acceptedBy ?? probe} at ${zonedTime(session.acceptedAt, now, rules.zone)}`
    case 'unproven':
      return `saved, not yet confirmed by ${name}`
    case 'suspect':
      return `a program reports a refusal; ${name} is being asked`
    case 'dead':
      return session.rejectedAt === undefined
        ? 'reached its end'
        : `${name} refused it at ${zonedTime(session.rejectedAt, now, rules.zone)}`
  }
}
