import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type ErrorCode, errorCodes, OpenbellError } from '../core/errors.ts'
import { problemDocument } from './contract.ts'
import { respond, respondProblem } from './respond.ts'

describe('respond', () => {
  const schema = z.object({ id: z.string(), inner: z.object({ n: z.int() }) })

  it('sends what the schema names and nothing else, at any depth', async () => {
    const value = { id: 'a', token: 'canary', inner: { n: 1, secret: 'canary' } }
    const response = respond(schema, value)
    expect(await response.json()).toEqual({ id: 'a', inner: { n: 1 } })
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('rather fails than sends something else', () => {
    expect(() => respond(schema, { id: 'a', inner: { n: 1.5 } })).toThrow()
  })
})

describe('respondProblem', () => {
  it('has a document for every error there is', async () => {
    for (const code of Object.keys(errorCodes) as ErrorCode[]) {
      const response = respondProblem(new OpenbellError(code, 'A sentence.', { accountId: 'kite-main' }))
      const body = problemDocument.strict().parse(await response.json())
      expect(body).toMatchObject({ code, status: response.status, remedy: errorCodes[code] })
      expect(body.login !== undefined).toBe(errorCodes[code] === 'login')
      expect(response.headers.has('retry-after')).toBe(response.status === 503)
    }
  })

  it.each(['a string', undefined, null, new TypeError('canary'), { message: 'canary' }])(
    'tells nothing of what else was thrown (%s)',
    async (thrown) => {
      const response = respondProblem(thrown)
      expect(response.status).toBe(500)
      expect(await response.text()).not.toContain('canary')
    },
  )
})
