import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { describe, expect, it, test } from 'vitest'
import { httpStatus } from '../src/api/contract.ts'
import { commands } from '../src/cli/commands.ts'
import { type ErrorCode, errorCodes } from '../src/core/errors.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const files = globSync(['*.md', 'docs/**/*.md'], { cwd: root }).map((file) => file.replaceAll('\\', '/'))
const pages = files.map((file) => ({ file, text: read(file) }))

describe('docs/errors.md', () => {
  const sections = [...read('docs/errors.md').matchAll(/^### `([a-z-]+)`\n`([a-z-]+)`, HTTP (\d+)/gm)]

  it('has one section for each code, and none for others', () => {
    expect(sections.map(([, code]) => code)).toEqual(Object.keys(errorCodes))
    expect(read('docs/errors.md').match(/^### `/gm)).toHaveLength(sections.length)
  })

  it('names the remedy and the HTTP status of each', () => {
    const told = sections.map(([, code, remedy, status]) => [code, remedy, Number(status)])
    const codes = Object.keys(errorCodes) as ErrorCode[]
    expect(told).toEqual(codes.map((code) => [code, errorCodes[code], httpStatus[code]]))
  })

  it.each([
    ['kite', 'Zerodha Kite'],
    ['tastytrade', 'tastytrade'],
  ])('says of %s what its captured cases say', (id, name) => {
    const rows = brokerRows(name)
    const cases = capturedCases(id)
    // Those that no broker says: Openbell's own conclusion from silence.
    const said = rows.filter(({ brokerCode }) => brokerCode !== '-')
    expect(unique(said.flatMap(meanings))).toEqual(unique(cases.flatMap(({ meaning }) => meaning)))
    const bodies = cases.map(({ body }) => body).join('\n')
    const words = rows.filter(({ says }) => !says.includes('HTML')).flatMap(({ says }) => codeSpans(says))
    expect(words.filter((each) => !bodies.includes(each))).toEqual([])
    expect(words.length).toBeGreaterThan(1)
    expect(rows.map(({ becomes }) => becomes).filter((code) => !(code in errorCodes))).toEqual([])
  })
})

describe('the README', () => {
  it('says once how to run the tests', () => {
    expect(read('README.md').split('npm test')).toHaveLength(2)
  })
})

describe.each(pages)('$file', ({ file, text }) => {
  test('leads nowhere in vain', () => {
    const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
    const broken = targets
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [path = '', anchor] = target.split('#')
        const there = path === '' ? join(root, file) : join(root, dirname(file), path)
        if (!existsSync(there)) return true
        return anchor !== undefined && !anchorsIn(readFileSync(there, 'utf8')).includes(anchor)
      })
    expect(broken).toEqual([])
  })

  test('names files, functions, tasks and settings that are there', () => {
    const places = [...text.matchAll(/\]\((src\/[^)]+\.ts)\) `(#?\w+)`/g)]
    expect(places.filter(([, path = '', name = '']) => !names(read(path), name)).map(([all]) => all)).toEqual(
      [],
    )

    const paths = codeSpans(text).filter((span) => /^(src|test|scripts|docs|bin|\.ci)\/[\w./-]*$/.test(span))
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])

    const { scripts } = JSON.parse(read('package.json'))
    const tasks = [...text.matchAll(/\bnpm run (?:-s )?(\w+)/g)].map(([, name = '']) => name)
    expect(tasks.filter((name) => !Object.hasOwn(scripts, name))).toEqual([])

    const settings = text.match(/\bOPENBELL_[A-Z_]+\b/g) ?? []
    expect(settings.filter((name) => !read('src/compose/settings.ts').includes(`env.${name}`))).toEqual([])
  })

  test('names commands and options of openbell that are there', async () => {
    const lines = [...codeSpans(text), ...fences(text).flatMap((fence) => fence.split('\n'))]
    const calls = lines.flatMap((line) => line.match(/(?<![\w./-])openbell +[a-z][^#)]*/g) ?? [])
    const wrong: string[] = []
    for (const call of calls) if (!(await isUnderstood(call))) wrong.push(call)
    expect(wrong).toEqual([])
  })

  test('names no host but those that a reader needs, and no path of the machine it was written on', () => {
    const hosts = [...text.matchAll(/https?:\/\/([\w.-]+)/g)].map(([, host = '']) => host)
    const expected = ['127.0.0.1', 'localhost', 'keepachangelog.com', 'semver.org']
    expect(hosts.filter((host) => !expected.includes(host))).toEqual([])
    expect(text).not.toMatch(/(?<![\w.~])\/(home|Users|root|tmp|mnt|private)\/|\b[A-Z]:\\/)
    for (const own of [root, homedir()]) {
      if (own.length > 3) expect(text.includes(own)).toBe(false)
    }
  })
})

describe('the picture of src/', () => {
  it('has every folder, and no other', () => {
    const table = /\| folder of `src\/`[\s\S]*?\n\n/.exec(read('ARCHITECTURE.md'))?.[0] ?? ''
    const listed = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(listed.toSorted()).toEqual(
      readdirSync(join(root, 'src'), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
        .toSorted(),
    )
  })
})

describe('decisions', () => {
  it('are numbered without a gap, dated and decided', () => {
    const decisions = files.filter((file) => file.startsWith('docs/decisions/')).toSorted()
    expect(decisions.map((file) => Number(file.slice('docs/decisions/'.length, -1).slice(0, 4)))).toEqual(
      decisions.map((_, index) => index + 1),
    )
    for (const file of decisions) expect(read(file)).toMatch(/^# \d{4} .+\n\n\d{4}-\d\d-\d\d, accepted\n/)
  })
})

// ---------------------------------------------------------------------------------------- what the brokers say

interface BrokerRow {
  says: string
  brokerCode: string
  answering: string
  becomes: string
}

function brokerRows(name: string): BrokerRow[] {
  const section =
    read('docs/errors.md')
      .split('\n### ')
      .find((each) => each.startsWith(`${name}\n`)) ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((line) => {
    const [says = '', brokerCode = '', answering = '', becomes = ''] = line
      .slice(2)
      .split(' | ')
      .map((cell) => cell.trim())
    return { says, brokerCode: bare(brokerCode), answering, becomes: bare(becomes) }
  })
}

/** `TokenException to a login: login-refused`, one for each request that the row names. */
function meanings({ brokerCode, answering, becomes }: BrokerRow): string[] {
  return answering.split(', ').map((each) => `${brokerCode} to a ${each}: ${becomes}`)
}

interface Case {
  during: 'code' | 'refresh' | 'probe' | 'revoke' | 'read'
  answer?: { body?: unknown }
  expect: string | { code: string; brokerCode?: string }
}

const readers = { code: 'login', refresh: 'renewal', probe: 'call', revoke: 'call', read: 'call' }

function capturedCases(id: string): { meaning: string[]; body: string }[] {
  const cases: Case[] = JSON.parse(read(`src/brokers/${id}.cases.json`))
  return cases.map(({ during, answer, expect: expected }) => {
    const brokerCode = typeof expected === 'object' ? expected.brokerCode : undefined
    const meaning =
      typeof expected === 'object' && brokerCode !== undefined
        ? [`${brokerCode.replace(/^HTTP 5\d\d$/, 'HTTP 5xx')} to a ${readers[during]}: ${expected.code}`]
        : []
    return { meaning, body: JSON.stringify(answer?.body ?? '').replaceAll('`', '') }
  })
}

// ------------------------------------------------------------------------------------------------------- markdown

function codeSpans(text: string): string[] {
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '')
  return [...prose.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span.replaceAll('\n', ' '))
}

function fences(text: string): string[] {
  return [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, inside = '']) => inside)
}

/** As hosting sites make them. */
function anchorsIn(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

function names(source: string, name: string): boolean {
  return new RegExp(`(^|[^\\w#])${name}\\b`, 'm').test(source)
}

function bare(cell: string): string {
  return cell.replaceAll('`', '')
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)].toSorted()
}

// ------------------------------------------------------------------------------------------------------ openbell

/** Whether a command line such as `openbell add kite --secrets - < file` names a command and options that exist. */
async function isUnderstood(call: string): Promise<boolean> {
  const [, name = '', ...words] = call.trim().split(/[\s=]+/)
  const listed = commands.find((each) => each.name === name)
  if (!listed) return false
  const command = new Command(name)
  ;(await listed.load()).configure(command, async () => undefined)
  const [second = ''] = words.filter((word) => !word.startsWith('-'))
  const inner = command.commands.find((each) => each.name() === second)
  if (command.commands.length > 0 && !inner && second !== '') return false
  const known = [...(inner ?? command).options.map(({ long }) => long), '--json', '--help']
  return words.filter((word) => /^--\w/.test(word)).every((word) => known.includes(word))
}
