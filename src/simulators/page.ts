// The few pages a simulated broker shows to a person. Each says plainly that it is not the broker.
import { html } from 'hono/html'

type Html = ReturnType<typeof html>

export function page(title: string, body: Html): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
  button { font: inherit; display: block; width: 100%; margin: .75rem 0; padding: .75rem 1rem; border: 1px solid #555; border-radius: .4rem; background: #f4f4f4; color: inherit; text-align: left; cursor: pointer }
  .notice { border-left: .3rem solid #b45309; padding-left: .8rem }
  code { overflow-wrap: anywhere }
</style>
</head>
<body>
<h1>${title}</h1>
<p class="notice">This is a simulator. It belongs to no broker, knows no real account, and asks for no password.</p>
${body}
</body>
</html>
`
}

export interface Choice {
  /** What the form sends as `user`. */
  value: string
  label: string
}

/** One button per simulated user, in a form that a script may post as well. */
export function userButtons(action: string, hidden: Record<string, string>, users: Choice[]): Html {
  return html`<form method="post" action="${action}">
${Object.entries(hidden).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
${users.map(({ value, label }) => html`<button name="user" value="${value}">${label}</button>`)}
</form>`
}

/** An address with more query parameters; those it already has are replaced. */
export function withQuery(address: string, parameters: Record<string, string>): string {
  const url = new URL(address)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}
