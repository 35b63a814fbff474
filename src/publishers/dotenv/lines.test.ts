import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { parse } from 'dotenv'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canCarry, isVariableName, readValue, setValue } from './lines.ts'
import { assignmentsIn } from './readers.ts'

function set(text: string, key: string, value: string): string {
  const edited = setValue(text, key, value)
  if (edited === undefined) throw new Error(`refused to set ${key} in ${JSON.stringify(text)}`)
  return edited
}

/** What bash has in each variable after sourcing each text; undefined where it complains. One bash for all. */
function readInBash(texts: readonly string[]): (Map<string, string> | undefined)[] {
  const folder = mkdtempSync(join(tmpdir(), 'openbell-lines-'))
  const file = (index: number, kind: string) => join(folder, `${index}.${kind}`)
  try {
    for (const [index, text] of texts.entries()) writeFileSync(file(index, 'env'), text)
    const script = `for ((i = 0; i < ${texts.length}; i++)); do
      (set -a; . "$0/$i.env" > /dev/null 2> "$0/$i.complaints" || echo failed >> "$0/$i.complaints"; exec env -0 > "$0/$i.seen")
    done`
    spawnSync('/bin/bash', ['--norc', '--noprofile', '-c', script, folder], {
      env: { PATH: '/usr/bin:/bin' },
    })
    return texts.map((_, index) => {
      if (readFileSync(file(index, 'complaints'), 'utf8') !== '') return undefined
      const pairs = readFileSync(file(index, 'seen'), 'utf8').split('\0')
      return new Map(
        pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
      )
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const key = 'KITE_ACCESS_TOKEN'

describe('one line changes', () => {
  it.each([
    ['an old value', `${key}=old`, `${key}=new`],
    ['no value', `A=1\n${key}=\nB=2\n`, `A=1\n${key}=new\nB=2\n`],
    ['single quotes', `${key}='old'`, `${key}='new'`],
    ['double quotes', `${key}="old" # why\n`, `${key}="new" # why\n`],
    ['backquotes, which a shell would run', `${key}=\`old\`\n`, `${key}=new\n`],
    ['export', `export ${key}=old\n`, `export ${key}=new\n`],
    ['export and tabs', `\texport\t ${key}=old\t# why\n`, undefined],
    ['blanks around =', `  ${key} = old  # why\n`, `  ${key} = new  # why\n`],
    ['a comment behind', `${key}=old # was: 'x'\n`, `${key}=new # was: 'x'\n`],
    ['a comment and no value', `${key}= # paste here\n`, `${key}=new # paste here\n`],
    ['a comment right behind =', `${key}=# paste here\n`, `${key}=new # paste here\n`],
    ['a comment right behind a quote', `${key}="old"# why\n`, `${key}="new" # why\n`],
    ['a # inside the old value', `${key}=old#er # why\n`, `${key}=new # why\n`],
    ['words', `${key}=paste it here\n`, `${key}=new\n`],
    ['CRLF', `A=1\r\n${key}=old\r\nB=2\r\n`, `A=1\r\n${key}=new\r\nB=2\r\n`],
    ['a quote never closed', `${key}="old\nB=2\n`, `${key}="new"\nB=2\n`],
    ['duplicates', `${key}=one\nA=1\n${key}='two'\n`, `${key}=new\nA=1\n${key}='new'\n`],
    ['several lines', `${key}="one\ntwo"\nA=1\n`, `${key}="new"\nA=1\n`],
    ['a byte order mark', `\uFEFFA=1\n${key}=old\n`, `\uFEFFA=1\n${key}=new\n`],
  ])('%s', (_, before, after) => {
    if (after !== undefined) expect(set(before, key, 'new')).toBe(after)
    expect(readValue(set(before, key, 'new'), key)).toBe('new')
  })
})

describe('a value is emptied', () => {
  it.each([
    ['plain', `${key}=old # why\nA=1\n`, `${key}= # why\nA=1\n`],
    ['quoted', `export ${key}="old"\n`, `export ${key}=""\n`],
    ['where Node would go on to the next line', `${key} = old\nA=1\n`, `${key} = ''\nA=1\n`],
  ])('%s', (_, before, after) => {
    expect(set(before, key, '')).toBe(after)
    expect(readValue(after, key)).toBe('')
  })
})

describe('a line is added', () => {
  it.each([
    ['to nothing', '', `${key}=new\n`],
    ['behind a last line without end', 'A=1', `A=1\n${key}=new\n`],
    ['with the line ends of the file', 'A=1\r\nB=2', `A=1\r\nB=2\r\n${key}=new\r\n`],
    ['exported where all are', 'export A=1\n# x\n', `export A=1\n# x\nexport ${key}=new\n`],
    ['beside a name that only begins alike', `${key}_OLD=1\n`, `${key}_OLD=1\n${key}=new\n`],
    ['to a byte order mark', '\uFEFF', `\uFEFF\n${key}=new\n`],
    ['beside a comment', `# ${key}=old\n`, `# ${key}=old\n${key}=new\n`],
    ['beside a text that looks like it', `A="\n${key}=x\n"\n`, `A="\n${key}=x\n"\n${key}=new\n`],
    ['where Node sees another name', `\uFEFF${key}=old\n`, `\uFEFF${key}=old\n${key}=new\n`],
    ['above a last line that would take it for its value', 'A=1\nB= \n', `A=1\n${key}=new\nB= \n`],
    ['where the value would be on the next line', `${key}:\n# x\n`, `${key}:\n# x\n${key}=new\n`],
    ['where only one reader sees it', `${key}: old\n`, `${key}: old\n${key}=new\n`],
  ])('%s', (_, before, after) => {
    expect(set(before, key, 'new')).toBe(after)
    // The next renewal finds the added line instead of adding another.
    const next = set(after, key, 'newer')
    expect(next.split('\n').length).toBe(after.split('\n').length)
    expect(readValue(next, key)).toBe('newer')
  })
})

it('refuses a file in which no edit would leave the other values alone', () => {
  expect(setValue('\uFEFFA="', key, "it's")).toBeUndefined()
  expect(set(`A="\n`, key, 'plain')).toBe(`A="\n${key}=plain\n`)
})

it('quotes what would be misread', () => {
  expect(set('', key, 'a#b')).toBe(`${key}='a#b'\n`)
  expect(set('', key, '$HOME')).toBe(`${key}='$HOME'\n`)
  expect(set('', key, "it's")).toBe(`${key}="it's"\n`)
  expect(set(`${key}="old"`, key, 'a$b')).toBe(`${key}='a$b'`)
  expect(set(`${key}='old'`, key, "it's")).toBe(`${key}="it's"`)
})

it('knows what no quoting carries', () => {
  for (const value of ['a\nb', 'a\0b', 'a\tb', 'é', `'"`, `'$`, "'`", "'\\", '\\'])
    expect(canCarry(value)).toBe(false)
  for (const value of ['', 'a', ' a ', '"', '\\n', '$(x)', '`x`', `'`, '!', '~', '#', 'a\\b'])
    expect(canCarry(value)).toBe(true)
})

it('knows a name', () => {
  for (const name of ['A', '_a9', 'access_token']) expect(isVariableName(name)).toBe(true)
  for (const name of ['', '9A', 'A-B', 'A B', 'A=', 'A\n', 'Ä']) expect(isVariableName(name)).toBe(false)
})

it('reads what programs read', () => {
  expect(readValue('', key)).toBeUndefined()
  expect(readValue(`A=${key}`, key)).toBeUndefined()
  expect(readValue(`${key}=one\n${key}='two' # why`, key)).toBe('two')
  expect(readValue(`export\t${key}=one`, key)).toBe('one')
})

// ---------------------------------------------------------------------------------------------------- properties

const keys = fc.constantFrom('A', 'B', 'access_token', 'KITE_ACCESS_TOKEN', 'KITE')
const lineEnds = fc.constantFrom('\n', '\r\n')
const printable = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)),
  maxLength: 24,
})
const carried = printable.filter(canCarry)

const blank = fc.constantFrom('', '', ' ', '  ', '\t')
const plainText = fc.string({ unit: fc.constantFrom(...'abcXYZ019._-/:+ é€😀'), maxLength: 12 })
const comment = fc.oneof(
  fc.constant(''),
  plainText.map((text) => ` #${text}`),
  fc.constant(` # it's "quoted`),
)
const value = fc.oneof(
  fc.constant(''),
  fc.string({ unit: fc.constantFrom(...'abc019._-:/'), maxLength: 10 }),
  plainText.map((text) => `'${text}'`),
  plainText.map((text) => `"${text}"`),
  plainText.map((text) => `"one\n${text}\nA=not me\nKITE = nor me"`),
  plainText.map((text) => `'one\n${text}\n# '`),
  fc.constant('`x y`'),
  fc.constant('"say \\"hi\\" A=1"'),
  fc.constant('"a\\nb"'),
)
const goodLine = fc.oneof(
  fc
    .tuple(
      blank,
      fc.constantFrom('', 'export '),
      keys,
      fc.constantFrom('=', '=', ' = ', '= '),
      value,
      comment,
    )
    .map((parts) => parts.join('')),
  plainText.map((text) => `# ${text}`),
  fc.constant(''),
)
const junkLine = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'AB=\'"`\\#: \t\n\r$é\u00a0'), maxLength: 16 }),
  fc.tuple(keys, fc.constantFrom(': ', '=', ' =', '\t='), printable).map((parts) => parts.join('')),
  fc.constantFrom(
    'junk',
    'if true; then',
    'A',
    'export A',
    'A="never closed',
    "B='",
    '=x',
    '\uFEFFA=1',
    'A=`',
    'A=x\\',
  ),
)
function file(line: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom('', '', '', '\uFEFF'), fc.array(line, { maxLength: 8 }), lineEnds, fc.boolean())
    .map(([mark, lines, end, ended]) =>
      `${mark}${lines.join('\n')}${ended ? '\n' : ''}`.replace(/\r?\n/g, end),
    )
}
const anyFile = fc.oneof(file(goodLine), file(fc.oneof(goodLine, junkLine)))

/** Node also finds names that no program asks for: `export A` in `export A= `. */
function named(variables: NodeJS.Dict<string>): NodeJS.Dict<string> {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => /^[\w.-]+$/.test(name)))
}

const libraries = [(text: string) => parse(text), (text: string) => named(parseEnv(text))]

describe('for any file, key and value', () => {
  it('our reading is that of dotenv', () => {
    fc.assert(
      fc.property(anyFile, (text) => {
        const read = Object.fromEntries(assignmentsIn(text).map((one) => [one.key, one.value]))
        expect(read).toEqual(parse(text))
      }),
      { numRuns: 5_000 },
    )
  })

  it('readers agree on the new value and keep all others; foreign lines keep their bytes', () => {
    let edits = 0
    let refused = 0
    fc.assert(
      fc.property(anyFile, keys, carried, (text, name, wanted) => {
        const after = setValue(text, name, wanted)
        edits++
        if (after === undefined) {
          refused++
          return
        }
        for (const read of libraries) expect(read(after)).toEqual({ ...read(text), [name]: wanted })
        expectForeignLinesKept(text, after, name)
        // A second round may tidy up a line that only one reader sees; then it stays.
        const again = set(after, name, wanted)
        expect(set(again, name, wanted)).toBe(again)
      }),
      { numRuns: 5_000 },
    )
    // Junk with open quotes is refused now and then; a refusal of the ordinary would hide here.
    expect(refused / edits).toBeLessThan(0.03)
  })

  it('a file of good lines is never refused', () => {
    fc.assert(
      fc.property(file(goodLine), keys, carried, (text, name, wanted) => {
        // Node takes whatever follows such a first line for its value, and the mark hides its name.
        fc.pre(!/^\uFEFF.*=[ \t]*$/m.test(text))
        expect(setValue(text, name, wanted)).toBeDefined()
      }),
      { numRuns: 3_000 },
    )
  })

  it('bash agrees wherever it can read the file', () => {
    const shellLine = fc.oneof(
      fc
        .tuple(fc.constantFrom('', 'export '), keys, fc.constant('='), value, comment)
        .map((parts) => parts.join('')),
      plainText.map((text) => `# ${text}`),
      fc.constant(''),
    )
    const samples = fc.sample(
      fc.tuple(
        fc.array(shellLine, { maxLength: 6 }).map((lines) => lines.join('\n')),
        keys,
        carried,
      ),
      { numRuns: 250, seed: 7 },
    )
    const edited = samples.map(([text, name, wanted]) => set(text, name, wanted))
    const before = readInBash(samples.map(([text]) => text))
    const after = readInBash(edited)
    let compared = 0
    samples.forEach(([, name, wanted], index) => {
      const was = before[index]
      if (!was) return
      compared++
      const expected = new Map(was).set(name, wanted)
      expected.delete('_')
      after[index]?.delete('_')
      expect(after[index], edited[index]).toEqual(expected)
    })
    expect(compared).toBeGreaterThan(100)
  })

  it('bash reads every value that we carry, in every old quoting', () => {
    const samples = fc.sample(
      fc.tuple(fc.constantFrom('', 'x', "'x'", '"x"', '# y', ' # y', 'x # y', '"x"#y'), carried),
      { numRuns: 400, seed: 11 },
    )
    const seen = readInBash(samples.map(([old, wanted]) => set(`A=1\n${key}=${old}\nB=2\n`, key, wanted)))
    expect(seen.map((variables) => variables?.get(key))).toEqual(samples.map(([, wanted]) => wanted))
  })
})

it('1,000 edits among foreign ones leave nothing else changed', () => {
  const random = fc.sample(fc.tuple(keys, carried, goodLine, fc.nat(), fc.nat({ max: 9 })), {
    numRuns: 1_000,
    seed: 3,
  })
  let text = '# top\nexport OTHER="stays" # here\r\nKITE=1\n'
  for (const [name, wanted, line, where, kind] of random) {
    if (kind < 3 && !line.includes('\n')) {
      // Somebody edits by hand: a line goes in between two of ours, or one goes away.
      const lines = text.split('\n')
      const spot = where % lines.length
      lines.splice(spot, kind === 0 && lines.length > 20 ? 1 : 0, ...(kind === 0 ? [] : [line]))
      text = lines.join('\n')
    }
    const before = text
    text = set(text, name, wanted)
    for (const read of libraries) expect(read(text)).toEqual({ ...read(before), [name]: wanted })
    expectForeignLinesKept(before, text, name)
  }
})

/** Every line without the name stands in the new text in its old order, byte for byte; nothing but lines with the name came or went. */
function expectForeignLinesKept(before: string, after: string, name: string): void {
  const own = new Set<number>()
  for (const { key: found, separatorEnd, to } of assignmentsIn(before)) {
    if (found !== name) continue
    const first = before.slice(0, separatorEnd).split(/(?<=\n)/).length - 1
    const last = before.slice(0, to).split(/(?<=\n)/).length - 1
    for (let line = first; line <= last; line++) own.add(line)
  }
  const foreign = before.split(/(?<=\n)/).filter((line, index) => line !== '' && !own.has(index))
  const lines = after.split(/(?<=\n)/)
  let at = 0
  for (const [index, line] of foreign.entries()) {
    // Only the last line of the file may get an end, when a line is added behind it.
    const isLast = index === foreign.length - 1 && !line.endsWith('\n')
    while (
      at < lines.length &&
      lines[at] !== line &&
      !(isLast && [`${line}\n`, `${line}\r\n`].includes(lines[at] ?? ''))
    )
      at++
    expect(
      at,
      `lost ${JSON.stringify(line)} of ${JSON.stringify(before)} in ${JSON.stringify(after)}`,
    ).toBeLessThan(lines.length)
    at++
  }
  expect(lines.length - before.split(/(?<=\n)/).length).toBeLessThanOrEqual(1)
}
