/** A JSON file with the session under plain names, for programs in any language. Other keys in it are kept. */

import { OpenbellError } from '../core/errors.ts'
import type { Destination } from '../core/model.ts'
import type { Publisher } from '../core/publisher.ts'
import { Secret } from '../core/secret.ts'
import { checkReplaceable, editFile, readFileIfThere } from '../host/atomic-file.ts'
import { filePlace, fileSettings, invalid } from './file/settings.ts'
import { type Shape, shapes } from './json-file/shapes.ts'

export const jsonFile: Publisher = {
  kind: 'json-file',
  settings: {
    ...fileSettings,
    shape: {
      label: 'Shape',
      optional: true,
      help: 'openbell, which is the default, or kite for programs that read a kite_token.json.',
    },
  },
  needs: ['accessToken', 'appKey', 'expiry'],

  async check(destination) {
    const { path, inPlace, shape } = placeOf(destination)
    await checkReplaceable(path, { inPlace })
    parsed(path, await readFileIfThere(path), shape)
  },

  resource(destination) {
    return `file:${placeOf(destination).path}`
  },

  places() {
    return ['*']
  },

  async write(destination, release) {
    const { path, inPlace, shape } = placeOf(destination)
    await editFile(path, (text) => printed(shape.merged(parsed(path, text, shape), release)), { inPlace })
  },

  async readBack(destination) {
    const { path, shape } = placeOf(destination)
    const token = shape.token(parse(await readFileIfThere(path)))
    return token === undefined ? undefined : new Secret(token)
  },

  async withdraw(destination) {
    const { path, inPlace, shape } = placeOf(destination)
    await editFile(
      path,
      (text) => {
        const content = parsed(path, text, shape)
        const rest = shape.without(content)
        // A file without anything of ours keeps its own layout.
        return rest === content ? undefined : printed(rest)
      },
      { inPlace },
    )
  },
}

function placeOf(destination: Destination) {
  const place = filePlace(destination, jsonFile.settings)
  const { shape: name = 'openbell' } = destination.settings
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined
  if (shape) return { ...place, shape }
  throw invalid(
    'shape',
    `shape of destination ${destination.id} must be one of ${Object.keys(shapes).join(', ')}.`,
  )
}

/** An empty file counts as an empty object: somebody made it to set its mode, or to mount it. */
function parsed(path: string, text: string | undefined, { takesText }: Shape): object | string {
  const content = text === undefined || text.trim() === '' ? {} : parse(text)
  if (takesText && typeof content === 'string') return content
  if (typeof content === 'object' && content !== null && !Array.isArray(content)) return content
  throw new OpenbellError(
    'destination-unwritable',
    `${path} holds something else than a JSON object: move it away or choose another path.`,
  )
}

/** Undefined for what is no JSON; the parser's own error would quote the file. Numbers keep their digits. */
function parse(text: string | undefined): unknown {
  try {
    return JSON.parse((text ?? '').replace(/^\uFEFF/, ''), asWritten)
  } catch {
    return undefined
  }
}

// TypeScript's library does not know these two parts of JSON yet.
type WithRawJson = typeof JSON & { rawJSON(text: string): unknown }

function asWritten(_key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === 'number' && context?.source !== undefined
    ? (JSON as WithRawJson).rawJSON(context.source)
    : value
}

function printed(content: object | string): string {
  return `${JSON.stringify(content, null, 2)}\n`
}
