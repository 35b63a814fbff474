import { describe, expect, it } from 'vitest'
import { cases, expected, killedAt } from './kill.ts'

describe('a vault whose process was killed comes to its right end in another one', {
  concurrent: true,
  timeout: 60_000,
}, () => {
  it.for(cases)('$spending, $moment', async ({ moment, spending }, { onTestFinished }) => {
    expect(await killedAt(moment, spending, onTestFinished)).toEqual(expected(moment, spending))
  })
})

describe('a keeper that is running already', { concurrent: true, timeout: 60_000 }, () => {
  it.for(['record after', 'promote after', 'probe after', 'deliver before'] as const)(
    'goes on where a login was killed: %s',
    async (moment, { onTestFinished }) => {
      expect(await killedAt(moment, 'code', onTestFinished, { watching: true })).toEqual(
        expected(moment, 'code'),
      )
    },
  )
})
