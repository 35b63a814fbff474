/** What a test and the processes it starts say to each other. */

import type { StepName, Timings } from '../../src/engine/deps.ts'

/** `sending after`: the permit says so, and not a byte has left. */
export type Moment = `${StepName} ${'before' | 'after'}`

export interface Opening {
  folder: string
  /** The vault's key, base64; only over the IPC channel. */
  key: string
  timings: Partial<Timings>
}

export type Command =
  | { do: 'open'; opening: Opening }
  /** Stops at each of these moments until `go`. */
  | { do: 'hold'; at: Moment[] }
  | { do: 'go' }
  | { do: 'token'; accountId: string; callers: number; waitMs: number }
  /** As the keeper's own loop does when it is due. */
  | { do: 'renew'; accountId: string }
  | { do: 'login'; accountId: string; code: string }
  | { do: 'start' }
  | { do: 'status'; accountId: string }
  /** Renews that often in a row; the times from answer to record in µs. */
  | { do: 'measure'; accountId: string; renewals: number }

/** How often each outcome of `token` came: `generation 2`, or a code such as `token-not-ready`. */
export type Tally = Record<string, number>

export type Message =
  | { moment: Moment }
  | { id: number; value: unknown }
  | { id: number; error: { code: string; message: string } }
