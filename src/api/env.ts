/** What the API needs of the house, and what its routes know of a request. */

import type { Keys } from '../access/keys.ts'
import type { Keeper } from '../core/keeper.ts'
import type { ApiKey } from '../core/model.ts'
import type { Clock, Zone } from '../core/time.ts'

export interface ApiParts {
  keeper: Keeper
  keys: Pick<Keys, 'verify'>
  clock: Clock
  /** Rejects while this process cannot serve: store out of reach, or not migrated. */
  ready: () => Promise<void>
  /** Whether that is the path of a redirect URI of some account: there the API takes callbacks. */
  isCallbackPath: (path: string) => Promise<boolean>
  /** The zone of a broker's day, for the pages that people read. */
  zoneOf: (brokerId: string) => Zone
  /** Called with what callers are not told: the cause of a 5xx. */
  report: (error: unknown) => void
  settings: {
    /** Where browsers on other machines reach this service; its host is allowed besides loopback. */
    publicUrl: string | undefined
  }
}

export interface RequestEnv {
  Variables: {
    /** Set by `requireKey`. */
    key: ApiKey
  }
}
