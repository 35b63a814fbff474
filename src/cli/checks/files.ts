/** Files that hold secrets: who may read them, and whether git would carry them away. */

import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Settings } from '../../compose/house.ts'
import type { Check } from './check.ts'

/** The home folder and what lies in it, open to nobody but its owner. */
export async function checkHome(settings: Settings): Promise<Check[]> {
  const checks = [await checkPrivate('home folder', settings.home, '700')]
  if (settings.keyFromEnvironment === undefined)
    checks.push(await checkPrivate('key file', settings.keyPath, '600'))
  else
    checks.push({
      about: 'vault key',
      result: 'ok',
      message: 'comes from the environment, no key file is used',
    })
  checks.push(await checkPrivate('vault', settings.vaultPath, '600'))
  checks.push(await checkPrivate('API key file', settings.apiKeyPath, '600'))
  return checks
}

async function checkPrivate(about: string, path: string, mode: string): Promise<Check> {
  const found = await statOrUndefined(path)
  if (!found) return { about, result: 'note', message: `${path} is not there yet` }
  // Windows has no such modes; what Node reports there says nothing.
  const open = process.platform !== 'win32' && (found.mode & 0o077) !== 0
  if (!open) return { about, result: 'ok', message: `${path} is yours alone` }
  return {
    about,
    result: 'fail',
    message: `${path} is open to other users of this machine (mode ${octal(found.mode)})`,
    mend: `chmod ${mode} ${path}`,
  }
}

/** A file that programs read a token from. */
export async function checkTokenFile(about: string, path: string): Promise<Check[]> {
  const checks: Check[] = []
  const found = await statOrUndefined(path)
  if (found && process.platform !== 'win32' && (found.mode & 0o004) !== 0) {
    checks.push({
      about,
      result: 'fail',
      message: `${path} can be read by every user of this machine (mode ${octal(found.mode)})`,
      mend: `chmod 600 ${path}`,
    })
  }
  checks.push(gitCheck(about, path, await gitView(path)))
  return checks
}

export type GitView = 'outside' | 'tracked' | 'ignored' | 'not-ignored' | 'no-git' | 'unclear'

/** What git knows of a file. Asks the `git` on this machine; `no-git` when there is none. */
export async function gitView(path: string): Promise<GitView> {
  const git = (...args: string[]) => exitCodeOf('git', ['-C', dirname(path), ...args])
  const inside = await git('rev-parse', '--is-inside-work-tree')
  if (inside === 'missing') return 'no-git'
  // 128: no repository, or one that git refuses to read for another owner's sake; both carry nothing of ours away.
  if (inside !== 0) return inside === 128 ? 'outside' : 'unclear'
  if ((await git('ls-files', '--error-unmatch', '--', basename(path))) === 0) return 'tracked'
  const ignored = await git('check-ignore', '-q', '--', basename(path))
  if (ignored === 0) return 'ignored'
  return ignored === 1 ? 'not-ignored' : 'unclear'
}

function gitCheck(about: string, path: string, view: GitView): Check {
  const name = basename(path)
  switch (view) {
    case 'outside':
      return { about, result: 'ok', message: `${path} is in no git repository` }
    case 'ignored':
      return { about, result: 'ok', message: `git ignores ${path}` }
    case 'tracked':
      return {
        about,
        result: 'fail',
        message: `git tracks ${path}: the next commit carries the token away, and earlier ones may have`,
        mend: `git rm --cached ${name} && echo ${name} >> .gitignore (in ${dirname(path)})`,
      }
    case 'not-ignored':
      return {
        about,
        result: 'warn',
        message: `git does not ignore ${path}: \`git add .\` would take the token along`,
        mend: `echo ${name} >> .gitignore (in ${dirname(path)})`,
      }
    case 'no-git':
      return { about, result: 'note', message: `git is not installed, so ${path} was not looked up there` }
    case 'unclear':
      return { about, result: 'note', message: `git gave no clear answer about ${path}` }
  }
}

function exitCodeOf(command: string, args: readonly string[]): Promise<number | 'missing' | 'unclear'> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 10_000 }, (error) => {
      if (!error) return resolve(0)
      if (error.code === 'ENOENT') return resolve('missing')
      resolve(typeof error.code === 'number' ? error.code : 'unclear')
    })
  })
}

async function statOrUndefined(path: string) {
  return stat(path).catch(() => undefined)
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(3, '0')
}
