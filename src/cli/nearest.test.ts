import fc from 'fast-check'
import { expect, it } from 'vitest'
import { nearest, suggestion } from './nearest.ts'

const verbs = ['setup', 'status', 'login', 'plan', 'doctor', 'up', 'add', 'token', 'destination']

it.each([
  ['stauts', 'status'],
  ['logn', 'login'],
  ['LOGIN', 'login'],
  ['dest', 'destination'],
  ['tokens', 'token'],
  ['xyz', undefined],
  ['q', undefined],
  // Two edits make anything of a two-letter word.
  ['zz', undefined],
])('%s -> %s', (typed, expected) => {
  expect(nearest(typed, verbs)).toBe(expected)
})

it('finds a word again after any swap of two neighbours', () => {
  fc.assert(
    fc.property(fc.constantFrom(...verbs.filter((verb) => verb.length > 3)), fc.nat(), (verb, place) => {
      const i = place % (verb.length - 1)
      const typed = verb.slice(0, i) + verb[i + 1] + verb[i] + verb.slice(i + 2)
      expect(nearest(typed, verbs)).toBe(verb)
    }),
  )
})

it('lists what there is when nothing is near', () => {
  expect(suggestion('zerodha', ['kite', 'fyers'], 'There are')).toBe(' There are: kite, fyers.')
  expect(suggestion('zerodha', [], 'There are')).toBe('')
})
