import { describe, expect, it } from 'vitest'
import { createFaults, FaultError, parseFault } from './faults.ts'

describe('the book of faults', () => {
  it('counts each use and forgets a fault that is used up', () => {
    const faults = createFaults()
    faults.set({ kind: 'garbage', times: 2 })
    const struck = () => faults.take('GET', '/x').length
    expect([struck(), struck(), struck()]).toEqual([1, 1, 0])
  })

  it('keeps a fault without a number until it is cleared', () => {
    const faults = createFaults()
    const id = faults.set({ kind: 'truncate' })
    for (let use = 0; use < 5; use++) expect(faults.take('GET', '/x')).toHaveLength(1)
    faults.clear(id)
    expect(faults.list()).toEqual([])
  })

  it.each([
    [{}, 'GET', '/a/b', true],
    [{ path: '/a/b' }, 'GET', '/a/b', true],
    [{ path: '/a' }, 'GET', '/a/b', false],
    [{ path: '/a.b' }, 'GET', '/aXb', false],
    [{ path: '/accounts/*/balances' }, 'GET', '/accounts/1/balances', true],
    [{ method: 'post' }, 'POST', '/a', true],
    [{ method: 'POST' }, 'GET', '/a', false],
  ])('with %o strikes %s %s: %s', (where, method, path, expected) => {
    const faults = createFaults()
    faults.set({ kind: 'truncate', ...where })
    expect(faults.take(method, path)).toHaveLength(expected ? 1 : 0)
  })
})

describe('a fault from the wire', () => {
  it.each([
    { kind: 'latency', ms: 5, path: '/x', times: 3 },
    { kind: 'status', status: 429, retryAfterSeconds: 2 },
    { kind: 'html', status: 503, handled: true },
    { kind: 'missing', fields: ['data.x'] },
    { kind: 'date-skew', seconds: -90 },
    { kind: 'withhold', forMs: 10 },
  ])('reads %o', (fault) => {
    expect(parseFault(fault)).toEqual(fault)
  })

  it.each([
    [null, 'JSON object'],
    [{ kind: 'sulk' }, '"kind" is one of'],
    [{ kind: 'latency' }, 'needs "ms"'],
    [{ kind: 'latency', ms: -1 }, '"ms"'],
    [{ kind: 'reset', ms: 1 }, 'has no "ms"'],
    [{ kind: 'status', status: 204 }, '"status"'],
    [{ kind: 'html', status: 304 }, '"status"'],
    [{ kind: 'truncate', times: 0 }, '"times"'],
    [{ kind: 'truncate', constructor: 'x' }, 'has no "constructor"'],
    [{ kind: 'missing', fields: [] }, '"fields"'],
  ])('says what is wrong with %o', (input, words) => {
    expect(() => parseFault(input)).toThrow(FaultError)
    expect(() => parseFault(input)).toThrow(words)
  })
})
