/** Changes one value in the text of a .env file and leaves every other byte alone. */

import { type Assignment, assignmentsIn, readers } from './readers.ts'

/** The value that programs see for `key`; undefined = none. Where they differ, `dotenv`'s, unless it sees none. */
export function readValue(text: string, key: string): string | undefined {
  for (const read of readers) {
    const value = read(text).get(key)
    if (value !== undefined) return value
  }
  return undefined
}

/** A name that every reader, shells included, takes as a variable's. */
export function isVariableName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
}

/**
 * Printable ASCII that one of the common quotings carries to every reader. The rest cannot be written alike for
 * all: control characters; `'` together with any of `"`, `$`, backquote or backslash; a backslash at the end of what
 * needs quotes.
 */
export function canCarry(value: string): boolean {
  return quotings(value, '').length > 0
}

/**
 * The text with `key` set, or undefined when no edit would be read alike by all readers or would change what they
 * read for another key, as in a file with a quote that is never closed. `value` must pass `canCarry`.
 *
 * Every duplicate is set, although all our readers take the last: some programs take the first, and an old token
 * should not lie about. Where a line that looks like the key's is part of something else, only the last is set, and
 * where there is none that all readers see, a line is added, at the end if it can be.
 */
export function setValue(text: string, key: string, value: string): string | undefined {
  const assignments = assignmentsIn(text)
  const before = readers.map((read) => read(text))

  const meansTheSame = (edited: string) =>
    readers.every((read, index) => {
      const was = new Map(before[index]).set(key, value)
      const is = read(edited)
      return is.size === was.size && [...was].every(([name, expected]) => is.get(name) === expected)
    })

  for (const edited of candidates(text, key, value, assignments)) {
    if (meansTheSame(edited)) return edited
  }
  return undefined
}

/** Edits to try, the one that a person would make first. */
function* candidates(
  text: string,
  key: string,
  value: string,
  assignments: readonly Assignment[],
): Generator<string> {
  const own = assignments.filter((one) => one.key === key && one.onOneLine)
  const ways = quotings(value, '')
  for (const places of [own, own.slice(-1)]) {
    if (places.length === 0) continue
    for (const index of ways.keys()) yield replaceAt(text, places, value, index)
  }
  for (const at of lineStartsFromEnd(text, 20)) {
    for (const way of ways) yield withLine(text, at, `${prefixFor(assignments)}${key}=${way}`)
  }
}

function replaceAt(text: string, places: readonly Assignment[], value: string, way: number): string {
  let edited = text
  for (const place of places.toReversed()) {
    const { from, to } = extent(text, place)
    const written = quotings(value, text.slice(from, to))[way]
    const upTo = edited.slice(0, from) + written
    // A shell takes `#` for a comment only behind a blank.
    const gap = text[to] === '#' && !/\s$/.test(upTo) ? ' ' : ''
    edited = upTo + gap + edited.slice(to)
  }
  return edited
}

/** What of the line is the value, as a person or a shell would say. */
function extent(text: string, { separatorEnd, from, to }: Assignment): { from: number; to: number } {
  if (from === to) {
    // Behind `KEY= `, a shell would run the value as a command.
    const spaced = /\s=$/.test(text.slice(0, separatorEnd))
    return spaced ? { from, to } : { from: separatorEnd, to: separatorEnd }
  }
  const closed = to - from > 1 && /["'`]/.test(text[from] ?? '') && text[from] === text[to - 1]
  if (closed || text[to] !== '#') return { from, to }
  // `abc#def` without a blank: readers stop at `#`, but the rest belonged to the old value and goes with it.
  const [rest = ''] = /^(?:(?!\s+#)[^\r\n])*/.exec(text.slice(to)) ?? []
  return { from, to: to + rest.trimEnd().length }
}

/**
 * The ways to write `value` that `dotenv`, Node and bash read alike, the old value's own way first. Backquotes are
 * none of them: a shell would run the token as a command.
 */
function quotings(value: string, old: string): string[] {
  if (!/^[\x20-\x7e]*$/.test(value)) return []
  const ways: [quote: string, carries: boolean][] = [
    ['', /^[\w.:/@%+=,-]*$/.test(value)],
    // `dotenv` takes `\'` for a quote that does not close.
    ["'", !value.includes("'") && !value.endsWith('\\')],
    // Here shells expand and `dotenv` and Node turn `\n` into a line end.
    ['"', !/["$`\\]/.test(value)],
  ]
  return ways
    .filter(([, carries]) => carries)
    .sort(([one], [other]) => Number(isWrittenWith(other, old)) - Number(isWrittenWith(one, old)))
    .map(([quote]) => `${quote}${value}${quote}`)
}

function isWrittenWith(quote: string, old: string): boolean {
  return quote === '' ? !/^["'`]/.test(old) : old.startsWith(quote)
}

/**
 * The end of the text, then the starts of its last lines. The end alone will not do: behind a last line like `NAME= `,
 * with a blank, Node takes the added line for the value of that name.
 */
function lineStartsFromEnd(text: string, most: number): number[] {
  const starts = Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)
  const top = text.startsWith('\uFEFF') ? [] : [0]
  return [...new Set([...top, ...starts, text.length])].toReversed().slice(0, most)
}

function withLine(text: string, at: number, line: string): string {
  const lineEnd = text.match(/\r?\n/g)?.at(-1) ?? '\n'
  const gap = at === 0 || text[at - 1] === '\n' ? '' : lineEnd
  return `${text.slice(0, at)}${gap}${line}${lineEnd}${text.slice(at)}`
}

/** A file whose every line exports is read by a shell that hands on nothing else. */
function prefixFor(assignments: readonly Assignment[]): string {
  return assignments.length > 0 && assignments.every(({ exported }) => exported) ? 'export ' : ''
}
