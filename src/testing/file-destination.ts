/** Destinations in files for `describePublisher`: a folder of its own, foreign content, and ways to go wrong. */

import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Destination } from '../core/model.ts'
import type { DestinationUnderTest, PublisherContract } from './describe-publisher.ts'

interface FileContent {
  kind: string
  /** One byte a character. */
  foreign: string
  /** True while the file's text still holds what `foreign` says. */
  holdsForeign(text: string): boolean
}

/** Whom root becomes where rights are tested, because root has them all. */
const nobody = 65_534

export async function freshFile(content: FileContent): Promise<DestinationUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'openbell-file-'))
  const path = join(folder, 'destination')
  await writeFile(path, content.foreign, { mode: 0o600, encoding: 'latin1' })
  const root = process.getuid?.() === 0

  return {
    destination: {
      id: 'under-test',
      tenantId: 'ours',
      version: 1,
      kind: content.kind,
      settings: { path },
    },
    async picture() {
      const lines: string[] = []
      for (const name of (await readdir(folder)).sort()) {
        const stats = await stat(join(folder, name))
        const bytes = stats.isFile() ? await readFile(join(folder, name), 'latin1') : 'a folder'
        lines.push(`${name} ${stats.mode.toString(8)} ${stats.mtimeMs}\n${bytes}`)
      }
      return lines.join('\n')
    },
    async foreignKept() {
      return content.holdsForeign(await readFile(path, 'latin1'))
    },
    async changeByHand(from, to) {
      await writeFile(
        path,
        (await readFile(path, 'latin1')).replace(from, () => to),
        'latin1',
      )
    },
    async block() {
      if (root) for (const one of [folder, path]) await chown(one, nobody, nobody)
      await chmod(folder, 0o555)
      if (root) process.seteuid?.(nobody)
      return async () => {
        if (root) process.seteuid?.(0)
        await chmod(folder, 0o755)
      }
    },
    async close() {
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What every destination in a file refuses. */
export const refusedFiles: PublisherContract['refused'] = {
  'a relative path': {
    code: 'invalid-field',
    spoil: async (good) => withPath(good, 'bot/.env'),
  },
  'no path': {
    code: 'invalid-field',
    spoil: async (good) => ({ ...good, settings: {} }),
  },
  'a setting it does not know': {
    code: 'invalid-field',
    spoil: async (good) => ({ ...good, settings: { ...good.settings, acessTokenName: 'X' } }),
  },
  'a folder': {
    code: 'destination-unwritable',
    spoil: async (good) => withPath(good, dirname(good.settings.path ?? '')),
  },
  'a path through a file': {
    code: 'destination-unwritable',
    spoil: async (good) => withPath(good, join(good.settings.path ?? '', 'below')),
  },
  'a folder that is not there': {
    code: 'destination-unwritable',
    spoil: async (good) => withPath(good, `${good.settings.path}-missing/file`),
  },
  'a device': {
    code: 'destination-unwritable',
    spoil: async (good) => withPath(good, '/dev/null'),
  },
}

function withPath(destination: Destination, path: string): Destination {
  return { ...destination, settings: { ...destination.settings, path } }
}
