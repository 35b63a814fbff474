/** The settings that every destination in a file has. */

import { isAbsolute, normalize } from 'node:path'
import { OpenbellError } from '../../core/errors.ts'
import type { Destination } from '../../core/model.ts'
import type { SettingField } from '../../core/publisher.ts'

export const fileSettings = {
  path: { label: 'File', help: 'Absolute path. Made if it is not there, readable by its owner only.' },
  inPlace: {
    label: 'Write in place',
    optional: true,
    help: 'true for a single file that is mounted into a container; a reader may then catch it half-written.',
  },
} as const satisfies Record<string, SettingField>

export interface FilePlace {
  /** Absolute and without `..`. */
  path: string
  inPlace: boolean
}

/** Throws `invalid-field`, also for a setting that is not in `known`. */
export function filePlace(
  { id, settings }: Destination,
  known: Readonly<Record<string, SettingField>>,
): FilePlace {
  const unknown = Object.keys(settings).find((name) => !Object.hasOwn(known, name))
  if (unknown !== undefined) {
    throw invalid(
      unknown,
      `destination ${id} has no setting ${unknown}: it takes ${Object.keys(known).join(', ')}.`,
    )
  }
  const { path = '', inPlace = 'false' } = settings
  if (!isAbsolute(path) || path.includes('\0')) {
    throw invalid('path', `path of destination ${id} must be absolute, like /srv/bot/.env.`)
  }
  if (inPlace !== 'true' && inPlace !== 'false') {
    throw invalid('inPlace', `inPlace of destination ${id} must be true or false.`)
  }
  return { path: normalize(path), inPlace: inPlace === 'true' }
}

export function invalid(field: string, message: string): OpenbellError {
  return new OpenbellError('invalid-field', message, { field })
}
