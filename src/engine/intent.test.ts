import { describe, expect, it } from 'vitest'
import type { Intent } from '../core/model.ts'
import { instant } from '../core/time.ts'
import { permission } from './intent.ts'

const now = instant(1_000_000)

function intent(fields: Partial<Intent>): Intent {
  return {
    ref: { tenantId: 'house', accountId: 'a' },
    key: 'refresh:1',
    version: 1,
    kind: 'refresh',
    spend: 'single-use',
    state: 'prepared',
    holder: 'p1',
    fence: 1,
    preparedAt: instant(now - 1000),
    deadline: instant(now + 1000),
    sends: 0,
    grants: [],
    ...fields,
  }
}

describe('what a permit allows', () => {
  it('allows the first spend', () => {
    expect(permission(undefined, now)).toEqual({ kind: 'prepare' })
  })

  it.each(['repeatable', 'single-use'] as const)('lets a successor cancel a prepared %s one', (spend) => {
    expect(permission(intent({ spend, state: 'prepared' }), now)).toEqual({ kind: 'prepare' })
  })

  it.each(['repeatable', 'single-use'] as const)('waits for a %s one in flight', (spend) => {
    expect(permission(intent({ spend, state: 'sending' }), now)).toEqual({ kind: 'wait', until: now + 1000 })
  })

  it.each([
    ['sending', { kind: 'lost' }],
    ['unknown', { kind: 'lost' }],
    ['refused', { kind: 'refused' }],
    ['answered', { kind: 'recorded', generations: [4] }],
  ] as const)('never sends a single-use one again when it is %s and overdue', (state, expected) => {
    expect(permission(intent({ state, deadline: now, grants: [4] }), now)).toEqual(expected)
  })

  it.each(['sending', 'unknown', 'refused', 'answered'] as const)(
    'sends a repeatable one again when it is %s and overdue',
    (state) => {
      expect(permission(intent({ spend: 'repeatable', state, deadline: now }), now)).toEqual({
        kind: 'prepare',
      })
    },
  )
})
