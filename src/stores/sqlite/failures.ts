/** What SQLite throws, in the vault's own words. */

import { isOpenbellError, OpenbellError } from '../../core/errors.ts'

// Numbers as in sqlite3.h; the low byte of an extended code is its family.
const sqlite = {
  perm: 3,
  busy: 5,
  locked: 6,
  readonly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  auth: 23,
  notADatabase: 26,
  foreignKey: 787,
  primaryKey: 1555,
  unique: 2067,
}

/** I/O errors on the way to the disk: a quota, a size limit or a disk that takes no more. */
const ioErrorsOfWriting = new Set([778, 1034, 1290, 1546, 4874, 4618, 5130])

function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined
  return typeof error.errcode === 'number' ? error.errcode : undefined
}

/** Another process has the lock; trying again helps. */
export function isBusy(error: unknown): boolean {
  const family = (sqliteCode(error) ?? 0) & 0xff
  return family === sqlite.busy || family === sqlite.locked
}

export function busyFor(path: string, seconds: number, cause: unknown): OpenbellError {
  const message = `Another program has been writing to the vault ${path} for ${seconds} seconds; try again, or stop it.`
  return new OpenbellError('vault-busy', message, { cause })
}

/** What to throw instead of `error`. Anything that did not come from the store stays as it is. */
export function inOurWords(error: unknown, path: string): unknown {
  if (isOpenbellError(error)) return error
  // Documents are written by us alone, so one that cannot be parsed was damaged.
  if (error instanceof SyntaxError) return damaged(path, error)
  const code = sqliteCode(error)
  if (code === undefined) return systemFailure(error, path)

  if (code === sqlite.foreignKey) {
    return new OpenbellError(
      'unknown-account',
      'The account is not in the vault, so nothing was saved for it.',
      {
        cause: error,
      },
    )
  }
  if (code === sqlite.primaryKey || code === sqlite.unique) {
    return new OpenbellError(
      'conflict',
      'A record with that id is in the vault already; it was left as it is.',
      {
        cause: error,
      },
    )
  }
  switch (code & 0xff) {
    case sqlite.corrupt:
    case sqlite.notADatabase:
      return damaged(path, error)
    case sqlite.full:
      return full(path, error)
    case sqlite.ioError:
      return ioErrorsOfWriting.has(code) ? full(path, error) : damaged(path, error)
    case sqlite.readonly:
    case sqlite.perm:
    case sqlite.auth:
      return readOnly(path, error)
    case sqlite.cannotOpen:
      return new OpenbellError(
        'vault-missing',
        `The vault ${path} cannot be opened: check that its folder exists and that this user may read and write it.`,
        { cause: error },
      )
    default:
      return new OpenbellError('internal', `The vault ${path} refused a statement.`, { cause: error })
  }
}

export function damaged(path: string, cause: unknown): OpenbellError {
  const message = `The vault ${path} is damaged or is not a vault: move it away and put a backup in its place.`
  return new OpenbellError('vault-corrupt', message, { cause })
}

function full(path: string, cause: unknown): OpenbellError {
  const message = `The disk takes no more data for the vault ${path}: free some space there.`
  return new OpenbellError('vault-full', message, { cause })
}

function readOnly(path: string, cause: unknown): OpenbellError {
  const message = `This user may only read the vault ${path}: run as its owner, or make it and its folder writable.`
  return new OpenbellError('vault-locked', message, { cause })
}

/** From node:fs while the vault's file is made, or from a connection that is closed. */
function systemFailure(error: unknown, path: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return full(path, error)
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return readOnly(path, error)
    case 'ENOENT':
    case 'ENOTDIR':
    case 'EEXIST':
      return new OpenbellError(
        'vault-missing',
        `The folder of the vault ${path} is missing and cannot be made.`,
        {
          cause: error,
        },
      )
    case 'ERR_INVALID_STATE':
      return new OpenbellError('internal', `The vault ${path} was closed while it was still in use.`, {
        cause: error,
      })
    default:
      return error
  }
}
