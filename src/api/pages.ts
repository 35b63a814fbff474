/** The pages that a person sees at the end of a login: plain HTML, no script, nothing from elsewhere. */

import { html, raw } from 'hono/html'
import type { ErrorCode } from '../core/errors.ts'
import type { LoginResult } from '../core/keeper.ts'
import { fullTime, zonedTime } from '../core/spoken-time.ts'
import type { Instant, Zone } from '../core/time.ts'
import { httpStatus } from './contract.ts'
import { tellable } from './respond.ts'

export interface Page {
  status: number
  tone: 'good' | 'wait' | 'bad' | 'still'
  heading: string
  sentence: string
  facts: readonly (readonly [name: string, value: string])[]
  /** What to do now. */
  next: string
  /** The command that does it. */
  command?: string
}

export function resultPage({ status, exchanged }: LoginResult, now: Instant, zone: Zone): Page {
  const { expiry, brokerName: broker } = status
  const until = expiry ? ` until ${zonedTime(expiry.at, now, zone)}` : ''
  const page = { status: 200, facts: factsOf(status, zone) }
  if (!exchanged)
    return {
      ...page,
      tone: 'good',
      heading: `Already live${until}`,
      sentence: `Nothing was changed: ${broker} accepts the session that Openbell holds.`,
      next: 'You can close this page. To replace the session all the same, start the login again and choose to replace it.',
    }
  if (status.token === 'live')
    return {
      ...page,
      tone: 'good',
      heading: `Live${until}`,
      sentence: `${broker} has accepted the new session.`,
      next: nextOf(status.delivered),
    }
  if (status.token === 'unproven' || status.token === 'suspect')
    return {
      ...page,
      tone: 'wait',
      heading: 'Saved, not yet confirmed',
      sentence: `${broker} handed over a session and has not confirmed it yet.`,
      next: 'Openbell asks again by itself. You need not log in again, and can close this page.',
    }
  return {
    ...page,
    tone: 'bad',
    heading: 'The new session is not accepted',
    sentence: status.work.problem?.message ?? `${broker} refused the session that it had just handed over.`,
    ...startAgain(status.ref.accountId),
  }
}

export function failurePage(error: unknown): Page {
  const { code, message, accountId } = tellable(error)
  const { heading, sentence = message } = failures[code] ?? { heading: 'The login was not finished' }
  return {
    status: httpStatus[code],
    tone: 'bad',
    heading,
    sentence,
    facts: accountId === undefined ? [] : [['Account', accountId]],
    ...startAgain(accountId),
  }
}

/** For somebody who opened the redirect's address by hand. */
export const nothingPage: Page = {
  status: 200,
  tone: 'still',
  heading: 'Nothing to do here',
  sentence:
    'Brokers send browsers to this address at the end of a login. You came without one, so nothing was changed.',
  facts: [],
  ...startAgain(),
}

/** `sentence` where a browser's user needs another one than a caller of the API. */
const failures: Partial<Record<ErrorCode, { heading: string; sentence?: string }>> = {
  'login-state-used': {
    heading: 'This login was used already',
    sentence: 'A login link works once. If the page before this one said live, all is well.',
  },
  'login-state-unknown': {
    heading: 'Openbell does not know this login',
    sentence: 'The address names no login that Openbell has started, so nothing was changed.',
  },
  'login-expired': {
    heading: 'This login took too long',
    sentence: 'A login must be finished within ten minutes of its start. Nothing was changed.',
  },
  'login-foreign': { heading: 'This is not a login for Openbell' },
  'login-refused': { heading: 'The login was refused' },
  'login-other-user': { heading: 'Somebody else logged in' },
  'spend-unknown': { heading: 'Nobody knows how the login ended' },
}

function startAgain(accountId?: string): Pick<Page, 'next' | 'command'> {
  return {
    next: 'To log in, start again in Openbell, or run:',
    command: `openbell login${accountId === undefined ? '' : ` ${accountId}`}`,
  }
}

function nextOf({ n, m }: { n: number; m: number }): string {
  return n < m ? 'Openbell goes on trying the others. You can close this page.' : 'You can close this page.'
}

function factsOf(status: LoginResult['status'], zone: Zone): Page['facts'] {
  const { label, ref, brokerUserId, environment, expiry, delivered, deliveries } = status
  const facts: (readonly [string, string])[] = [
    ['Broker', environment === 'live' ? status.brokerName : `${status.brokerName} (${environment})`],
    ['Account', label === ref.accountId ? label : `${label} (${ref.accountId})`],
  ]
  if (brokerUserId !== undefined) facts.push(['User at the broker', brokerUserId])
  if (expiry) facts.push(['Ends', fullTime(expiry.at, zone)])
  facts.push([
    'Delivered',
    delivered.m === 0 ? 'Programs read it from Openbell' : `${delivered.n} of ${delivered.m} destinations`,
  ])
  for (const { destinationId, problem } of deliveries)
    if (problem) facts.push([destinationId, problem.message])
  return facts
}

const marks = { good: '✓', wait: '…', bad: '!', still: 'i' }

const style = `
:root { color-scheme: light dark; --ink: #1b1d22; --quiet: #5d636e; --paper: #f4f5f7; --card: #fff; --line: #e3e5ea;
  --good: #14804a; --wait: #9a6200; --bad: #c0322b; --still: #5d636e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceef2; --quiet: #a0a7b4; --paper: #131519; --card: #1c1f25; --line: #30343d;
    --good: #4cc38a; --wait: #e5a93b; --bad: #ff7b72; --still: #a0a7b4 }
}
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-content: center; padding: 1.25rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
main { width: min(32rem, 100vw - 2.5rem); padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 1rem }
.mark { width: 3rem; height: 3rem; margin: 0 0 1.25rem; border-radius: 50%; display: grid; place-content: center;
  color: var(--card); font-size: 1.5rem; font-weight: 700; line-height: 1 }
.good .mark { background: var(--good) } .wait .mark { background: var(--wait) }
.bad .mark { background: var(--bad) } .still .mark { background: var(--still) }
h1 { margin: 0 0 .5rem; font-size: 1.6rem; line-height: 1.25; letter-spacing: -.01em; text-wrap: balance }
p { margin: 0 }
dl { margin: 1.5rem 0 0; display: grid; grid-template-columns: fit-content(45%) 1fr; border-top: 1px solid var(--line) }
dt, dd { margin: 0; padding: .6rem 0; border-bottom: 1px solid var(--line) }
dt { padding-right: 1.5rem; color: var(--quiet) }
dd { text-align: right; font-variant-numeric: tabular-nums; text-wrap: balance }
.next { margin-top: 1.5rem; color: var(--quiet) }
code { display: block; margin-top: .5rem; padding: .6rem .8rem; border-radius: .5rem; background: var(--paper);
  font: .95rem/1.5 ui-monospace, monospace }
footer { margin-top: 1rem; text-align: center; color: var(--quiet); font-size: .8rem }
@media (max-width: 26rem) {
  main { padding: 1.25rem }
  dl { display: block } dt { padding: .6rem 0 0; border: 0 } dd { padding-top: 0; text-align: left }
}
`

export async function renderPage({
  status,
  tone,
  heading,
  sentence,
  facts,
  next,
  command,
}: Page): Promise<Response> {
  const body = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${heading} · Openbell</title>
<style>${raw(style)}</style>
</head>
<body>
<main class="${tone}">
<p class="mark" aria-hidden="true">${marks[tone]}</p>
<h1>${heading}</h1>
<p>${sentence}</p>
${facts.length === 0 ? '' : html`<dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`}
<p class="next">${next}</p>
${command === undefined ? '' : html`<code>${command}</code>`}
</main>
<footer>Openbell</footer>
</body>
</html>
`
  return new Response(String(body), {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src '${await hashOf(style)}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      // The address holds a code and a state.
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    },
  })
}

async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`
}
