/** The machine: the Node it runs, and whether anything starts Openbell again after a reboot. */

import { access } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Settings } from '../../compose/house.ts'
import type { Check } from './check.ts'

const oldestNode = [24, 15] as const

export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const good = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])
  if (good) return { about: 'node', result: 'ok', message: `Node.js ${version}` }
  return {
    about: 'node',
    result: 'fail',
    message: `Node.js ${version} is older than ${oldestNode.join('.')}`,
    mend: 'install Node.js 24',
  }
}

/** Where a service manager would keep an order to start Openbell. */
export interface StartPlaces {
  /** Started with the machine. */
  atBoot: readonly string[]
  /** Started with the user's own manager, which runs after a boot only while `linger` is there. */
  atLogin: readonly string[]
  linger: string
}

export function usualStartPlaces(platform: NodeJS.Platform): StartPlaces {
  const home = homedir()
  const linger = join('/var/lib/systemd/linger', userInfo().username)
  if (platform === 'darwin') {
    const atLogin = [join(home, 'Library/LaunchAgents/openbell.plist')]
    return { atBoot: ['/Library/LaunchDaemons/openbell.plist'], atLogin, linger }
  }
  const atLogin = [join(home, '.config/systemd/user/openbell.service')]
  return { atBoot: ['/etc/systemd/system/openbell.service'], atLogin, linger }
}

/** Looks for files and says which: what a container or another manager does cannot be seen from here. */
export async function checkReboot({ atBoot, atLogin, linger }: StartPlaces): Promise<Check> {
  const about = 'after a reboot'
  const boot = await firstThere(atBoot)
  if (boot !== undefined) return { about, result: 'ok', message: `${boot} starts with the machine` }
  const login = await firstThere(atLogin)
  if (login === undefined) {
    return {
      about,
      result: 'warn',
      message: `nothing was found that starts Openbell again; looked for ${[...atBoot, ...atLogin].join(', ')}`,
      mend: 'let your service manager or container run `openbell up`',
    }
  }
  if (login.endsWith('.plist') || (await firstThere([linger])) !== undefined) {
    return {
      about,
      result: 'ok',
      message: `${login} is there${login.endsWith('.plist') ? ' and starts when you log in' : ' and lingering is on'}`,
    }
  }
  return {
    about,
    result: 'warn',
    message: `${login} is there, but it starts only when you log in: lingering is off`,
    mend: 'loginctl enable-linger',
  }
}

/** A copy elsewhere cannot be seen from here, so this is a reminder. */
export function checkKeyBackup(settings: Settings): Check {
  const key = settings.keyFromEnvironment === undefined ? settings.keyPath : 'OPENBELL_VAULT_KEY'
  return {
    about: 'key backup',
    result: 'note',
    message: `without ${key} the vault cannot be read and every account must be added again`,
    mend: 'keep a copy of it away from this machine and away from the vault',
  }
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const there = await access(path).then(
      () => true,
      () => false,
    )
    if (there) return path
  }
  return undefined
}
