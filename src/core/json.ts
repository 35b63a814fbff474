/** Reading JSON that others wrote, without trusting its shape. */

/** The value at `path`, or undefined when any step is missing or not an object. */
export function at(body: unknown, ...path: string[]): unknown {
  let here = body
  for (const key of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return undefined
    here = (here as Record<string, unknown>)[key]
  }
  return here
}

/** A non-empty string at `path`, or undefined. */
export function maybeText(body: unknown, ...path: string[]): string | undefined {
  const value = at(body, ...path)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A non-empty string at `path`; throws an error that names the path and never the value. */
export function text(body: unknown, ...path: string[]): string {
  const value = maybeText(body, ...path)
  if (value === undefined) throw new TypeError(`the answer has no text at ${path.join('.')}`)
  return value
}

/** A finite number at `path`, or undefined. */
export function maybeNumber(body: unknown, ...path: string[]): number | undefined {
  const value = at(body, ...path)
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}
