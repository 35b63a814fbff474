import { describe, expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import type { FinishLogin, Keeper } from '../core/keeper.ts'
import { type CallbackOutcome, callbackHandler } from './callback.ts'
import { fakeKeeper, liveStatus, morning } from './fake-keeper.ts'

function setUp(finishLogin?: Keeper['finishLogin']) {
  const asked: FinishLogin[] = []
  const outcomes: CallbackOutcome[] = []
  const keeper = fakeKeeper(finishLogin && { finishLogin })
  const handle = callbackHandler({
    keeper: {
      finishLogin: (input) => {
        asked.push(input)
        return keeper.finishLogin(input)
      },
    },
    clock: { now: () => morning, sleep: async () => undefined },
    zoneOf: () => 'Asia/Kolkata',
    ref: liveStatus.ref,
    onResult: (outcome) => outcomes.push(outcome),
  })
  const open = (query: string, method = 'GET') =>
    handle(new Request(`http://127.0.0.1:5000/kite/callback${query}`, { method }))
  return { asked, outcomes, open }
}

describe('callbackHandler', () => {
  it('finishes the login that the query names, in the name of a browser', async () => {
    const { asked, outcomes, open } = setUp()
    const page = await open('?state=canary-state&request_token=canary-code')
    expect(asked).toEqual([{ query: expect.any(URLSearchParams), by: 'browser', ref: liveStatus.ref }])
    expect(outcomes).toEqual([{ kind: 'finished', result: { status: liveStatus, exchanged: true } }])
    expect(page.status).toBe(200)
    const text = await page.text()
    expect(text).toContain('Live until 06:00 tomorrow')
    expect(text).toContain('3 of 3 destinations')
    expect(text).not.toContain('canary')
  })

  it.each(['', '?'])('changes nothing without parameters (%s)', async (query) => {
    const { asked, outcomes, open } = setUp()
    expect(await (await open(query)).text()).toContain('Nothing to do here')
    expect({ asked, outcomes }).toEqual({ asked: [], outcomes: [] })
  })

  it.each(['HEAD', 'POST', 'OPTIONS', 'DELETE'])('changes nothing for %s', async (method) => {
    const { asked, open } = setUp()
    const response = await open('?state=s&request_token=r', method)
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('GET')
    expect(asked).toEqual([])
  })

  it('reports a failure as it is, and shows the person what to do', async () => {
    const error = new OpenbellError('login-refused', 'You declined at Zerodha Kite.', {
      accountId: 'kite-main',
    })
    const { outcomes, open } = setUp(async () => {
      throw error
    })
    const page = await open('?status=cancelled&state=s')
    expect(page.status).toBe(409)
    const text = await page.text()
    expect(text).toContain('You declined at Zerodha Kite.')
    expect(text).toContain('openbell login kite-main')
    expect(outcomes).toEqual([{ kind: 'failed', error }])
  })

  it('shows nothing of an error from inside', async () => {
    const { open } = setUp(async () => {
      throw new TypeError('cannot read canary of undefined')
    })
    const page = await open('?state=s')
    expect(page.status).toBe(500)
    expect(await page.text()).not.toContain('canary')
  })
})
