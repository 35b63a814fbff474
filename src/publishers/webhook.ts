/**
 * An HTTP endpoint of the operator's. Each message is a signed POST in the form of Standard Webhooks; any 2xx says that it was
 * taken, and nothing else does: no redirect is followed.
 */

import { randomUUID } from 'node:crypto'
import { OpenbellError } from '../core/errors.ts'
import { maybeText } from '../core/json.ts'
import type { Destination } from '../core/model.ts'
import type { Publisher, Release } from '../core/publisher.ts'
import { Secret } from '../core/secret.ts'
import { iso, secondMs } from '../core/time.ts'
import type { Send } from '../core/wire.ts'
import { apiKeyFile } from '../host/api-key-file.ts'
import { systemClock } from '../host/clock.ts'
import { absolutePath, flag, invalid, refuseUnknown } from './file/settings.ts'
import { documentOf } from './release/document.ts'
import { isSigningSecret, signed } from './webhook/sign.ts'

const deadlineMs = 10 * secondMs

type MessageType = 'openbell.check' | 'token.released' | 'token.read' | 'token.withdrawn'

export const webhook: Publisher = {
  kind: 'webhook',
  settings: {
    url: {
      label: 'Address',
      help: 'https, or http on this machine; without query and password, because addresses are shown and logged.',
    },
    secretFile: {
      label: 'File of the signing secret',
      help: 'Absolute path of a file that only you can read, with whsec_ and 24 to 64 bytes in base64.',
    },
    readBack: {
      label: 'Reads back',
      optional: true,
      help: 'true if the endpoint answers token.read with {"access_token": …}. Openbell calls a token delivered only after reading it back.',
    },
  },
  needs: ['accessToken', 'appKey', 'expiry'],

  async check(destination) {
    await post(destination, 'openbell.check', {})
  },

  resource(destination) {
    return `url:${placeOf(destination).url.href}`
  },

  /** Each message names its account, so that one endpoint may serve several. */
  places() {
    return []
  },

  async write(destination, release) {
    await post(destination, 'token.released', documentOf(release))
  },

  acknowledges: (destination) => !placeOf(destination).readsBack,

  async readBack(destination, release) {
    if (!placeOf(destination).readsBack) return undefined
    const token = maybeText(await post(destination, 'token.read', addressOf(release)), 'access_token')
    return token === undefined ? undefined : new Secret(token)
  },

  async withdraw(destination, release) {
    await post(destination, 'token.withdrawn', addressOf(release))
  },
}

function addressOf({ ref, slot }: Pick<Release, 'ref' | 'slot'>) {
  return { account: ref.accountId, slot }
}

/** The answer as parsed JSON; undefined when it is none. Throws `destination-unwritable` and what `placeOf` throws. */
async function post(destination: Destination, type: MessageType, data: object): Promise<unknown> {
  const { url, secretPath } = placeOf(destination)
  const secret = await secretFrom(destination, secretPath)
  const now = systemClock.now()
  const body = new Secret(JSON.stringify({ type, timestamp: iso(now), data }))
  // A new id each time: a receiver that drops repeated ids would otherwise keep what somebody else put in between.
  const headers = { 'content-type': 'application/json', ...signed(secret, `msg_${randomUUID()}`, now, body) }
  const send = await wire()
  const outcome = await send({ method: 'POST', url: url.href, headers, body }, { deadlineMs })
  if (outcome.kind === 'no-answer') throw new OpenbellError('destination-unwritable', outcome.message)
  if (outcome.status >= 200 && outcome.status < 300) return outcome.body
  const mend =
    outcome.status >= 300 && outcome.status < 400
      ? 'give the address it redirects to'
      : 'its own log should say why'
  throw new OpenbellError(
    'destination-unwritable',
    `${url.origin} did not take the message (HTTP ${outcome.status}): ${mend}.`,
  )
}

let opening: Promise<Send> | undefined

/** Checks the address of the connection that it made, before the first byte. Loaded late: most processes never need it. */
function wire(): Promise<Send> {
  opening ??= import('../host/wire.ts').then(({ createSend }) => createSend({ clock: systemClock }))
  return opening
}

function placeOf(destination: Destination) {
  refuseUnknown(destination, webhook.settings)
  const { id, settings } = destination
  const url = URL.parse(settings.url ?? '')
  if (!url || !isAllowed(url) || url.username || url.password || url.search || url.hash) {
    throw invalid(
      'url',
      `url of destination ${id} must be an https address, or http on this machine, without query and password.`,
    )
  }
  return {
    url,
    secretPath: absolutePath(destination, 'secretFile'),
    readsBack: flag(destination, 'readBack'),
  }
}

/** What `host/wire.ts` would refuse later; it also checks where the name leads. */
function isAllowed({ protocol, hostname }: URL): boolean {
  const here = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
  return protocol === 'https:' || (protocol === 'http:' && here)
}

async function secretFrom({ id }: Destination, path: string): Promise<Secret> {
  let secret: Secret | undefined
  try {
    secret = await apiKeyFile(path).read()
  } catch (error) {
    throw error instanceof OpenbellError
      ? invalid(
          'secretFile',
          `secretFile of destination ${id}, ${path}, must be readable by you alone: run chmod 600 on it.`,
        )
      : invalid('secretFile', `secretFile of destination ${id}, ${path}, cannot be read by this user.`)
  }
  if (secret && isSigningSecret(secret)) return secret
  throw invalid(
    'secretFile',
    `secretFile of destination ${id}, ${path}, must hold whsec_ and 24 to 64 bytes in base64: whsec_ and what "openssl rand -base64 32" prints.`,
  )
}
