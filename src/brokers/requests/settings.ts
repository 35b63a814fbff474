/** What an adapter takes out of an app; what is missing is named rather than sent as nothing. */

import type { Origins } from '../../core/broker.ts'
import { OpenbellError } from '../../core/errors.ts'
import type { App } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'

/** Throws `invalid-field` when the app holds no such credential. */
export function credential(app: App, name: string): Secret {
  const value = app.credentials[name]
  if (value === undefined || value.isEmpty) {
    throw new OpenbellError('invalid-field', `The app ${app.id} has no ${name}; enter it and try again.`, {
      field: name,
    })
  }
  return value
}

/** Throws `not-supported` when the environment has no origin for that role. */
export function originOf(origins: Origins, role: string): string {
  const origin = origins[role]
  if (origin === undefined) {
    throw new OpenbellError('not-supported', `This environment has no ${role} address; choose another one.`)
  }
  return origin
}
