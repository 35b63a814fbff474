// Made-up credentials: random, so that nobody can take one for real or find it in a fixture.
import { randomBytes } from 'node:crypto'

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const ALPHABET = `${LETTERS}${LETTERS.toUpperCase()}0123456789`

/** Letters and digits; the slight favour that `% 62` gives some of them does not matter here. */
export function randomToken(length: number): string {
  return Array.from(randomBytes(length), (byte) => ALPHABET[byte % ALPHABET.length]).join('')
}

/** Something built like a JWT. Its signature is noise: the simulator looks tokens up, it never verifies them. */
export function jwtLike(header: Record<string, unknown>, claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part(header)}.${part(claims)}.${randomBytes(64).toString('base64url')}`
}
