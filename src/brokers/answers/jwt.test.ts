import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Secret } from '../../core/secret.ts'
import { jwtEnd } from './jwt.ts'

const token = (claims: string) => `made-up.${Buffer.from(claims).toString('base64url')}.made-up`

it.each([
  [token('{"exp":1789250400}'), Date.parse('2026-09-12T22:00:00Z')],
  [token('{"exp":1789250400.9999}'), Date.parse('2026-09-12T22:00:00.999Z')],
  [token('{"sub":"MU0001"}'), undefined],
  [token('{"exp":"1789250400"}'), undefined],
  [token('{"exp":null}'), undefined],
  [token('null'), undefined],
  [token('no json'), undefined],
  [token('{"exp":1789250400}').replace(/\.made-up$/, ''), undefined],
  [`${token('{"exp":1789250400}')}.more`, undefined],
  ['an-opaque-token', undefined],
  ['', undefined],
])('%s ends at %s', (value, end) => {
  expect(jwtEnd(new Secret(value))).toBe(end)
})

it('reads a whole number or nothing, and never throws', () => {
  const anything = fc.oneof(
    fc.string(),
    fc.json().map(token),
    fc.double().map((exp) => token(`{"exp":${exp}}`)),
  )
  fc.assert(
    fc.property(anything, (value) => {
      const end = jwtEnd(new Secret(value))
      expect(end === undefined || Number.isSafeInteger(end)).toBe(true)
    }),
  )
})
