import fc from 'fast-check'
import { expect, it } from 'vitest'
import { quote } from './quote.ts'

it.each([
  ['Invalid `checksum`.', ' ("Invalid checksum")'],
  ['Incorrect `api_key` or `access_token`.', ' ("Incorrect api_key or access_token")'],
  ['Token is invalid or has expired.', ' ("Token is invalid or has expired")'],
  ['a PIN such as 1234 is wrong', ' ("a PIN such as … is wrong")'],
  ['log in at https://elsewhere.example now', ' ("log in at … now")'],
  ['write to somebody@elsewhere.example', ' ("write to …")'],
  ['token 0123abcd0123abcd0123abcd0123abcd is bad', ' ("token … is bad")'],
  ['two\n\tlines', ' ("two lines")'],
  ['\u001b[31mred\u202e', ''],
  ['<b>bold</b>', ''],
  ['', ''],
  [undefined, ''],
])('%j is quoted as %j', (words, quoted) => {
  expect(quote(words)).toBe(quoted)
})

it('ends where a line ends', () => {
  expect(quote('word '.repeat(1_000)).length).toBeLessThan(130)
})

it('is short, plain and without a long word, whatever it is given', () => {
  const anything = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 400 }))
  fc.assert(
    fc.property(anything, (words) => {
      const quoted = quote(words)
      expect(quoted).toMatch(/^$|^ \("[A-Za-z0-9_'.,:;!?… -]{1,120}"\)$/)
      expect(quoted).not.toMatch(/\w{21}|\d{4}/)
    }),
  )
})
