import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { importsIn, tokenize, violations } from './architecture.ts'

test('every file of src/ keeps the house rules', () => {
  expect(violations(sources())).toEqual([])
})

function sources(): Map<string, string> {
  const root = fileURLToPath(new URL('../', import.meta.url))
  const entries = readdirSync(`${root}src`, { recursive: true, withFileTypes: true })
  return new Map(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath}/${entry.name}`)
      .map((path) => {
        const file = path.slice(root.length).replaceAll('\\', '/')
        return [file, /\.[cm]?[jt]sx?$/.test(file) ? readFileSync(path, 'utf8') : '']
      }),
  )
}

describe('the checker itself', () => {
  const check = (files: Record<string, string>) => violations(new Map(Object.entries(files)))

  test.each([
    [
      'src/engine/plan.ts',
      `import { readFileSync } from 'node:fs'`,
      'imports node:fs, which folder engine may not',
    ],
    ['src/core/a.ts', `import { b } from '../host/b.ts'`, 'imports ../host/b.ts, which folder core may not'],
    ['src/core/a.ts', `export * from '../engine/b.ts'`, 'imports ../engine/b.ts, which folder core may not'],
    ['src/core/a.ts', `export type { B } from "zod"`, 'imports zod, which folder core may not'],
    ['src/core/a.ts', `import 'zod'`, 'imports zod, which folder core may not'],
    ['src/core/a.ts', `const b = await import('zod')`, 'imports zod, which folder core may not'],
    ['src/core/a.ts', 'const b = await import(`zod`)', 'imports zod, which folder core may not'],
    ['src/core/a.ts', `type B = import('zod').B`, 'imports zod, which folder core may not'],
    [
      'src/core/a.ts',
      `import {\n  b, // from 'c'\n  type D,\n} from\n'zod'`,
      'imports zod, which folder core may not',
    ],
    ['src/brokers/deep/kite.ts', `import x from 'undici'`, 'imports undici, which folder brokers may not'],
    ['src/brokers/deep/a.ts', `import x from '../../host/wire.ts'`, 'imports ../../host/wire.ts, which'],
    [
      'src/simulators/kite.ts',
      `import type { A } from '../core/a.ts'`,
      'imports ../core/a.ts, which folder simulators',
    ],
    [
      'src/client/a.ts',
      `import { a } from '../api/contract.ts'`,
      'imports ../api/contract.ts, which folder client',
    ],
    [
      'src/client/a.ts',
      `import type { A } from '../api/app.ts'`,
      'imports ../api/app.ts, which folder client',
    ],
    ['src/testing/vault.ts', `import { test } from 'vitest'`, 'imports vitest, which folder testing may not'],
    [
      'src/compose/a.ts',
      `import { main } from '../cli/main.ts'`,
      'imports ../cli/main.ts, which folder compose',
    ],
    [
      'src/cli/a.ts',
      `import a from '../../scripts/a.ts'`,
      'imports ../../scripts/a.ts, which folder cli may not',
    ],
    ['src/cli/a.ts', 'await import(`./${name}.ts`)', 'imports by a computed name'],
    ['src/main.ts', '', 'lies in no folder of the import table'],
    ['src/oddments/a.ts', '', 'folder oddments is not in the import table'],
    ['src/host/utils/a.ts', '', 'lies in a folder named utils'],
    ['src/cli/main.ts', 'const key = process.env.KEY', 'reads process.env'],
    ['src/host/a.ts', `const key = process['env']`, 'reads process.env'],
    ['src/host/a.ts', 'const { argv, env } = process', 'reads process.env'],
    ['src/host/a.ts', `import { env } from 'node:process'`, 'reads process.env'],
    ['src/host/a.ts', 'const key = `a ${`b ${process.env.KEY}`}`', 'reads process.env'],
    ['src/engine/a.ts', 'const now = Date.now()', 'calls Date.now'],
    ['src/engine/a.ts', 'const clock = { now: Date.now }', 'calls Date.now'],
    ['src/host/wire.ts', 'const now = new Date()', 'calls new Date() without arguments'],
    ['src/host/wire.ts', 'const now = new Date', 'calls new Date() without arguments'],
    ['src/host/wire.ts', 'const now = performance.now()', 'uses performance.now'],
    ['src/engine/a.ts', 'setTimeout(f, 1)', 'uses setTimeout'],
    ['src/engine/a.ts', 'globalThis.setInterval(f, 1)', 'uses setInterval'],
    [
      'src/stores/a.ts',
      `import { setTimeout as sleep } from 'node:timers/promises'`,
      'imports node:timers/promises',
    ],
  ])('refuses in %s: %s', (file, text, complaint) => {
    const found = check({ [file]: text })
    expect(found[0]).toContain(`${file}: ${complaint}`)
    expect(new Set(found).size).toBe(found.length)
  })

  test.each([
    ['src/core/a.ts', `import { b } from './b.ts'\nexport { c } from '../core/c/d.ts'`],
    ['src/core/a.ts', `// import fs from 'node:fs'\n/* import 'zod' */ const s = "import 'zod'"`],
    ['src/core/a.ts', "const s = `import x from 'zod' ${1 + 1} Date.now() setTimeout()`"],
    ['src/core/a.ts', `const quote = /['"]/; const b = a / 2 / 3; const c = "from 'zod'"`],
    ['src/core/a.ts', `export const from = 'zod'\nexport type A = { from: 'zod' }\nexport default from`],
    ['src/core/a.ts', `const u = import.meta.url; x.import('zod'); function importer(a: string) {}`],
    ['src/core/a.ts', 'const at = new Date(0); const day: Date = new Date(text); type D = Date'],
    ['src/core/a.ts', 'interface Timers { setTimeout: (f: () => void) => void }\ntimers.setTimeout(f)'],
    ['src/core/a.ts', 'process.exitCode = 1; const env = config.process.env'],
    ['src/core/a.test.ts', `import { test } from 'vitest'; setTimeout(f); Date.now()`],
    ['src/host/clock.ts', `import { performance } from 'node:perf_hooks'\nDate.now(); new Date()`],
    ['src/host/wire.ts', `import { fetch } from 'undici'\nsetTimeout(f, 1)`],
    ['src/simulators/clock.ts', 'setTimeout(f, Date.now())'],
    ['src/engine/a.ts', `import type { A } from '../core/not-there-yet.ts'`],
    ['src/client/a.ts', `import type { A } from '../api/contract.ts'`],
    ['src/publishers/deep/aws.ts', `const { S } = await import('@aws-sdk/client-ssm')`],
    ['src/api/app.ts', `import { streamSSE } from 'hono/streaming'`],
    ['src/compose/a.ts', `import pino from 'pino'\nimport '../api/app.ts'\nconst { env } = process`],
    ['src/cli/a.ts', `import meta from '../../package.json' with { type: 'json' }`],
  ])('allows in %s: %s', (file, text) => {
    expect(check({ [file]: text })).toEqual([])
  })

  test('a family member needs its line in the index, and a broker its cases', () => {
    const index = `// export { upstox } from './upstox.ts'\nimport { kite } from './kite.ts'`
    expect(
      check({
        'src/brokers/index.ts': index,
        'src/brokers/kite.ts': '',
        'src/brokers/kite.cases.json': '',
        'src/brokers/kite.test.ts': '',
        'src/brokers/upstox.ts': '',
        'src/publishers/dotenv.ts': '',
      }),
    ).toEqual([
      'src/brokers/upstox.ts: has no line in src/brokers/index.ts',
      'src/brokers/upstox.ts: has no upstox.cases.json beside it',
      'src/publishers/dotenv.ts: has no line in src/publishers/index.ts',
    ])
  })

  test('imports are read with their names and whether they are types only', () => {
    const text = `import type { A } from './a.ts'\nimport type from './b.ts'\nimport c, { type D } from './c.ts'`
    expect(importsIn(tokenize(text))).toEqual([
      { specifier: './a.ts', typeOnly: true, names: ['type', 'A', 'from'] },
      { specifier: './b.ts', typeOnly: false, names: ['type', 'from'] },
      { specifier: './c.ts', typeOnly: false, names: ['c', 'type', 'D', 'from'] },
    ])
  })
})
