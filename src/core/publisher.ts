/** What a destination kind is to the engine. To add one, copy `publishers/json-file.ts`. */

import type { AccountRef, Destination, Environment, Slot } from './model.ts'
import type { Secret } from './secret.ts'
import type { Instant } from './time.ts'

/** What a program needs to trade: the current grant of one account and slot, as it is handed to publishers. */
export interface Release {
  ref: AccountRef
  slot: Slot
  brokerId: string
  environment: Environment
  generation: number
  accessToken: Secret
  /** Only for publishers that name it in `needs`. */
  refreshToken?: Secret
  /** The app's public key, where the broker's programs need it beside the token. */
  appKey?: Secret
  expiresAt: Instant
  issuedAt: Instant
  brokerUserId?: string
  /** Usual variable names at this broker. */
  env: Readonly<{ accessToken: string; refreshToken?: string; appKey?: string }>
}

export interface SettingField {
  label: string
  optional?: boolean
  help: string
}

export interface Publisher {
  kind: string
  settings: Readonly<Record<string, SettingField>>
  needs: readonly ('accessToken' | 'refreshToken' | 'appKey' | 'expiry')[]
  /** Throws `destination-unwritable` or `invalid-field` in one sentence; changes nothing. Run when a destination is defined and by doctor. */
  check(destination: Destination): Promise<void>
  /** Two destinations with the same resource are written one after the other. `file:/abs/path`. */
  resource(destination: Destination): string
  /** The names within the resource that `write` sets, or `['*']` for the whole of it. Two accounts must share none. */
  places(destination: Destination, env: Release['env']): readonly string[]
  /** Idempotent per generation. Whole or not at all. */
  write(destination: Destination, release: Release): Promise<void>
  /** Nothing can be read back there: that a write was taken is all that can be known, and it is never called delivered. */
  acknowledges?(destination: Destination): boolean
  /** The access token that programs would read there now; undefined = none. */
  readBack(
    destination: Destination,
    release: Pick<Release, 'env' | 'ref' | 'slot'>,
  ): Promise<Secret | undefined>
  /** Takes away what `write` put there, and nothing else. */
  withdraw?(destination: Destination, release: Pick<Release, 'env' | 'ref' | 'slot'>): Promise<void>
}
