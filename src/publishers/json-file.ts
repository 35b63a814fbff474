/** A JSON file with the session under plain names, for programs in any language. Other keys in it are kept. */

import { OpenbellError } from '../core/errors.ts'
import { maybeText } from '../core/json.ts'
import type { Destination } from '../core/model.ts'
import type { Publisher, Release } from '../core/publisher.ts'
import { Secret } from '../core/secret.ts'
import { iso } from '../core/time.ts'
import { checkReplaceable, editFile, readFileIfThere } from '../host/atomic-file.ts'
import { filePlace, fileSettings } from './file/settings.ts'

export const jsonFile: Publisher = {
  kind: 'json-file',
  settings: fileSettings,
  needs: ['accessToken', 'appKey', 'expiry'],

  async check(destination) {
    const { path, inPlace } = placeOf(destination)
    await checkReplaceable(path, { inPlace })
    parsed(path, await readFileIfThere(path))
  },

  resource(destination) {
    return `file:${placeOf(destination).path}`
  },

  places() {
    return ['*']
  },

  async write(destination, release) {
    const { path, inPlace } = placeOf(destination)
    await editFile(path, (text) => printed({ ...withoutOurs(parsed(path, text)), ...fieldsOf(release) }), {
      inPlace,
    })
  },

  async readBack(destination) {
    const { path } = placeOf(destination)
    const text = await readFileIfThere(path)
    const token = maybeText(parse(text), 'access_token')
    return token === undefined ? undefined : new Secret(token)
  },

  async withdraw(destination) {
    const { path, inPlace } = placeOf(destination)
    await editFile(
      path,
      (text) => {
        const content = parsed(path, text)
        const rest = withoutOurs(content)
        // A file without anything of ours keeps its own layout.
        return Object.keys(rest).length === Object.keys(content).length ? undefined : printed(rest)
      },
      { inPlace },
    )
  },
}

function placeOf(destination: Destination) {
  return filePlace(destination, fileSettings)
}

/** Every key that `write` ever sets, so that none of an earlier release stays behind. */
const ours = [
  'broker',
  'environment',
  'account',
  'slot',
  'user_id',
  'app_key',
  'access_token',
  'generation',
  'issued_at',
  'expires_at',
] as const

function fieldsOf(release: Release): Partial<Record<(typeof ours)[number], unknown>> {
  return {
    broker: release.brokerId,
    environment: release.environment,
    account: release.ref.accountId,
    slot: release.slot,
    user_id: release.brokerUserId,
    app_key: release.appKey?.expose(),
    access_token: release.accessToken.expose(),
    generation: release.generation,
    issued_at: iso(release.issuedAt),
    expires_at: iso(release.expiresAt),
  }
}

function withoutOurs(content: object): object {
  return Object.fromEntries(
    Object.entries(content).filter(([key]) => !(ours as readonly string[]).includes(key)),
  )
}

/** An empty file counts as an empty object: somebody made it to set its mode, or to mount it. */
function parsed(path: string, text: string | undefined): object {
  const content = text === undefined || text.trim() === '' ? {} : parse(text)
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

function printed(content: object): string {
  return `${JSON.stringify(content, null, 2)}\n`
}
