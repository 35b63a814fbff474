import { expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import { readCredentials } from './credentials.ts'
import { kiteInfo } from './fake-house.ts'

const shown = (text: string) =>
  Object.fromEntries(
    Object.entries(readCredentials(kiteInfo, text)).map(([name, value]) => [name, value.expose()]),
  )
const both = { apiKey: 'abcd1234', apiSecret: 'canary-kite-secret' }

it.each([
  ['lines', 'apiKey=abcd1234\napiSecret=canary-kite-secret'],
  ['other spellings', 'API_KEY=abcd1234\napi-secret=canary-kite-secret'],
  ['a sourced file', '# mine\nexport API_KEY="abcd1234"\r\n\r\nexport API_SECRET=\'canary-kite-secret\'\r\n'],
  ['spaces around', '  apiKey = abcd1234  \n apiSecret =  canary-kite-secret \n'],
  ['JSON', '{"apiKey":"abcd1234","apiSecret":"canary-kite-secret"}'],
])('reads %s', (_, text) => {
  expect(shown(text)).toEqual(both)
})

it.each([
  ['apiSecret', 'a missing one', 'apiKey=abcd1234'],
  ['apiSecret', 'an empty one', 'apiKey=abcd1234\napiSecret='],
  ['apiKey', 'a malformed one', 'apiKey=wrong\napiSecret=canary-kite-secret'],
  ['apiKey', 'more than the whole shape', 'apiKey=abcd12345\napiSecret=canary-kite-secret'],
  ['apiKey', 'one given twice', 'apiKey=abcd1234\nAPI_KEY=abcd1234\napiSecret=canary-kite-secret'],
  ['apiSecrt', 'one that the broker does not know', 'apiKey=abcd1234\napiSecrt=canary-kite-secret'],
  ['secrets', 'a line without a name', 'apiKey=abcd1234\ncanary-kite-secret'],
  ['secrets', 'broken JSON', '{"apiKey":"canary-kite-secret"'],
  ['apiKey', 'a number in JSON', '{"apiKey":12345678,"apiSecret":"canary-kite-secret"}'],
  ['apiKey', 'nothing', ''],
])('names %s for %s, and quotes no value', (field, _, text) => {
  let thrown: unknown
  try {
    readCredentials(kiteInfo, text)
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(OpenbellError)
  expect(thrown).toMatchObject({ code: 'invalid-field', field })
  expect(String(thrown)).not.toMatch(/canary|12345678|wrong/)
})

it('lets fields be left out when they are only changed', () => {
  expect(readCredentials(kiteInfo, 'apiSecret=canary-new', { partial: true })).toHaveProperty('apiSecret')
  expect(() => readCredentials(kiteInfo, '', { partial: true })).toThrow('Nothing was piped in')
})
