import { spawnSync } from 'node:child_process'
import { statSync, writeFileSync } from 'node:fs'
import {
  chmod,
  chown,
  type FileHandle,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkReplaceable, editFile, readFileIfThere, replaceFile } from './atomic-file.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openbell-atomic-'))
  path = join(folder, 'token')
})
afterEach(() => rm(folder, { recursive: true }))

const modeOf = (file: string) => statSync(file).mode & 0o7777
const isRoot = process.getuid?.() === 0

/** Root has every right, so rights are tested as somebody else. */
async function asNobody<T>(gid: number, work: () => Promise<T>): Promise<T> {
  process.setegid?.(gid)
  process.seteuid?.(65_534)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
  }
}

describe('the file', () => {
  it('is new and for its owner alone, whatever the umask', async () => {
    const old = process.umask(0o277)
    try {
      await replaceFile(path, 'one')
    } finally {
      process.umask(old)
    }
    expect(modeOf(path)).toBe(0o600)
    expect(await readFile(path, 'utf8')).toBe('one')
  })

  it('is new and has the mode asked for', async () => {
    await replaceFile(path, 'one', { mode: 0o644 })
    expect(modeOf(path)).toBe(0o644)
  })

  it.each([0o600, 0o640, 0o644, 0o400, 0o666])('keeps its mode %o', async (mode) => {
    await writeFile(path, 'one')
    await chmod(path, mode)
    await replaceFile(path, 'two', { mode: 0o700 })
    expect(modeOf(path)).toBe(mode)
    expect(await readFile(path, 'utf8')).toBe('two')
  })

  it('is another file afterwards, so that a reader of the old one reads on', async () => {
    await replaceFile(path, 'one')
    const { ino } = await stat(path)
    await replaceFile(path, 'two')
    expect((await stat(path)).ino).not.toBe(ino)
    expect(await readdir(folder)).toEqual(['token'])
  })

  it.runIf(isRoot)('keeps its owner and group when root writes it', async () => {
    await writeFile(path, 'one')
    await chown(path, 1_234, 2_345)
    await replaceFile(path, 'two')
    expect(await stat(path)).toMatchObject({ uid: 1_234, gid: 2_345 })
  })

  it.runIf(isRoot)('keeps its group where only that is allowed', async () => {
    await chmod(folder, 0o777)
    await writeFile(path, 'one')
    await chown(path, 1_234, 2_345)
    await chmod(path, 0o660)
    await asNobody(2_345, () => replaceFile(path, 'two'))
    expect(await stat(path)).toMatchObject({ uid: 65_534, gid: 2_345 })
    expect(modeOf(path)).toBe(0o660)
  })

  it.runIf(isRoot)('is not opened to another group than it was', async () => {
    await chmod(folder, 0o777)
    await writeFile(path, 'one')
    await chown(path, 1_234, 2_345)
    await chmod(path, 0o664)
    await asNobody(3_456, () => replaceFile(path, 'two'))
    expect(await stat(path)).toMatchObject({ uid: 65_534, gid: 3_456 })
    expect(modeOf(path)).toBe(0o604)
  })
})

describe('the disk', () => {
  async function spyOnSync() {
    const file = await open(join(folder, 'any'), 'w')
    await file.close()
    await rm(join(folder, 'any'))
    return vi.spyOn(Object.getPrototypeOf(file) as FileHandle, 'sync')
  }

  it('has the file before its name, and then the name', async () => {
    await writeFile(path, 'one')
    const seen: string[] = []
    const sync = await spyOnSync()
    sync.mockImplementation(async function (this: FileHandle) {
      const kind = (await this.stat()).isDirectory() ? 'folder' : 'file'
      seen.push(`${kind} synced while ${await readFile(path, 'utf8')} has the name`)
    })
    await replaceFile(path, 'two')
    expect(seen).toEqual(['file synced while one has the name', 'folder synced while two has the name'])
  })

  it('that fails leaves the old file and nothing beside it', async () => {
    await writeFile(path, 'one')
    const sync = await spyOnSync()
    sync.mockRejectedValue(Object.assign(new Error('bad block'), { code: 'EIO' }))
    await expect(replaceFile(path, 'two')).rejects.toMatchObject({
      code: 'destination-unwritable',
      message: `${path} could not be used (EIO): look at the disk if this stays.`,
    })
    expect(await readdir(folder)).toEqual(['token'])
    expect(await readFile(path, 'utf8')).toBe('one')
  })
})

describe('a link', () => {
  it('stays, and what it points at is replaced, over several links', async () => {
    await mkdir(join(folder, 'real'))
    await writeFile(join(folder, 'real', 'file'), 'one')
    await symlink('real/file', join(folder, 'middle'))
    await symlink(join(folder, 'middle'), path)
    await replaceFile(path, 'two')
    expect((await lstat(path)).isSymbolicLink()).toBe(true)
    expect((await lstat(join(folder, 'middle'))).isSymbolicLink()).toBe(true)
    expect(await readFile(join(folder, 'real', 'file'), 'utf8')).toBe('two')
    expect(await readdir(join(folder, 'real'))).toEqual(['file'])
  })

  it('to nothing gets its file', async () => {
    await mkdir(join(folder, 'real'))
    await symlink('real/file', path)
    expect(await readFileIfThere(path)).toBeUndefined()
    await replaceFile(path, 'one')
    expect(await readFile(join(folder, 'real', 'file'), 'utf8')).toBe('one')
    expect((await lstat(path)).isSymbolicLink()).toBe(true)
  })

  it('in a circle is refused', async () => {
    await symlink('token', path)
    await expect(replaceFile(path, 'one')).rejects.toMatchObject({ code: 'destination-unwritable' })
  })

  it('of the hard kind is refused while there is somebody to ask, and cut when a token must go out', async () => {
    await writeFile(path, 'one')
    await link(path, join(folder, 'other'))
    await expect(checkReplaceable(path)).rejects.toThrow('hard links')
    await checkReplaceable(path, { inPlace: true })
    await replaceFile(path, 'two')
    expect(await readFile(path, 'utf8')).toBe('two')
    expect(await readFile(join(folder, 'other'), 'utf8')).toBe('one')
  })
})

describe('what is no plain file is refused', () => {
  async function refused(what: string, at: string): Promise<void> {
    for (const work of [
      () => replaceFile(at, 'canary'),
      () => replaceFile(at, 'canary', { inPlace: true }),
      () => editFile(at, () => 'canary'),
      () => readFileIfThere(at),
      () => checkReplaceable(at),
    ]) {
      await expect(work()).rejects.toMatchObject({
        code: 'destination-unwritable',
        message: expect.stringContaining(what),
      })
    }
  }

  it('a folder', () => refused('a folder', folder))
  it('a device', () => refused('a device', '/dev/null'))
  it('a link to a device', async () => {
    await symlink('/dev/full', path)
    await refused('a device', path)
  })
  it('a named pipe, without waiting at it', async () => {
    expect(spawnSync('mkfifo', [path]).status).toBe(0)
    await refused('a named pipe', path)
  })
  it('a socket', async () => {
    const server = createServer()
    await new Promise<void>((listening) => server.listen(path, listening))
    try {
      await refused('a socket', path)
    } finally {
      await new Promise((closed) => server.close(closed))
    }
  })
})

describe('a failure is one sentence and leaves nothing behind', () => {
  it.each([
    ['no folder', (at: string) => `${at}/missing/token`, 'create it or correct the path'],
    ['a file for a folder', (at: string) => `${at}/plain/token`, 'correct the path'],
    ['a file system that takes no files', () => '/proc/self/openbell', 'create it or correct the path'],
    ['too long a name', (at: string) => `${at}/${'x'.repeat(300)}`, 'choose a shorter one'],
  ])('%s', async (_, at, mend) => {
    await writeFile(join(folder, 'plain'), '')
    for (const work of [() => replaceFile(at(folder), 'canary'), () => checkReplaceable(at(folder))]) {
      const error = (await work().catch((thrown: unknown) => thrown)) as Error
      expect(error).toMatchObject({ code: 'destination-unwritable' })
      expect(error.message).toContain(mend)
      expect(error.message).toMatch(/^[^\n]+\.$/)
    }
    expect(await readdir(folder)).toEqual(['plain'])
  })

  it.runIf(isRoot)('no right to the folder', async () => {
    await writeFile(path, 'one', { mode: 0o644 })
    await chmod(folder, 0o755)
    await asNobody(65_534, async () => {
      await expect(replaceFile(path, 'two')).rejects.toThrow('give it the right')
      await expect(checkReplaceable(path)).rejects.toThrow('give it the right')
      await expect(checkReplaceable(path, { inPlace: true })).rejects.toThrow('give it the right')
    })
    expect(await readdir(folder)).toEqual(['token'])
    expect(await readFile(path, 'utf8')).toBe('one')
  })

  // Mounting needs root and its own mount namespace, which some containers forbid.
  const mountable = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
  function afterMounting(mount: string, script: string): string {
    const code = `import { ${'replaceFile, checkReplaceable, readFileIfThere'} } from ${JSON.stringify(new URL('./atomic-file.ts', import.meta.url).href)}
      import { readdirSync } from 'node:fs'
      const told = async (work) => { try { await work; console.log('fine') } catch (error) { console.log(error.code, error.message) } }
      const path = process.argv[1]
      ${script}`
    const { stdout, stderr } = spawnSync(
      'unshare',
      [
        '-m',
        'sh',
        '-c',
        `${mount} && exec "$1" --input-type=module -e "$2" "$0/token"`,
        folder,
        process.execPath,
        code,
      ],
      { encoding: 'utf8' },
    )
    return stdout + stderr
  }

  it.runIf(mountable)('a full disk', () => {
    const seen = afterMounting(
      'mount -t tmpfs -o size=64k tmpfs "$0" && printf one > "$0/token"',
      `await told(replaceFile(path, 'x'.repeat(100_000)))
       await told(replaceFile(path, 'x'.repeat(100_000), { inPlace: true }))
       console.log(await readFileIfThere(path), readdirSync(path.slice(0, -6)).join())
       await told(replaceFile(path, 'two'))`,
    )
    const full = `destination-unwritable ${path} cannot be written because the disk is full: free some space.\n`
    expect(seen).toBe(`${full}${full}one token\nfine\n`)
  })

  it.runIf(mountable)('a read-only file system', () => {
    const seen = afterMounting(
      'mount -t tmpfs tmpfs "$0" && printf one > "$0/token" && mount -o remount,ro "$0"',
      `await told(replaceFile(path, 'two'))
       await told(replaceFile(path, 'two', { inPlace: true }))
       await told(checkReplaceable(path))
       await told(checkReplaceable(path, { inPlace: true }))
       console.log(await readFileIfThere(path))`,
    )
    expect(seen).toMatch(
      /^(destination-unwritable .* read-only file system: mount it writable .*\n){4}one\n$/,
    )
  })

  it.runIf(mountable)('a single file that is mounted, for which there is a setting', () => {
    const seen = afterMounting(
      'printf long-old-one > "$0/outside" && touch "$0/token" && mount --bind "$0/outside" "$0/token"',
      `await told(replaceFile(path, 'two'))
       await told(checkReplaceable(path))
       console.log(await readFileIfThere(path), readdirSync(path.slice(0, -6)).join())
       await told(checkReplaceable(path, { inPlace: true }))
       await told(replaceFile(path, 'two', { inPlace: true }))
       console.log(await readFileIfThere(path))`,
    )
    const busy = `destination-unwritable ${path} is mounted as a single file and cannot be replaced: mount its folder instead, or set inPlace to true.\n`
    expect(seen).toBe(`${busy}${busy}long-old-one outside,token\nfine\nfine\ntwo\n`)
  })
})

describe('in place', () => {
  it('keeps the file itself, and cuts off the rest of a longer one', async () => {
    await writeFile(path, 'a long old one', { mode: 0o640 })
    await link(path, join(folder, 'other'))
    const { ino } = await stat(path)
    await replaceFile(path, 'two', { inPlace: true })
    expect(await readFile(join(folder, 'other'), 'utf8')).toBe('two')
    expect((await stat(path)).ino).toBe(ino)
    expect(modeOf(path)).toBe(0o640)
    await replaceFile(path, 'longer again', { inPlace: true })
    expect(await readFile(path, 'utf8')).toBe('longer again')
  })

  it('makes a file that is not there', async () => {
    await replaceFile(path, 'one', { inPlace: true })
    expect(modeOf(path)).toBe(0o600)
  })
})

describe('an edit', () => {
  it('keeps bytes that are no UTF-8', async () => {
    const bytes = Buffer.from([0x41, 0xe9, 0x00, 0xff, 0x0a])
    await writeFile(path, bytes)
    await editFile(path, (text) => `${text}B`)
    expect(await readFile(path)).toEqual(Buffer.concat([bytes, Buffer.from('B')]))
  })

  it('keeps a byte order mark and characters beyond Latin', async () => {
    await writeFile(path, '\uFEFFé😀')
    await editFile(path, (text) => `${text}!`)
    expect(await readFile(path, 'utf8')).toBe('\uFEFFé😀!')
  })

  it('that changes nothing writes nothing', async () => {
    await writeFile(path, 'one')
    const { ino } = await stat(path)
    await editFile(path, (text) => text)
    await editFile(path, () => undefined)
    expect((await stat(path)).ino).toBe(ino)
    await editFile(join(folder, 'other'), () => undefined)
    expect(await readdir(folder)).toEqual(['token'])
  })

  it.each([false, true])(
    'is made again on what another program wrote meanwhile (in place: %s)',
    async (inPlace) => {
      await writeFile(path, 'one')
      const seen: unknown[] = []
      await editFile(
        path,
        (text) => {
          seen.push(text)
          if (seen.length === 1) writeFileSync(path, 'two')
          return `${text}!`
        },
        { inPlace },
      )
      expect(seen).toEqual(['one', 'two'])
      expect(await readFile(path, 'utf8')).toBe('two!')
      expect(await readdir(folder)).toEqual(['token'])
    },
  )

  it('gives way to a program that never stops', async () => {
    let edits = 0
    const edit = editFile(path, (text) => {
      writeFileSync(path, `theirs ${++edits}`)
      return `${text}!`
    })
    await expect(edit).rejects.toMatchObject({ code: 'conflict' })
    expect(await readFile(path, 'utf8')).toBe(`theirs ${edits}`)
    expect(await readdir(folder)).toEqual(['token'])
  })

  it('passes on what it throws', async () => {
    const edit = editFile(path, () => {
      throw new RangeError('mine')
    })
    await expect(edit).rejects.toThrow(RangeError)
  })
})

it('a file is read, and none is undefined', async () => {
  expect(await readFileIfThere(path)).toBeUndefined()
  expect(await readFileIfThere(join(folder, 'missing', 'token'))).toBeUndefined()
  await writeFile(path, 'one')
  expect(await readFileIfThere(path)).toBe('one')
})

it('what killed processes left is cleared away after an hour, and nothing else', async () => {
  const left = (name: string) => join(folder, `.openbell-${name}.tmp`)
  await mkdir(left('00000000000a'))
  for (const name of ['00000000000b', '00000000000c', 'mine']) await writeFile(left(name), 'canary')
  const { mtimeMs } = await stat(left('mine'))
  const before = (minutes: number) => new Date(mtimeMs - minutes * 60_000)
  for (const name of ['00000000000a', '00000000000b', 'mine'])
    await utimes(left(name), before(61), before(61))
  await utimes(left('00000000000c'), before(55), before(55))
  await replaceFile(path, 'one')
  expect((await readdir(folder)).sort()).toEqual(
    ['.openbell-00000000000a.tmp', '.openbell-00000000000c.tmp', '.openbell-mine.tmp', 'token'].sort(),
  )
})
