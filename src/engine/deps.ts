/** What the engine is given. Nothing in this folder reads a clock, a random source or the network by itself. */

import type { Broker } from '../core/broker.ts'
import type { Publisher } from '../core/publisher.ts'
import type { Clock } from '../core/time.ts'
import { minuteMs, secondMs } from '../core/time.ts'
import type { Store } from '../core/vault.ts'
import type { Send } from '../core/wire.ts'

/** The steps at which a renewal or login can be observed, held or killed. */
export type StepName =
  | 'lease'
  | 'load'
  | 'prepared'
  | 'sending'
  | 'answer'
  | 'record'
  | 'promote'
  | 'probe'
  | 'deliver'

export type OnStep = (step: StepName, moment: 'before' | 'after', accountId: string) => void | Promise<void>

export interface Log {
  debug(fields: Record<string, unknown>, message: string): void
  info(fields: Record<string, unknown>, message: string): void
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}

export interface Timings {
  /** After this long the waiters are released; the spend itself goes on. */
  spendDeadlineMs: number
  /** A spend that has not been answered by then is given up. Only here is the socket closed. */
  spendHardLimitMs: number
  /** Three extensions may fail before the lease is lost. */
  leaseTermMs: number
  leaseExtendMs: number
  probeDeadlineMs: number
  /** How long a caller waits for a token unless it says otherwise. */
  callerWaitMs: number
  /** How often a waiter looks whether another process has renewed. */
  lookEveryMs: number
  /** How often a destination is read back although nothing changed. */
  verifyEveryMs: number
}

export const defaultTimings: Timings = {
  spendDeadlineMs: 15 * secondMs,
  spendHardLimitMs: 10 * minuteMs,
  leaseTermMs: 45 * secondMs,
  leaseExtendMs: 15 * secondMs,
  probeDeadlineMs: 10 * secondMs,
  callerWaitMs: 20 * secondMs,
  lookEveryMs: 100,
  verifyEveryMs: 5 * minuteMs,
}

export interface EngineDeps {
  store: Store
  brokers: readonly Broker[]
  publishers: readonly Publisher[]
  clock: Clock
  send: Send
  /** Uniform in [0, 1). */
  random(): number
  /** Unguessable, URL-safe, at least 128 bits. */
  randomToken(): string
  /** Lower-case hex. */
  sha256(text: string): string
  /** Unique per process. */
  holder: string
  /** The address brokers see us come from, as far as it is known; breakers are kept per address. */
  egress: string
  log: Log
  timings: Timings
  /** Told of every step and awaited; how tests hold or end a process at an exact point. */
  onStep?: OnStep
}
