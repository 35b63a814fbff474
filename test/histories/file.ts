/** A file that a program reads its token from, without the disk. */

import { OpenbellError } from '../../src/core/errors.ts'
import type { Publisher } from '../../src/core/publisher.ts'
import { Secret } from '../../src/core/secret.ts'

export interface File {
  content: string | undefined
  by: 'openbell' | 'hand' | undefined
  writable: boolean
  publisher: Publisher
}

export function file(): File {
  const self: File = {
    content: undefined,
    by: undefined,
    writable: true,
    publisher: {
      kind: 'file',
      settings: {},
      needs: ['accessToken'],
      check: async () => undefined,
      resource: () => 'file:/bot/token',
      places: () => ['*'],
      async write(_, { accessToken }) {
        if (!self.writable)
          throw new OpenbellError('destination-unwritable', '/bot/token cannot be written: the disk is full.')
        self.content = accessToken.expose()
        self.by = 'openbell'
      },
      readBack: async () => (self.content === undefined ? undefined : new Secret(self.content)),
    },
  }
  return self
}
