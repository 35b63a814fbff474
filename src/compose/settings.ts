/** Settings from the environment: the only reader of `process.env`. */

import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { OpenbellError } from '../core/errors.ts'
import type { Settings } from './house.ts'

const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** Throws `invalid-config` naming the variable. */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const home = resolve(env.OPENBELL_HOME ?? join(homedir(), '.openbell'))
  return {
    home,
    vaultPath: join(home, 'vault.db'),
    keyPath: env.OPENBELL_VAULT_KEY_FILE ? resolve(env.OPENBELL_VAULT_KEY_FILE) : join(home, 'vault.key'),
    keyFromEnvironment: env.OPENBELL_VAULT_KEY,
    apiKeyPath: join(home, 'api.key'),
    host: env.OPENBELL_HOST ?? '127.0.0.1',
    port: portOf(env.OPENBELL_PORT),
    publicUrl: publicUrlOf(env.OPENBELL_PUBLIC_URL),
    logLevel: levelOf(env.OPENBELL_LOG),
    tenantId: 'house',
  }
}

/** A copy, for the environment of a program that is started. */
export function environment(): NodeJS.ProcessEnv {
  return { ...process.env }
}

function portOf(text: string | undefined): number {
  if (text === undefined) return 8079
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port >= 1 && port <= 65_535) return port
  throw invalid('OPENBELL_PORT', 'must be a whole number from 1 to 65535')
}

function publicUrlOf(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined
  const url = URL.parse(text)
  if (url?.protocol === 'https:' && url.pathname === '/') return url.origin
  throw invalid(
    'OPENBELL_PUBLIC_URL',
    'must be an https address without a path, e.g. https://bell.example.org',
  )
}

function levelOf(text: string | undefined): Settings['logLevel'] {
  if (text === undefined) return 'warn'
  const level = levels.find((one) => one === text)
  if (level) return level
  throw invalid('OPENBELL_LOG', `must be one of ${levels.join(', ')}`)
}

function invalid(name: string, why: string): OpenbellError {
  return new OpenbellError('invalid-config', `${name} ${why}.`, { field: name })
}
