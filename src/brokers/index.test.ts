import { expect, it } from 'vitest'
import { brokerById, brokers } from './index.ts'

it('finds a broker by its id, and nobody by another', () => {
  for (const broker of brokers) expect(brokerById(broker.id)).toBe(broker)
  expect(brokerById('Kite')).toBeUndefined()
  expect(brokerById('toString')).toBeUndefined()
})

it('holds every id and every name once', () => {
  expect(new Set(brokers.map(({ id }) => id)).size).toBe(brokers.length)
  expect(new Set(brokers.map(({ name }) => name)).size).toBe(brokers.length)
  expect(brokers.map(({ id }) => id)).toEqual(['fyers', 'upstox', 'kite', 'tastytrade'])
})
