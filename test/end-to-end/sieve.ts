/** What may not be seen anywhere, and everything that was seen. */

import { inspect } from 'node:util'

/** Long enough to be nobody's accident, short enough that showing a beginning or an end counts as showing the secret. */
const tellingLength = 12

export interface Hit {
  channel: string
  secret: string
  form: string
}

export class Sieve {
  readonly #secrets = new Map<string, string>()
  readonly #seen = new Map<string, (string | Buffer)[]>()

  /** From now on nobody may see `value`, whatever was seen before included. */
  forbid(name: string, value: string): void {
    if (value.length < tellingLength) throw new RangeError(`${name} is too short to be searched for`)
    this.#secrets.set(value, name)
  }

  see(channel: string, content: string | Buffer): void {
    this.#seen.set(channel, [...(this.#seen.get(channel) ?? []), content])
  }

  /** In every way in which it might be printed or stored. */
  seeError(channel: string, error: unknown): void {
    for (let here = error, depth = 0; here !== undefined && depth < 10; depth++) {
      this.see(channel, String(here))
      this.see(channel, inspect(here, { depth: 10, showHidden: true }))
      this.see(channel, JSON.stringify(here) ?? '')
      if (!(here instanceof Error)) return
      this.see(channel, `${here.message}\n${here.stack}`)
      const own = Object.getOwnPropertyNames(here).map((name) => [name, Reflect.get(here as Error, name)])
      this.see(channel, JSON.stringify(Object.fromEntries(own)))
      here = here.cause
    }
  }

  channels(): string[] {
    return [...this.#seen.keys()].sort()
  }

  secretsKnown(): number {
    return this.#secrets.size
  }

  text(channel: string): string {
    return (this.#seen.get(channel) ?? []).map((content) => content.toString()).join('\n')
  }

  /** Which secret, by name, in which form and where. Never the secret itself: this is printed when a test fails. */
  hits(channels: readonly string[] = this.channels()): Hit[] {
    const hits: Hit[] = []
    for (const channel of channels) {
      const contents = this.#seen.get(channel) ?? []
      const whole = Buffer.concat(contents.flatMap((content) => [Buffer.from(content), Buffer.from('\n')]))
      for (const [value, secret] of this.#secrets) {
        const form = formsOf(value).find(([, text]) => whole.includes(text))?.[0]
        if (form !== undefined) hits.push({ channel, secret, form })
      }
    }
    return hits
  }
}

function formsOf(value: string): [form: string, text: string][] {
  const bytes = Buffer.from(value)
  return [
    ['its beginning', value.slice(0, tellingLength)],
    ['its end', value.slice(-tellingLength)],
    // Wherever it begins within a group of three.
    ...(['base64', 'base64url'] as const).flatMap((encoding) =>
      [0, 1, 2].map((offset): [string, string] => [
        encoding,
        bytes.subarray(offset).toString(encoding).slice(0, tellingLength),
      ]),
    ),
    ['hex', bytes.toString('hex').slice(0, 2 * tellingLength)],
    ['backwards', [...value].reverse().join('').slice(0, tellingLength)],
  ]
}
