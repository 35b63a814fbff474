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
  destination: Destination,
  known: Readonly<Record<string, SettingField>>,
): FilePlace {
  refuseUnknown(destination, known)
  return { path: absolutePath(destination, 'path'), inPlace: flag(destination, 'inPlace') }
}

/** Throws `invalid-field` for a setting that is not in `known`. */
export function refuseUnknown(
  { id, settings }: Destination,
  known: Readonly<Record<string, SettingField>>,
): void {
  const unknown = Object.keys(settings).find((name) => !Object.hasOwn(known, name))
  if (unknown === undefined) return
  throw invalid(
    unknown,
    `destination ${id} has no setting ${unknown}: it takes ${Object.keys(known).join(', ')}.`,
  )
}

/** Throws `invalid-field`. */
export function absolutePath({ id, settings }: Destination, field: string): string {
  const path = settings[field] ?? ''
  if (isAbsolute(path) && !path.includes('\0')) return normalize(path)
  throw invalid(field, `${field} of destination ${id} must be absolute, like /srv/bot/.env.`)
}

/** False when it is not set. Throws `invalid-field`. */
export function flag({ id, settings }: Destination, field: string): boolean {
  const { [field]: value = 'false' } = settings
  if (value === 'true' || value === 'false') return value === 'true'
  throw invalid(field, `${field} of destination ${id} must be true or false.`)
}

export function invalid(field: string, message: string): OpenbellError {
  return new OpenbellError('invalid-field', message, { field })
}
