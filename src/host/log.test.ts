import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Secret } from '../core/secret.ts'
import { createLog, guardStream } from './log.ts'

/** What a log with these live secrets wrote. */
function written(secrets: readonly string[], use: (log: ReturnType<typeof createLog>) => void): string {
  let text = ''
  const log = createLog({
    level: 'debug',
    knownSecrets: () => secrets,
    stream: {
      write: (line) => {
        text += line
      },
    },
  })
  use(log)
  return text
}

const token = 'eyJhbGciOiJub25lIn0.canary-payload_1.canary-signature'
const odd = 'canary "quoted" \\ back/slash+ü&='
const pin = '4711'

describe('createLog', () => {
  it('writes one JSON object per line, with the level by name and the time in ISO', () => {
    const line = written([], (log) => log.warn({ account: 'kite-main' }, 'renewal failed'))
    expect(JSON.parse(line)).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      account: 'kite-main',
      msg: 'renewal failed',
    })
  })

  it('keeps to its level', () => {
    expect(written([], (log) => log.trace('too much'))).toBe('')
  })

  it('lets none of the planted secrets through', () => {
    const inner = new Error(`the broker said ${token}`)
    const failed = new Error(`POST failed with ${odd}`, { cause: inner })
    Object.assign(failed, { request: { headers: { authorization: `token key:${token}` } } })

    const text = written([token, odd, pin], (log) => {
      log.info(`message with ${token}`)
      log.info('%s and %s', token, odd)
      log.info({ a: { b: { c: { d: { e: token } } } } }, 'deep')
      log.info({ list: [[odd], { odd }] })
      log.info({ [token]: 1, [odd]: 2 }, 'as names')
      log.info({ json: JSON.stringify({ token, odd }) })
      log.info({ url: `https://x.test/?t=${encodeURIComponent(odd)}&${new URLSearchParams({ odd })}` })
      log.error(failed)
      log.error({ err: failed }, failed.message)
      log.error({ error: { cause: inner, message: inner.message } })
      log.info({ secret: new Secret('canary-secret-class') })
      log.info({ code: 4711, verify: pin, note: `pin=${pin}` })
      log.child({ session: token }).info('child')
    })
    for (const planted of ['canary', token, odd, pin]) expect(text).not.toContain(planted)
    expect(
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => typeof JSON.parse(line)),
    ).toEqual(Array(13).fill('object'))
    expect(text).toContain('POST failed with [secret]')
  })

  it('redacts fields with telling names even before it knows their value', () => {
    const text = written([], (log) =>
      log.info({ access_token: 'canary-1', answer: { refreshToken: 'canary-2', data: { pin: 'canary-3' } } }),
    )
    expect(text).not.toContain('canary')
  })
})

describe('guardStream', () => {
  const guard = (line: string, ...secrets: string[]) => {
    let text = ''
    guardStream(() => secrets, {
      write: (out) => {
        text = out
      },
    }).write(line)
    return text
  }

  it('leaves a line without secrets as it is, byte for byte', () => {
    const line = '{"a":1.0,  "b":12345678901234567890}\n'
    expect(guard(line, token, '')).toBe(line)
  })

  it('cleans a line that is not JSON', () => {
    expect(guard(`plain ${token}\n`, token)).toBe('plain [secret]\n')
  })

  it('cleans a secret that begins like another', () => {
    expect(guard('"canary-abc canary-abcdef"', 'canary-abc', 'canary-abcdef')).toBe('"[secret] [secret]"\n')
  })

  it('does not break numbers that merely contain a PIN', () => {
    expect(guard('{"time":1747112,"pin":4711,"text":"4711"}\n', '4711')).toBe(
      '{"time":1747112,"pin":"[secret]","text":"[secret]"}\n',
    )
  })

  it('lets no secret through, whatever it is made of and wherever it stands', () => {
    const secret = fc.string({ unit: 'grapheme', minLength: 6, maxLength: 60 }).map((text) => `canary${text}`)
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (value, before, after) => {
        const text = `${before}${value}${after}`
        const line = `${JSON.stringify({ text, nested: JSON.stringify([text]), url: encodeURIComponent(value) })}\n`
        const out = guard(line, value)
        expect(out).not.toContain('canary')
        expect(() => JSON.parse(out)).not.toThrow()
      }),
    )
  })

  it('asks which secrets are alive for each line', () => {
    const live = new Set<string>()
    let text = ''
    const stream = guardStream(() => live, {
      write: (out) => {
        text += out
      },
    })
    live.add('canary-late')
    stream.write('canary-late\n')
    expect(text).toBe('[secret]\n')
  })
})
