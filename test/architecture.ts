/**
 * The house rules of src/, as data, and the checker that holds files to them.
 *
 * It reads text, never resolves anything, and so does not care whether an imported file exists yet. To allow a
 * folder something new, change its line in `rules` and say why in the commit.
 */

interface Rule {
  /** Own folders it may import besides itself. `type:x/y` allows type-only imports of that one file. */
  own: readonly string[]
  node: 'any' | readonly string[]
  /** A package allows its subpaths; `@scope/*` a whole scope; `*` any. */
  packages: readonly string[]
}

export const rules: Readonly<Record<string, Rule>> = {
  core: { own: [], node: [], packages: [] },
  host: { own: ['core'], node: 'any', packages: ['undici', 'pino'] },
  engine: { own: ['core'], node: [], packages: [] },
  brokers: { own: ['core'], node: ['node:crypto'], packages: [] },
  publishers: { own: ['core', 'host'], node: 'any', packages: ['@aws-sdk/*'] },
  notifiers: { own: ['core', 'host'], node: 'any', packages: ['nodemailer'] },
  calendars: { own: ['core', 'host'], node: 'any', packages: ['temporal-polyfill'] },
  stores: { own: ['core', 'host'], node: 'any', packages: ['pg'] },
  access: { own: ['core', 'engine'], node: ['node:crypto'], packages: ['hono', 'zod'] },
  api: { own: ['core', 'engine', 'access'], node: 'any', packages: ['hono', '@hono/zod-openapi', 'zod'] },
  proxy: { own: ['core', 'engine', 'access'], node: 'any', packages: ['hono', 'zod'] },
  client: { own: ['type:api/contract'], node: [], packages: [] },
  harvester: { own: ['client', 'host'], node: 'any', packages: ['hyparquet-writer'] },
  compat: { own: ['core', 'engine', 'access', 'api', 'host'], node: 'any', packages: ['hono', 'zod'] },
  paper: { own: ['core', 'host'], node: [], packages: [] },
  simulators: { own: [], node: 'any', packages: ['hono', '@hono/node-server'] },
  testing: { own: ['core', 'engine', 'simulators', 'stores'], node: 'any', packages: [] },
  cli: {
    own: ['compose', 'client', 'simulators', 'core', 'host'],
    node: 'any',
    packages: ['commander', '@clack/prompts', 'uqr'],
  },
  lambda: { own: ['compose', 'core', 'host'], node: 'any', packages: ['hono', '@aws-sdk/*'] },
  compose: {
    own: [
      'core',
      'host',
      'engine',
      'brokers',
      'publishers',
      'notifiers',
      'calendars',
      'stores',
      'access',
      'api',
      'proxy',
      'client',
      'harvester',
      'compat',
      'paper',
      'simulators',
      'testing',
    ],
    node: 'any',
    packages: ['*'],
  },
}

/** Who may touch what the rest must be handed: the environment, the clock, the timers. Folders or files of src/. */
export const privileges = {
  environment: ['compose'],
  clock: ['host/clock.ts', 'simulators/clock.ts', 'client/clock.ts'],
  timers: ['host', 'simulators/clock.ts', 'client/clock.ts'],
}

/** Open families: one file per member, each with a line in the folder's index.ts. */
export const families = ['brokers', 'publishers', 'notifiers', 'calendars']

/** Names that gather whatever has no home. */
const homeless = ['shared', 'common', 'utils', 'helpers']

/** Every violation in a set of files, given as path (`src/core/secret.ts`) and text. */
export function violations(files: ReadonlyMap<string, string>): string[] {
  const found: string[] = []
  for (const [file, text] of files) {
    const home = file
      .split('/')
      .slice(0, -1)
      .find((name) => homeless.includes(name))
    if (home) found.push(`${file}: lies in a folder named ${home}; name what it is about`)
    if (!/\.[cm]?[jt]sx?$/.test(file) || /\.test\.ts$/.test(file)) continue
    const tokens = tokenize(text)
    found.push(...importViolations(file, importsIn(tokens)), ...globalViolations(file, tokens))
  }
  return [...found, ...familyViolations(files)]
}

// ------------------------------------------------------------------------------------------------- imports

export interface Import {
  /** Undefined where a dynamic import takes something else than a plain string. */
  specifier: string | undefined
  typeOnly: boolean
  names: readonly string[]
}

function importViolations(file: string, imports: readonly Import[]): string[] {
  const folder = folderOf(file)
  const rule = folder === undefined ? undefined : rules[folder]
  if (folder === undefined) return [`${file}: lies in no folder of the import table`]
  if (!rule) return [`${file}: folder ${folder} is not in the import table`]
  return imports.flatMap(({ specifier, typeOnly }) => {
    if (specifier === undefined) return [`${file}: imports by a computed name, which hides what it imports`]
    return allows(rule, folder, file, specifier, typeOnly)
      ? []
      : [`${file}: imports ${specifier}, which folder ${folder} may not`]
  })
}

function allows(rule: Rule, folder: string, file: string, specifier: string, typeOnly: boolean): boolean {
  if (specifier.startsWith('.')) {
    const target = join(file, specifier)
    const owner = folderOf(target)
    if (owner === undefined) return target === 'package.json' && (folder === 'cli' || folder === 'compose')
    if (owner === folder || rule.own.includes(owner)) return true
    return typeOnly && rule.own.includes(`type:${target.replace(/^src\/|\.[jt]s$/g, '')}`)
  }
  if (specifier.startsWith('node:')) {
    return rule.node === 'any' || rule.node.includes(specifier)
  }
  return rule.packages.some(
    (name) =>
      name === '*' ||
      specifier === name ||
      specifier.startsWith(name.endsWith('/*') ? name.slice(0, -1) : `${name}/`),
  )
}

/** `src/brokers/kite.ts` lies in `brokers`; a file right under src/, or outside it, in none. */
function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1]
}

function join(from: string, relative: string): string {
  const parts = from.split('/').slice(0, -1)
  for (const part of relative.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/** Static imports, re-exports, `import()` in code and in types, and `require()`. */
export function importsIn(tokens: readonly Token[]): Import[] {
  const found: Import[] = []
  for (const [at, token] of tokens.entries()) {
    if (token.kind !== 'word' || isProperty(tokens, at)) continue
    const next = tokens[at + 1]
    if ((token.text === 'import' || token.text === 'require') && next?.text === '(' && next.kind === 'mark') {
      const argument = tokens[at + 2]
      const end = tokens[at + 3]
      const plain = argument?.kind === 'string' && (end?.text === ')' || end?.text === ',')
      if (plain) found.push({ specifier: argument.text, typeOnly: false, names: [] })
      else if (token.text === 'import') found.push({ specifier: undefined, typeOnly: false, names: [] })
    } else if (token.text === 'import' && next?.kind === 'string') {
      found.push({ specifier: next.text, typeOnly: false, names: [] })
    } else if (token.text === 'import' || token.text === 'export') {
      const clause = fromClause(tokens, at + 1)
      if (clause) found.push(clause)
    }
  }
  return found
}

/** `type? names from 'x'`, where names is words, commas, `*`, and one pair of braces; else not a from clause. */
function fromClause(tokens: readonly Token[], start: number): Import | undefined {
  const names: string[] = []
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at] as Token
    if (token.kind === 'string') {
      const previous = tokens[at - 1]
      if (previous?.kind === 'word' && previous.text === 'from') {
        const typeOnly = tokens[start]?.text === 'type' && tokens[start + 1]?.text !== 'from'
        return { specifier: token.text, typeOnly, names }
      }
      // `export { x as 'a name' }` may hold strings
      if (previous?.text !== 'as' && tokens[at + 1]?.text !== 'as') return undefined
    } else if (token.kind === 'word') {
      if (
        ['const', 'let', 'var', 'function', 'class', 'interface', 'enum', 'async', 'abstract'].includes(
          token.text,
        )
      ) {
        return undefined
      }
      names.push(token.text)
    } else if (token.kind !== 'mark' || !['{', '}', ',', '*'].includes(token.text)) {
      return undefined
    }
  }
  return undefined
}

// ------------------------------------------------------------------------------------------ global privileges

function globalViolations(file: string, tokens: readonly Token[]): string[] {
  const found = new Set<string>()
  const refuse = (holders: readonly string[], what: string) => {
    const mayUse = holders.some((holder) => file === `src/${holder}` || file.startsWith(`src/${holder}/`))
    if (!mayUse)
      found.add(`${file}: ${what}; only ${holders.map((holder) => `src/${holder}`).join(', ')} may`)
  }
  const environment = () => refuse(privileges.environment, 'reads process.env')

  for (const { specifier, names } of importsIn(tokens)) {
    if (/^(node:)?process$/.test(specifier ?? '') && names.includes('env')) environment()
    if (/^(node:)?timers(\/promises)?$/.test(specifier ?? '')) {
      refuse(privileges.timers, `imports ${specifier}`)
    }
    if (/^(node:)?perf_hooks$/.test(specifier ?? '')) refuse(privileges.clock, `imports ${specifier}`)
  }

  for (const [at, token] of tokens.entries()) {
    if (token.kind !== 'word' || isProperty(tokens, at)) continue
    const text = (offset: number) => tokens[at + offset]?.text
    const dotted = text(1) === '.' || text(1) === '?.' ? text(2) : text(1) === '[' ? text(2) : undefined

    if (token.text === 'process') {
      if (dotted === 'env') environment()
      if (dotted === 'hrtime' || dotted === 'uptime') refuse(privileges.clock, `calls process.${dotted}`)
      if (text(-1) === '=' && text(-2) === '}' && wordsOfBracesEndingAt(tokens, at - 2).includes('env')) {
        environment()
      }
    }
    if (token.text === 'Date') {
      if (dotted === 'now') refuse(privileges.clock, 'calls Date.now')
      if (text(-1) === 'new') {
        const bare = text(1) !== '(' || text(2) === ')'
        if (bare) refuse(privileges.clock, 'calls new Date() without arguments')
      } else if (text(1) === '(') {
        refuse(privileges.clock, 'calls Date()')
      }
    }
    if (token.text === 'performance' && dotted !== undefined) {
      refuse(privileges.clock, `uses performance.${dotted}`)
    }
    if (token.text === 'setTimeout' || token.text === 'setInterval') {
      const named = text(1) === ':' || (text(1) === '?' && text(2) === ':') || text(-1) === 'typeof'
      if (!named) refuse(privileges.timers, `uses ${token.text}`)
    }
  }
  return [...found]
}

/** `x.setTimeout` is somebody's method; `globalThis.setTimeout` and `...setTimeout` are not. */
function isProperty(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1]
  if (before?.kind !== 'mark' || (before.text !== '.' && before.text !== '?.')) return false
  return !['globalThis', 'window', 'self'].includes(tokens[at - 2]?.text ?? '')
}

function wordsOfBracesEndingAt(tokens: readonly Token[], end: number): string[] {
  const words: string[] = []
  for (let at = end - 1; at >= 0 && tokens[at]?.text !== '{'; at--) words.push(tokens[at]?.text ?? '')
  return words
}

// ------------------------------------------------------------------------------------------------- families

function familyViolations(files: ReadonlyMap<string, string>): string[] {
  return families.flatMap((family) => {
    const index = files.get(`src/${family}/index.ts`)
    const listed = index === undefined ? [] : importsIn(tokenize(index)).map(({ specifier }) => specifier)
    const member = new RegExp(`^src/${family}/([^/]+)\\.ts$`)
    return [...files.keys()].flatMap((file) => {
      const id = member.exec(file)?.[1]
      if (id === undefined || id === 'index' || id.endsWith('.test')) return []
      const found: string[] = []
      if (!listed.includes(`./${id}.ts`)) found.push(`${file}: has no line in src/${family}/index.ts`)
      if (family === 'brokers' && !files.has(`src/brokers/${id}.cases.json`)) {
        found.push(`${file}: has no ${id}.cases.json beside it`)
      }
      return found
    })
  })
}

// ------------------------------------------------------------------------------------------------ reading text

export interface Token {
  kind: 'word' | 'string' | 'mark' | 'other'
  /** For a string its content; for a template with parts, a regular expression or a number, the kind says enough. */
  text: string
}

const word = /[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*/uy
const number = /\d[\w.]*/y
/** After these words a slash begins a regular expression. */
const beforeExpression = new Set(
  'return typeof case in of delete void throw new do else instanceof yield await default extends'.split(' '),
)

/** TypeScript's tokens, as far as these rules need them: comments dropped, code inside templates kept. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  /** For each open brace: does its end resume a template? */
  const braces: boolean[] = []
  let at = text.startsWith('#!') ? endOfLine(text, 0) : 0

  /** Reads template text from `at` to its end or its next `${`; says which. */
  const template = (fresh: boolean) => {
    const start = at
    while (at < text.length && text[at] !== '`' && !text.startsWith('${', at)) at += text[at] === '\\' ? 2 : 1
    const ended = text[at] === '`' || at >= text.length
    if (ended && fresh) tokens.push({ kind: 'string', text: text.slice(start, at) })
    else tokens.push({ kind: 'other', text: '`' })
    at += ended ? 1 : 2
    if (!ended) braces.push(true)
  }

  while (at < text.length) {
    const char = text[at] as string
    if (/\s/.test(char)) at += 1
    else if (text.startsWith('//', at)) at = endOfLine(text, at)
    else if (text.startsWith('/*', at)) at = after(text, '*/', at + 2)
    else if (char === "'" || char === '"') {
      const start = ++at
      while (at < text.length && text[at] !== char && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1
      tokens.push({ kind: 'string', text: text.slice(start, at) })
      at += 1
    } else if (char === '`') {
      at += 1
      template(true)
    } else if (char === '}' && braces.pop()) {
      at += 1
      template(false)
    } else if (char === '/' && startsExpression(tokens.at(-1))) {
      at = afterRegExp(text, at)
      tokens.push({ kind: 'other', text: '/' })
    } else {
      const match = sticky(word, text, at)
      const digits = match === undefined ? sticky(number, text, at) : undefined
      if (match !== undefined) tokens.push({ kind: 'word', text: match })
      else if (digits !== undefined) tokens.push({ kind: 'other', text: '0' })
      else {
        if (char === '{') braces.push(false)
        const mark = ['...', '?.', '=>'].find((each) => text.startsWith(each, at)) ?? char
        tokens.push({ kind: 'mark', text: mark })
      }
      at += match?.length ?? digits?.length ?? tokens.at(-1)?.text.length ?? 1
    }
  }
  return tokens
}

/** Whether a value, and so a regular expression rather than a division, may follow this token. */
function startsExpression(previous: Token | undefined): boolean {
  if (previous === undefined) return true
  if (previous.kind === 'word') return beforeExpression.has(previous.text)
  return previous.kind === 'mark' && ![')', ']', '}'].includes(previous.text)
}

function afterRegExp(text: string, start: number): number {
  let inClass = false
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at]
    if (char === '\n') return at
    if (char === '\\') at += 1
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '/' && !inClass) return at + 1
  }
  return text.length
}

function sticky(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf('\n', at)
  return end === -1 ? text.length : end
}

function after(text: string, mark: string, at: number): number {
  const end = text.indexOf(mark, at)
  return end === -1 ? text.length : end + mark.length
}
