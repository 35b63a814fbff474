import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { describe, expect, it, test } from 'vitest'
import { httpStatus } from '../src/api/contract.ts'
import { brokers } from '../src/brokers/index.ts'
import { commands } from '../src/cli/commands.ts'
import { type ErrorCode, errorCodes } from '../src/core/errors.ts'
import { maybeText } from '../src/core/json.ts'
import { minuteMs } from '../src/core/time.ts'

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
})

describe.each(brokers)('the page of $name', (broker) => {
  const page = brokerPage(broker.id)

  it('has the headings that every broker has', () => {
    const shortName = broker.name.split(' ').at(-1)
    expect([...page.matchAll(/^#+ .+$/gm)].map(([heading]) => heading)).toEqual([
      `# ${broker.name}`,
      '## Creating the app',
      '## The redirect',
      '## What is unattended, and what needs a person',
      '## What ends a token',
      '## Limits and lock-outs',
      `## What ${shortName} says`,
      '## Links',
    ])
  })

  it('says of its answers what the captured cases say', () => {
    const rows = brokerRows(page)
    const cases = capturedCases(broker.id)
    // Those that no broker says: Openbell's own conclusion from silence.
    const said = rows.filter(({ brokerCode }) => brokerCode !== '-')
    expect(unique(said.flatMap(meanings))).toEqual(unique(cases.flatMap(({ meaning }) => meaning)))
    const bodies = cases.map(({ body }) => body).join('\n')
    const words = rows.filter(({ says }) => !says.includes('HTML')).flatMap(({ says }) => codeSpans(says))
    expect(words.filter((each) => !bodies.includes(each))).toEqual([])
    expect(words.length).toBeGreaterThan(1)
    expect(rows.map(({ becomes }) => becomes).filter((code) => !(code in errorCodes))).toEqual([])
  })

  it('has a row for each code of the cases, in the words that they were captured in', () => {
    const rows = brokerRows(page)
    for (const { brokerCode, message } of refusalsIn(broker.id)) {
      const told = rows.filter((row) => row.brokerCode === brokerCode).map(({ says }) => bare(says))
      expect(told.join('; '), `${brokerCode} says "${message}"`).toContain(message)
    }
  })

  it('names each credential and variable as the adapter has them', () => {
    const rows = [...page.matchAll(/^\| ([^|]+) \| `(\w+)` \| [^|]+ \|$/gm)]
    expect(rows.map(([, label, name]) => [label, name])).toEqual(
      Object.entries(broker.credentials).map(([name, { label }]) => [label, name]),
    )
    const variables = Object.values(broker.env)
    expect(variables.filter((name) => !codeSpans(page).includes(name))).toEqual([])
  })

  it('names the hours and limits that Openbell keeps', () => {
    const { mintFrom, limits } = broker.rules
    const minutes = (ms: number) => `${ms / minuteMs} minutes`
    const { failedAuth, spendsPerDay } = limits
    const ours = page.split('\n').find((line) => line.startsWith("| Openbell's |")) ?? ''
    expect(ours).toMatch(
      new RegExp(
        `after ${failedAuth?.max} refus.+ within ${minutes(failedAuth?.perMs ?? 0)} it stops for ${minutes(failedAuth?.pauseMs ?? 0)};`,
      ),
    )
    expect(ours).toMatch(new RegExp(`\\b${spendsPerDay} .+ a day`))
    if (mintFrom) expect(page).toContain(`from ${mintFrom.time} IST on`)
  })
})

describe('docs/brokers', () => {
  it('has one page for each broker, and none for others', () => {
    const ids = files
      .map((file) => /^docs\/brokers\/(.+)\.md$/.exec(file)?.[1])
      .filter((id) => id !== undefined)
    expect(unique(ids)).toEqual(unique(brokers.map(({ id }) => id)))
  })

  it('is the only place that has a table of what a broker says', () => {
    const tables = pages.filter(({ text }) => text.includes('| its code | answering | becomes |'))
    expect(unique(tables.map(({ file }) => file))).toEqual(
      unique(brokers.map(({ id }) => `docs/brokers/${id}.md`)),
    )
  })
})

describe('CHANGELOG.md', () => {
  it('names every command that the help shows', () => {
    const [, told = ''] = /The command line: `([a-z\s]+)`/.exec(read('CHANGELOG.md')) ?? []
    const shown = commands.filter(({ hidden }) => !hidden).map(({ name }) => name)
    expect(told.split(/\s+/).toSorted()).toEqual(shown.toSorted())
  })
})

describe('the README', () => {
  it('leads to the page of each broker', () => {
    const missing = brokers.filter(
      ({ id, name }) => !read('README.md').includes(`[${name}](docs/brokers/${id}.md)`),
    )
    expect(missing.map(({ id }) => id)).toEqual([])
  })

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

    const paths = codeSpans(text).filter((span) =>
      /^(src|test|scripts|docs|bin|clients|\.ci)\/[\w./-]*$/.test(span),
    )
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
    const expected = ['127.0.0.1', 'localhost', 'keepachangelog.com', 'semver.org', ...brokerHosts(file)]
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

/** The sites of a broker, which only its own page may name. */
const sites: Readonly<Record<string, readonly string[]>> = {
  fyers: ['myapi.fyers.in', 'support.fyers.in'],
  upstox: ['upstox.com', 'account.upstox.com'],
  kite: ['kite.trade', 'developers.kite.trade'],
  tastytrade: ['developer.tastytrade.com', 'my.tastytrade.com', 'cert-my.staging-tasty.works'],
}

function brokerHosts(file: string): readonly string[] {
  return sites[/^docs\/brokers\/(.+)\.md$/.exec(file)?.[1] ?? ''] ?? []
}

interface BrokerRow {
  says: string
  brokerCode: string
  answering: string
  becomes: string
}

function brokerPage(id: string): string {
  return read(`docs/brokers/${id}.md`)
}

function brokerRows(page: string): BrokerRow[] {
  const section = page.split('\n## ').find((each) => /^What .+ says\n/.test(each)) ?? ''
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
  during: 'code' | 'refresh' | 'probe' | 'revoke' | 'read' | 'push'
  answer?: { body?: unknown }
  expect: string | { code: string; brokerCode?: string }
}

const readers = {
  code: 'login',
  refresh: 'renewal',
  probe: 'call',
  revoke: 'call',
  read: 'call',
  push: 'push',
}

function casesOf(id: string): Case[] {
  return JSON.parse(read(`src/brokers/${id}.cases.json`))
}

/** As the pages have it: one row for all outages, and one for the code that the cases invent to stand for any other. */
function brokerCodeIn({ expect: expected }: Case): string | undefined {
  if (typeof expected !== 'object') return undefined
  return expected.brokerCode?.replace(/^HTTP 5\d\d$/, 'HTTP 5xx').replace(/^-9876$/, 'any other')
}

function capturedCases(id: string): { meaning: string[]; body: string }[] {
  return casesOf(id).map((each) => {
    const brokerCode = brokerCodeIn(each)
    const meaning =
      typeof each.expect === 'object' && brokerCode !== undefined
        ? [`${brokerCode} to a ${readers[each.during]}: ${each.expect.code}`]
        : []
    return { meaning, body: JSON.stringify(each.answer?.body ?? '').replaceAll('`', '') }
  })
}

/** What a broker said with a code, without the words that a case makes up because none are known. */
function refusalsIn(id: string): { brokerCode: string; message: string }[] {
  return casesOf(id).flatMap((each) => {
    const brokerCode = brokerCodeIn(each)
    const message = messageIn(each.answer?.body)
    if (brokerCode === undefined || message === undefined || /made.up/i.test(message)) return []
    return [{ brokerCode, message: bare(message) }]
  })
}

function messageIn(body: unknown): string | undefined {
  return (
    maybeText(body, 'message') ??
    maybeText(body, 'errors', '0', 'message') ??
    maybeText(body, 'error_description') ??
    maybeText(body, 'error', 'message')
  )
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
