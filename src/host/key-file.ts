/** The vault's key: 32 random bytes, in base64, in a file that only its owner can read or in an environment value. */

import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { OpenbellError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'

const keyBytes = 32

export interface VaultKey {
  /** 32 bytes in base64. */
  secret: Secret
  /** Where it was found, for messages: a path or the name of a variable. */
  from: string
}

/**
 * Makes a key and its file: mode 0600, on disk when it resolves, its folder 0700 when that is made as well.
 * Throws `conflict` when there is a file already, which is left as it is.
 */
export async function createKeyFile(path: string): Promise<VaultKey> {
  const secret = new Secret(randomBytes(keyBytes).toString('base64'))
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  // A crash or a second process must never meet half a key: the file appears under its name whole, or not at all.
  const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await writePrivate(draft, secret)
    await link(draft, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    throw new OpenbellError('conflict', `There is a key file ${path} already; it was left as it is.`, {
      cause: error,
    })
  } finally {
    await unlink(draft)
  }
  await syncFolder(dirname(path))
  return { secret, from: path }
}

/** Throws `key-missing`, `key-file-open` (others could read it) or `invalid-config` (it holds no key). */
export async function readKeyFile(path: string): Promise<VaultKey> {
  const { mode, text } = await readPrivate(path)
  if (mode & 0o077) {
    throw new OpenbellError(
      'key-file-open',
      `The key file ${path} can be read or changed by other users: type  chmod 600 ${quoted(path)}`,
      { field: path },
    )
  }
  return checked(text.trim(), path)
}

/** `name` is the variable that `value` came from. Throws `invalid-config` when it holds no key. */
export function keyFromValue(value: string, name: string): VaultKey {
  return checked(value.trim(), name)
}

function checked(text: string, from: string): VaultKey {
  const bytes = Buffer.from(text, 'base64')
  // Decoding skips what it does not know, so only a text that comes back the same was whole.
  if (bytes.length !== keyBytes || bytes.toString('base64') !== text) {
    throw new OpenbellError(
      'invalid-config',
      `${from} holds no vault key: it must be ${keyBytes} bytes in base64 (44 characters); put the right one back.`,
      { field: from },
    )
  }
  return { secret: new Secret(text), from }
}

async function readPrivate(path: string): Promise<{ mode: number; text: string }> {
  try {
    const { mode } = await stat(path)
    return { mode, text: await readFile(path, 'utf8') }
  } catch (error) {
    const reason = codeOf(error) === 'ENOENT' ? 'is missing' : `cannot be read (${codeOf(error)})`
    throw new OpenbellError(
      'key-missing',
      `The key file ${path} ${reason}: put back the one this vault was made with.`,
      {
        field: path,
        cause: error,
      },
    )
  }
}

async function writePrivate(path: string, secret: Secret): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(`${secret.expose()}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** As a shell takes it literally. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
