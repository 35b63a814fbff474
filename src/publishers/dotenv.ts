/** A .env file: the token under a variable's name, every other byte as it was. */

import { OpenbellError } from '../core/errors.ts'
import type { Destination } from '../core/model.ts'
import type { Publisher, Release } from '../core/publisher.ts'
import { Secret } from '../core/secret.ts'
import { iso } from '../core/time.ts'
import { checkReplaceable, editFile, readFileIfThere } from '../host/atomic-file.ts'
import { canCarry, isVariableName, readValue, setValue } from './dotenv/lines.ts'
import { filePlace, fileSettings, invalid } from './file/settings.ts'

type Naming = Pick<Release, 'env'>

const nameSettings = ['accessTokenName', 'appKeyName', 'refreshTokenName', 'expiryName'] as const

export const dotenv: Publisher = {
  kind: 'dotenv',
  settings: {
    ...fileSettings,
    accessTokenName: {
      label: 'Variable of the access token',
      optional: true,
      help: 'Default: the usual name at the broker.',
    },
    appKeyName: {
      label: 'Variable of the app key',
      optional: true,
      help: 'Default: the usual name at the broker, where its programs need the key.',
    },
    refreshTokenName: {
      label: 'Variable of the refresh token',
      optional: true,
      help: 'The refresh token is written only when this is set; a program that uses it can end the session.',
    },
    expiryName: {
      label: 'Variable of the expiry',
      optional: true,
      help: 'The end of the access token, ISO 8601 in UTC, is written only when this is set.',
    },
  },
  needs: ['accessToken', 'appKey', 'refreshToken', 'expiry'],

  async check(destination) {
    const { path, inPlace } = placeOf(destination)
    namesOf(destination, { env: { accessToken: '' } })
    await checkReplaceable(path, { inPlace })
    edited(path, (await readFileIfThere(path)) ?? '', 'OPENBELL_CHECK', '')
  },

  resource(destination) {
    return `file:${placeOf(destination).path}`
  },

  places(destination, env) {
    return Object.values(namesOf(destination, { env })).filter((name) => name !== undefined)
  },

  async write(destination, release) {
    const { path, inPlace } = placeOf(destination)
    const values = variables(destination, release)
    await editFile(
      path,
      (text = '') => values.reduce((edit, { name, value }) => edited(path, edit, name, value.expose()), text),
      { inPlace },
    )
  },

  async readBack(destination, release) {
    const text = await readFileIfThere(placeOf(destination).path)
    const value = readValue(text ?? '', namesOf(destination, release).accessToken)
    return value ? new Secret(value) : undefined
  },

  /**
   * Empties the values and leaves the lines, whose place and comments may be the operator's. The app key stays: it is
   * public, and often stood there before.
   */
  async withdraw(destination, release) {
    const { path, inPlace } = placeOf(destination)
    const { accessToken, refreshToken, expiry } = namesOf(destination, release)
    await editFile(
      path,
      (text) =>
        text &&
        [accessToken, refreshToken, expiry]
          .filter((name) => name !== undefined)
          .filter((name) => readValue(text, name))
          .reduce((edit, name) => edited(path, edit, name, ''), text),
      { inPlace },
    )
  },
}

function placeOf(destination: Destination) {
  const { settings, id } = destination
  const place = filePlace(destination, dotenv.settings)
  for (const field of nameSettings) {
    if (settings[field] === undefined || isVariableName(settings[field])) continue
    throw invalid(
      field,
      `${field} of destination ${id} must be letters, digits and underscores, like KITE_ACCESS_TOKEN.`,
    )
  }
  return place
}

function namesOf({ id, settings }: Destination, { env }: Naming) {
  const names = {
    accessToken: settings.accessTokenName ?? env.accessToken,
    appKey: settings.appKeyName ?? env.appKey,
    refreshToken: settings.refreshTokenName,
    expiry: settings.expiryName,
  }
  const used = Object.values(names).filter((name) => name !== undefined)
  const twice = used.find((name, index) => used.indexOf(name) < index)
  if (twice !== undefined) {
    throw invalid(
      'accessTokenName',
      `Destination ${id} writes ${twice} twice: give each variable its own name.`,
    )
  }
  return names
}

function variables(destination: Destination, release: Release): { name: string; value: Secret }[] {
  const names = namesOf(destination, release)
  const wanted = [
    { name: names.accessToken, value: release.accessToken },
    { name: names.appKey, value: release.appKey },
    // A grant without a refresh token must not leave an older one standing.
    { name: names.refreshToken, value: release.refreshToken ?? new Secret('') },
    { name: names.expiry, value: new Secret(iso(release.expiresAt)) },
  ]
  return wanted.flatMap(({ name, value }) => (name === undefined || !value ? [] : [{ name, value }]))
}

function edited(path: string, text: string, name: string, value: string): string {
  if (!canCarry(value)) {
    throw invalid(
      name,
      `The value for ${name} cannot be written to ${path} so that every program reads it alike: use a json-file destination.`,
    )
  }
  const edit = setValue(text, name, value)
  if (edit === undefined) {
    throw new OpenbellError(
      'destination-unwritable',
      `${name} cannot be set in ${path} without changing what other lines mean: look for a quote that is never closed.`,
    )
  }
  return edit
}
