// Made-up credentials: random, so that nobody can take one for real or find it in a fixture.
import { createHmac, randomBytes } from 'node:crypto'

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const ALPHABET = `${LETTERS}${LETTERS.toUpperCase()}0123456789`

/** Letters and digits; the slight favour that `% 62` gives some of them does not matter here. */
export function randomToken(length: number): string {
  return Array.from(randomBytes(length), (byte) => ALPHABET[byte % ALPHABET.length]).join('')
}

/** Something built like a JWT. Its signature is noise: the simulator looks tokens up, it never verifies them. */
export function jwtLike(header: Record<string, unknown>, claims: Record<string, unknown>): string {
  return `${part(header)}.${part(claims)}.${randomBytes(64).toString('base64url')}`
}

const SIGNING_KEY = randomBytes(32)

/** A true HS256 JWT, signed with a key that nobody learns, as no client learns the broker's. */
export function signedJwt(claims: Record<string, unknown>): string {
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', SIGNING_KEY).update(signed).digest('base64url')}`
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
