/** Everything that one process of Openbell is made of, as the CLI and tests see it. Built by `compose.ts`. */

import type { Keys } from '../access/keys.ts'
import type { Keeper, LoginResult } from '../core/keeper.ts'
import type { Ledger } from '../core/vault.ts'

export interface Settings {
  /** Folder of vault, key and API key; 0700. `OPENBELL_HOME`, default `~/.openbell`. */
  home: string
  vaultPath: string
  /** The vault's key: `OPENBELL_VAULT_KEY` (base64, 32 bytes) or this 0600 file. */
  keyPath: string
  keyFromEnvironment: string | undefined
  /** The local API key, 0600; programs of the same user find it by themselves. */
  apiKeyPath: string
  host: string
  port: number
  /** `https://…`, where a browser on another machine reaches the callback. */
  publicUrl: string | undefined
  logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  tenantId: string
}

export interface LoginListener {
  /** Resolves or rejects with the first callback that belongs to a login of this account; `foreign` ones are answered and ignored. */
  finished: Promise<LoginResult>
  close(): Promise<void>
}

export interface House {
  settings: Settings
  keeper: Keeper
  ledger: Ledger
  /** API keys of this vault. */
  keys: Keys
  /**
   * Listens exactly at the account's redirect: host, port and path; on 127.0.0.1 and ::1 for `localhost`.
   * Throws `redirect-not-listenable` (not loopback, port taken, no right to a port below 1024) with the mend.
   */
  listenForLogin(accountId: string, redirectUri: string): Promise<LoginListener>
  /**
   * An address on this machine that sends the browser on to `url`: what a browser is started with stands on a command line,
   * which every user may read.
   */
  forward(url: string): Promise<{ address: string; close(): Promise<void> }>
  /** The HTTP API on `settings.host:port`. */
  serve(): Promise<{ url: string; close(): Promise<void> }>
  /** True while another process serves from this vault. */
  serviceIsUp(): Promise<boolean>
  /** Broker minus local clock in ms per broker, where it was learned in this process. */
  clockOffsets(): Readonly<Record<string, number>>
  close(): Promise<void>
}
