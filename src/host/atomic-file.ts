/**
 * Files that other programs read at any moment: replaced whole, or left as they were.
 *
 * A replaced file keeps its mode, and its owner and group where this process may give files away. Access control
 * lists and extended attributes are not kept: Node cannot read them. Symbolic links stay; what they point at is
 * replaced. A further hard link to the file keeps the old content, as with every program that renames.
 */

import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import {
  type FileHandle,
  lstat,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  unlink,
} from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { OpenbellError } from '../core/errors.ts'
import { hourMs } from '../core/time.ts'

export interface FileOptions {
  /** Permission bits of a file that is not there yet; one that is there keeps its own. Default 0600. */
  mode?: number
  /**
   * Overwrite the bytes of the file instead of replacing it. Only for a single file that is bind-mounted, which cannot
   * be replaced: a reader may catch it half-written, and so may a crash.
   */
  inPlace?: boolean
}

/**
 * Puts `content` at `path`, durable when it resolves. Throws `destination-unwritable` in one sentence, with the old
 * file as it was and nothing left beside it.
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  options: FileOptions = {},
): Promise<void> {
  await inOneSentence(path, async () => {
    await put(await targetOf(path), Buffer.from(content), options)
  })
}

/**
 * Reads, changes and replaces. `edit` gets undefined when there is no file and returns undefined to leave everything
 * as it is; nothing is written either when the text stays the same. Every byte that `edit` leaves in its text is kept,
 * whether the file is UTF-8 or not. When another program changes the file meanwhile, `edit` is called again with the
 * new text. Throws like `replaceFile`, `conflict` when the file never holds still, and whatever `edit` throws.
 */
export async function editFile(
  path: string,
  edit: (text: string | undefined) => string | undefined,
  options: FileOptions = {},
): Promise<void> {
  await inOneSentence(path, async () => {
    const target = await targetOf(path)
    for (let attempt = 1; attempt <= 5; attempt++) {
      const before = await bytesIfThere(target)
      const encoding = before === undefined ? 'utf8' : encodingOf(before)
      const text = edit(before?.toString(encoding))
      if (text === undefined) return
      const after = Buffer.from(text, encoding)
      if (before?.equals(after)) return
      const unchanged = async () => same(before, await bytesIfThere(target))
      if (await put(target, after, options, unchanged)) return
    }
    throw new OpenbellError(
      'conflict',
      `${path} is being changed by another program again and again: it was left to that program, and will be tried later.`,
    )
  })
}

/** The file's text, undefined when there is none. Throws `destination-unwritable` when it cannot be read. */
export async function readFileIfThere(path: string): Promise<string | undefined> {
  return inOneSentence(path, async () => {
    const bytes = await bytesIfThere(path)
    return bytes?.toString(encodingOf(bytes))
  })
}

/**
 * Throws what `replaceFile` would, as far as it can be known without writing: an empty file is made in the folder and
 * taken away again. Also refuses a file with further hard links, while there is a person to read why.
 */
export async function checkReplaceable(path: string, options: FileOptions = {}): Promise<void> {
  await inOneSentence(path, async () => {
    const target = await targetOf(path)
    const there = await statsIfThere(target)
    // Opened, because `access` asks for the rights of another user id than the one that will write.
    if (there) await (await open(target, options.inPlace ? 'r+' : 'r')).close()
    if (there && options.inPlace) return
    if (there && there.nlink > 1) {
      throw new OpenbellError(
        'destination-unwritable',
        `${path} has further names (hard links) that would keep the old content: link to it symbolically, or set inPlace to true.`,
      )
    }
    if (there && (await isMountPoint(target))) throw systemError('EBUSY')
    const trial = temporaryIn(dirname(target))
    const file = await open(trial, 'wx', 0o600)
    await file.close()
    await unlink(trial)
  })
}

// ------------------------------------------------------------------------------------------------------ writing

/** False when `unchanged` said no right before the last step; then nothing has happened. */
async function put(
  target: string,
  content: Buffer,
  options: FileOptions,
  unchanged: () => Promise<boolean> = async () => true,
): Promise<boolean> {
  const old = await statsIfThere(target)
  if (old && options.inPlace) {
    if (!(await unchanged())) return false
    await overwrite(target, content)
    return true
  }

  const folder = dirname(target)
  const temporary = temporaryIn(folder)
  // Closed to everybody until it has the owner it is for.
  const file = await open(temporary, 'wx', 0o600)
  try {
    let writtenAtMs: number
    try {
      await file.chmod(old ? await takeOverOwner(file, old) : (options.mode ?? 0o600))
      await file.writeFile(content)
      await file.sync()
      writtenAtMs = (await file.stat()).mtimeMs
    } finally {
      await file.close()
    }
    if (!(await unchanged())) {
      await unlink(temporary)
      return false
    }
    await rename(temporary, target)
    await sweep(folder, writtenAtMs - hourMs)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncFolder(folder)
  return true
}

/** Gives the new file the old one's owner and group; answers with the mode it may have then. */
async function takeOverOwner(file: FileHandle, old: Stats): Promise<number> {
  const mode = old.mode & 0o777
  const { uid, gid } = await file.stat()
  if (uid === old.uid && gid === old.gid) return mode
  if (await mayChown(file, old.uid, old.gid)) return mode
  if (gid === old.gid || (await mayChown(file, uid, old.gid))) return mode
  // The group would be another one than the operator opened the file to.
  return mode & ~0o070
}

async function mayChown(file: FileHandle, uid: number, gid: number): Promise<boolean> {
  try {
    await file.chown(uid, gid)
    return true
  } catch (error) {
    if (codeOf(error) === 'EPERM') return false
    throw error
  }
}

async function overwrite(target: string, content: Buffer): Promise<void> {
  const before = await readFile(target)
  const file = await open(target, constants.O_WRONLY)
  try {
    try {
      await fill(file, content)
    } catch (error) {
      // The old bytes had room a moment ago.
      await fill(file, before).catch(() => undefined)
      throw error
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

async function fill(file: FileHandle, content: Buffer): Promise<void> {
  // Cut off last, so that no reader finds the file empty.
  for (let at = 0; at < content.length; ) {
    at += (await file.write(content, at, content.length - at, at)).bytesWritten
  }
  await file.truncate(content.length)
}

async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, constants.O_RDONLY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    // Some file systems cannot sync a folder, and some folders may be written but not read.
    if (!['EINVAL', 'ENOTSUP', 'EACCES', 'EPERM', 'EISDIR'].includes(codeOf(error) ?? '')) throw error
  }
}

function temporaryIn(folder: string): string {
  return join(folder, `.openbell-${randomBytes(6).toString('hex')}.tmp`)
}

/** Takes away what a killed process left: such a file may hold a token. */
async function sweep(folder: string, olderThanMs: number): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      if (!/^\.openbell-[0-9a-f]{12}\.tmp$/.test(name)) continue
      const stats = await lstat(join(folder, name))
      if (stats.isFile() && stats.mtimeMs < olderThanMs) await unlink(join(folder, name))
    }
  } catch {
    // Housekeeping: what was asked for is done, and the next write sweeps again.
  }
}

// ------------------------------------------------------------------------------------------------------ looking

/** Where the bytes are or will be: links followed, also one that points at nothing yet. */
async function targetOf(path: string, hops = 0): Promise<string> {
  const folder = await realpath(dirname(path))
  const here = join(folder, basename(path))
  const link = await unlessCode(['EINVAL', 'ENOENT'], readlink(here))
  if (link === undefined) return here
  if (hops >= 40) throw systemError('ELOOP')
  return targetOf(resolve(folder, link), hops + 1)
}

/** Throws for what is there but is no plain file. */
async function statsIfThere(target: string): Promise<Stats | undefined> {
  const stats = await unlessCode(['ENOENT'], lstat(target))
  if (!stats || stats.isFile()) return stats
  const what = stats.isDirectory()
    ? 'a folder'
    : stats.isFIFO()
      ? 'a named pipe'
      : stats.isSocket()
        ? 'a socket'
        : 'a device'
  throw new OpenbellError('destination-unwritable', `${target} is ${what}: name a plain file.`)
}

async function bytesIfThere(path: string): Promise<Buffer | undefined> {
  const target = await unlessCode(['ENOENT'], targetOf(path))
  // Asked first, because reading a pipe would wait for ever.
  if (target === undefined || !(await statsIfThere(target))) return undefined
  return unlessCode(['ENOENT'], readFile(target))
}

/** What gives back the same bytes: Latin-1 has a character for every one. */
function encodingOf(bytes: Buffer): 'utf8' | 'latin1' {
  return isUtf8(bytes) ? 'utf8' : 'latin1'
}

function same(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one === undefined || other === undefined ? one === other : one.equals(other)
}

/** Linux only; elsewhere the rename itself will tell. */
async function isMountPoint(target: string): Promise<boolean> {
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  const escaped = target.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)
  return table.split('\n').some((line) => line.split(' ')[4] === escaped)
}

// ------------------------------------------------------------------------------------------------------- errors

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code })
}

async function unlessCode<T>(codes: readonly string[], promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (codes.includes(codeOf(error) ?? '')) return undefined
    throw error
  }
}

const mends: Readonly<Record<string, string>> = {
  EBUSY:
    'is mounted as a single file and cannot be replaced: mount its folder instead, or set inPlace to true',
  EACCES: 'may not be used by this user: give it the right to read and write the file and its folder',
  EPERM: 'may not be changed by this user: give it the right to write the file and its folder',
  EROFS: 'lies on a read-only file system: mount it writable or choose another place',
  ENOSPC: 'cannot be written because the disk is full: free some space',
  EDQUOT: 'cannot be written because the disk quota is used up: free some space',
  EISDIR: 'is a folder: name a plain file',
  ENOTDIR: 'leads through something that is no folder: correct the path',
  ENOENT: 'lies in a folder that does not exist or takes no files: create it or correct the path',
  ELOOP: 'is a circle of symbolic links: correct the link',
  ENAMETOOLONG: 'has too long a name: choose a shorter one',
}

async function inOneSentence<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = codeOf(error)
    if (error instanceof OpenbellError || code === undefined) throw error
    const mend = mends[code] ?? `could not be used (${code}): look at the disk if this stays`
    throw new OpenbellError('destination-unwritable', `${path} ${mend}.`, { cause: error })
  }
}
