/** A file that holds one API key, readable by its owner alone. */

import { randomUUID } from 'node:crypto'
import { link, lstat, open, readFile, rm } from 'node:fs/promises'
import { OpenbellError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'

/** Errors: `key-file-open` when others can read it or it is no plain file. */
export function apiKeyFile(path: string) {
  return {
    /** Undefined when there is no file. */
    async read(): Promise<Secret | undefined> {
      try {
        const { mode } = await lstat(path).then((stat) => (stat.isFile() ? stat : { mode: 0o777 }))
        // Windows has no such bits; there the home folder's own rights protect the file.
        if (process.platform !== 'win32' && (mode & 0o077) !== 0) throw tooOpen(path)
        return new Secret((await readFile(path, 'utf8')).trim())
      } catch (error) {
        if (isNoFile(error)) return undefined
        throw error
      }
    },

    /** Whole or not at all; false when there is a file already. */
    async create(key: Secret): Promise<boolean> {
      const draft = `${path}.${randomUUID()}`
      try {
        const file = await open(draft, 'wx', 0o600)
        try {
          await file.writeFile(`${key.expose()}\n`)
          await file.sync()
        } finally {
          await file.close()
        }
        // Unlike a rename, a link refuses to replace what another process has just put there.
        await link(draft, path)
        return true
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
        throw error
      } finally {
        await rm(draft, { force: true })
      }
    },

    remove: (): Promise<void> => rm(path, { force: true }),
  }
}

function tooOpen(path: string): OpenbellError {
  return new OpenbellError(
    'key-file-open',
    `${path} must be a plain file that only you can read: run chmod 600 on it, or delete it and start again.`,
  )
}

function isNoFile(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
