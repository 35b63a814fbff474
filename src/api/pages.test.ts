import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ErrorCode, errorCodes, OpenbellError } from '../core/errors.ts'
import type { AccountStatus } from '../core/keeper.ts'
import { liveStatus, morning } from './fake-keeper.ts'
import { failurePage, nothingPage, type Page, renderPage, resultPage } from './pages.ts'

const zone = 'Asia/Kolkata'
const result = (changes: Partial<AccountStatus>, exchanged = true) =>
  resultPage({ status: { ...liveStatus, ...changes }, exchanged }, morning, zone)

describe('resultPage', () => {
  it('says until when the account lives, and who holds the token', () => {
    expect(result({})).toEqual({
      status: 200,
      tone: 'good',
      heading: 'Live until 06:00 tomorrow (IST)',
      sentence: 'Zerodha Kite has accepted the new session.',
      facts: [
        ['Broker', 'Zerodha Kite'],
        ['Account', 'Main account (kite-main)'],
        ['User at the broker', 'AB1234'],
        ['Ends', 'Tuesday 24 November 2026, 06:00 India Standard Time'],
        ['Delivered', '3 of 3 destinations'],
      ],
      next: 'You can close this page.',
    })
  })

  it('says live only when the broker accepted it', () => {
    for (const token of ['unproven', 'suspect', 'dead', 'none'] as const) {
      const page = result({ token })
      expect(page.tone).not.toBe('good')
      expect(page.heading.toLowerCase()).not.toContain('live')
    }
    expect(result({ token: 'unproven' }).next).toContain('You need not log in again')
  })

  it('says that nothing was exchanged', () => {
    expect(result({}, false)).toMatchObject({
      tone: 'good',
      heading: 'Already live until 06:00 tomorrow (IST)',
    })
  })

  it('names the destinations that do not have it yet', () => {
    const failed = {
      accountId: 'kite-main',
      destinationId: 'bot-env',
      kind: 'dotenv',
      where: '/srv/bot/.env',
      desired: 7,
      delivered: 6,
      problem: { remedy: 'fix-settings', code: 'destination-unwritable', message: 'The disk is full.' },
    } as const
    const page = result({ delivered: { n: 2, m: 3 }, deliveries: [failed] })
    expect(page.facts).toContainEqual(['Delivered', '2 of 3 destinations'])
    expect(page.facts).toContainEqual(['bot-env', 'The disk is full.'])
    expect(page.next).toContain('goes on trying')
  })

  it('never shows a simulator as the broker itself', () => {
    expect(result({ environment: 'simulator' }).facts).toContainEqual(['Broker', 'Zerodha Kite (simulator)'])
  })

  it('does without what is not known', () => {
    const { brokerUserId, expiry, ...fresh } = liveStatus
    const page = resultPage(
      { status: { ...fresh, label: 'kite-main', delivered: { n: 0, m: 0 } }, exchanged: true },
      morning,
      zone,
    )
    expect(page.heading).toBe('Live')
    expect(page.facts).toEqual([
      ['Broker', 'Zerodha Kite'],
      ['Account', 'kite-main'],
      ['Delivered', 'Programs read it from Openbell'],
    ])
  })
})

describe('failurePage', () => {
  it.each([
    ['login-state-used', 409, /works once/],
    ['login-state-unknown', 400, /nothing was changed/],
    ['login-expired', 410, /ten minutes/],
    ['login-foreign', 400, /The words of the engine/],
    ['login-refused', 409, /The words of the engine/],
    ['login-other-user', 409, /The words of the engine/],
  ] as const)('%s', (code, status, sentence) => {
    const page = failurePage(new OpenbellError(code, 'The words of the engine.', { accountId: 'kite-main' }))
    expect(page).toMatchObject({ status, tone: 'bad', facts: [['Account', 'kite-main']] })
    expect(page.heading).not.toBe('The login was not finished')
    expect(page.sentence).toMatch(sentence)
    expect(page.command).toBe('openbell login kite-main')
  })

  it('has a page for every error there is', () => {
    for (const code of Object.keys(errorCodes) as ErrorCode[]) {
      const page = failurePage(new OpenbellError(code, 'A sentence.'))
      expect(page.heading).not.toBe('')
      expect(page.command).toBe('openbell login')
    }
  })
})

describe('renderPage', () => {
  const text = async (page: Page) => (await renderPage(page)).text()
  const hostile = '<script>alert(1)</script>"\'&<img src=x onerror=alert(1)>'

  it.each(['heading', 'sentence', 'next', 'command'] as const)('escapes the %s', async (field) => {
    const page = await text({ ...nothingPage, [field]: hostile })
    expect(page).not.toMatch(/<script|<img/)
    expect(page).toContain('&lt;script&gt;')
  })

  it('escapes names and values of facts', async () => {
    const page = await text({ ...nothingPage, facts: [[hostile, hostile]] })
    expect(page).not.toMatch(/<script|<img/)
    expect(page.match(/&lt;script&gt;/g)).toHaveLength(2)
  })

  it('escapes every text of a status, whatever it is', async () => {
    const field = fc.string().map((noise) => `${noise}${hostile}`)
    await fc.assert(
      fc.asyncProperty(field, field, field, field, async (label, brokerName, brokerUserId, accountId) => {
        const status = {
          ...liveStatus,
          label,
          brokerName,
          brokerUserId,
          ref: { tenantId: 'home', accountId },
        }
        for (const token of ['live', 'unproven', 'dead'] as const) {
          const page = resultPage({ status: { ...status, token }, exchanged: true }, morning, zone)
          expect(await text(page)).not.toMatch(/<script|<img/)
        }
        expect(await text(failurePage(new OpenbellError('login-refused', label, { accountId })))).not.toMatch(
          /<script|<img/,
        )
      }),
      { numRuns: 50 },
    )
  })

  it('allows itself its own style and nothing else', async () => {
    const response = await renderPage(nothingPage)
    const page = await response.text()
    const style = /<style>(.*)<\/style>/s.exec(page)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    expect(response.headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    expect(response.headers.get('referrer-policy')).toBe('no-referrer')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(page).not.toMatch(/style=|https?:|src=|url\(|@import|<script|<link/)
  })
})
