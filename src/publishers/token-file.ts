/** A file that holds the access token and nothing else, for programs that read it whole. */

import { OpenbellError } from '../core/errors.ts'
import type { Destination } from '../core/model.ts'
import type { Publisher } from '../core/publisher.ts'
import { Secret } from '../core/secret.ts'
import { checkReplaceable, editFile, readFileIfThere } from '../host/atomic-file.ts'
import { absolutePath, filePlace, fileSettings, invalid } from './file/settings.ts'

const nothing = new Secret('')

export const tokenFile: Publisher = {
  kind: 'token-file',
  settings: {
    ...fileSettings,
    refreshTokenPath: {
      label: 'File of the refresh token',
      optional: true,
      help: 'Absolute path. The refresh token is written only when this is set; a program that uses it can end the session.',
    },
  },
  needs: ['accessToken', 'refreshToken'],

  async check(destination) {
    const { path, refreshTokenPath, inPlace } = placeOf(destination)
    for (const one of [path, refreshTokenPath]) {
      if (one === undefined) continue
      await checkReplaceable(one, { inPlace })
      replaced(one, await readFileIfThere(one), nothing)
    }
  },

  resource(destination) {
    return `file:${placeOf(destination).path}`
  },

  places() {
    return ['*']
  },

  async write(destination, release) {
    const { path, refreshTokenPath, inPlace } = placeOf(destination)
    // The access token last: it is what is read back, and who sees it finds the refresh token that came with it.
    if (refreshTokenPath !== undefined) {
      await put(refreshTokenPath, release.refreshToken ?? nothing, inPlace)
    }
    await put(path, release.accessToken, inPlace)
  },

  async readBack(destination) {
    const text = await readFileIfThere(placeOf(destination).path)
    const [token = '', ...more] = wordsIn(text ?? '')
    return token === '' || more.length > 0 ? undefined : new Secret(token)
  },

  /** Empties the files and leaves them: they may have an owner and a mode that somebody chose. */
  async withdraw(destination) {
    const { path, refreshTokenPath, inPlace } = placeOf(destination)
    for (const one of [path, refreshTokenPath]) {
      if (one === undefined) continue
      await editFile(one, (text) => text && replaced(one, text, nothing), { inPlace })
    }
  },
}

function placeOf(destination: Destination) {
  const place = filePlace(destination, tokenFile.settings)
  if (destination.settings.refreshTokenPath === undefined) return { ...place, refreshTokenPath: undefined }
  const refreshTokenPath = absolutePath(destination, 'refreshTokenPath')
  if (refreshTokenPath === place.path) {
    throw invalid(
      'refreshTokenPath',
      `Destination ${destination.id} writes two tokens to one file: give each its own.`,
    )
  }
  return { ...place, refreshTokenPath }
}

function put(path: string, token: Secret, inPlace: boolean): Promise<void> {
  return editFile(path, (text) => replaced(path, text, token), { inPlace })
}

/** With or without an end of line, as it was: not every program that reads the file cuts it off. */
function replaced(path: string, text: string | undefined, token: Secret): string {
  if (wordsIn(text ?? '').length > 1) {
    throw new OpenbellError(
      'destination-unwritable',
      `${path} holds more than one word, so it is no token file: choose another path.`,
    )
  }
  const [lineEnd = ''] = /\r?\n$/.exec(text ?? '') ?? []
  return token.expose() + lineEnd
}

function wordsIn(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}
