import { expect, it } from 'vitest'
import { publisherByKind, publishers } from './index.ts'

it('finds each publisher by its kind, and no other', () => {
  for (const publisher of publishers) expect(publisherByKind(publisher.kind)).toBe(publisher)
  expect(new Set(publishers.map(({ kind }) => kind)).size).toBe(publishers.length)
  expect(publisherByKind('toString')).toBeUndefined()
})
