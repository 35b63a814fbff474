/**
 * Sealing one value: AES-256-GCM under a random key of its own, which is itself sealed under the vault's key.
 *
 *     ob1:<id of the vault's key>:<base64 of  nonce | sealed value key | tag | nonce | sealed value | tag>
 *
 * The value is bound to its place, so that it opens nowhere else. Its own key is bound to the vault's key alone, so
 * that changing the vault's key means re-sealing 32 bytes and knowing nothing of the record.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { OpenbellError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import type { VaultKey } from '../host/key-file.ts'

const cipher = 'aes-256-gcm'
const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16
const sealedKeyBytes = nonceBytes + keyBytes + tagBytes
const format = 'ob1'

/** The vault's keys: new values are sealed under `current`, stored ones open under any. */
export interface Keyring {
  /** Where the current key was found, for messages. */
  from: string
  current: string
  keys: ReadonlyMap<string, KeyObject>
}

/** The first key is the current one; the others only open what is stored, until it is re-sealed. */
export function keyring(current: VaultKey, ...older: VaultKey[]): Keyring {
  const keys = new Map<string, KeyObject>()
  for (const { secret } of [current, ...older]) {
    const bytes = Buffer.from(secret.expose(), 'base64')
    keys.set(keyId(bytes), createSecretKey(bytes))
  }
  const [first = ''] = keys.keys()
  return { from: current.from, current: first, keys }
}

/** Names a key without telling anything of it: the key has 256 random bits, so its hash cannot be searched. */
function keyId(bytes: Buffer): string {
  return createHash('sha256').update('openbell vault key\0').update(bytes).digest('hex').slice(0, 16)
}

/** `place` says where the value stands; it must be the same at opening. */
export function seal(ring: Keyring, value: Secret, place: readonly (string | number)[]): Secret {
  const valueKey = randomBytes(keyBytes)
  const sealedKey = encrypt(keyNamed(ring, ring.current), valueKey, ring.current)
  const sealedValue = encrypt(valueKey, Buffer.from(value.expose(), 'utf8'), JSON.stringify(place))
  return written(ring.current, sealedKey, sealedValue)
}

/** Throws `vault-locked` when the ring lacks the key, `vault-corrupt` when the value is not what was sealed there. */
export function unseal(ring: Keyring, sealed: Secret, place: readonly (string | number)[]): Secret {
  const { id, sealedKey, sealedValue } = read(sealed)
  const key = keyNamed(ring, id)
  try {
    const valueKey = decrypt(key, sealedKey, id)
    return new Secret(decrypt(valueKey, sealedValue, JSON.stringify(place)).toString('utf8'))
  } catch (cause) {
    throw tampered(cause)
  }
}

/** The same value under the ring's current key; what is under it already comes back as it is. */
export function reseal(ring: Keyring, sealed: Secret): Secret {
  const { id, sealedKey, sealedValue } = read(sealed)
  if (id === ring.current) return sealed
  const key = keyNamed(ring, id)
  try {
    const valueKey = decrypt(key, sealedKey, id)
    return written(ring.current, encrypt(keyNamed(ring, ring.current), valueKey, ring.current), sealedValue)
  } catch (cause) {
    throw tampered(cause)
  }
}

export function wrongKey(ring: Keyring): OpenbellError {
  return new OpenbellError(
    'vault-locked',
    `This vault was sealed with another key than that of ${ring.from}: put back the key file it was made with, or set OPENBELL_VAULT_KEY to that key.`,
    { field: ring.from },
  )
}

function keyNamed(ring: Keyring, id: string): KeyObject {
  const key = ring.keys.get(id)
  if (!key) throw wrongKey(ring)
  return key
}

function encrypt(key: KeyObject | Buffer, plain: Buffer, bound: string): Buffer {
  const nonce = randomBytes(nonceBytes)
  const sealing = createCipheriv(cipher, key, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(bound))
  return Buffer.concat([nonce, sealing.update(plain), sealing.final(), sealing.getAuthTag()])
}

function decrypt(key: KeyObject | Buffer, sealed: Buffer, bound: string): Buffer {
  const nonce = sealed.subarray(0, nonceBytes)
  const opening = createDecipheriv(cipher, key, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(bound))
  opening.setAuthTag(sealed.subarray(-tagBytes))
  return Buffer.concat([opening.update(sealed.subarray(nonceBytes, -tagBytes)), opening.final()])
}

function written(id: string, sealedKey: Buffer, sealedValue: Buffer): Secret {
  return new Secret(`${format}:${id}:${Buffer.concat([sealedKey, sealedValue]).toString('base64')}`)
}

function read(sealed: Secret): { id: string; sealedKey: Buffer; sealedValue: Buffer } {
  const [name, id = '', base64 = ''] = sealed.expose().split(':')
  const bytes = Buffer.from(base64, 'base64')
  if (name !== format || bytes.length < sealedKeyBytes + nonceBytes + tagBytes) throw tampered(undefined)
  return { id, sealedKey: bytes.subarray(0, sealedKeyBytes), sealedValue: bytes.subarray(sealedKeyBytes) }
}

function tampered(cause: unknown): OpenbellError {
  return new OpenbellError(
    'vault-corrupt',
    'A sealed value in the vault does not open in its place: the vault was damaged or changed from outside; put a backup in its place.',
    { cause },
  )
}
