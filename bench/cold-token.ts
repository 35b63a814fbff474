/** `openbell token` from spawn to exit, with a live session in the vault, against a Node that does nothing. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build as bundle } from 'esbuild'
import { alternately, median, ms, type Row } from './figures.ts'
import { accountRef, addAccounts, temporaryHome } from './furnish.ts'

const rounds = 20
const kinds = { bundled: 'bundled by esbuild', built: 'built by tsc', source: 'from source' }
const root = join(import.meta.dirname, '..')

export async function coldToken(): Promise<Row[]> {
  const home = await temporaryHome()
  const folder = await mkdtemp(join(tmpdir(), 'openbell-bench-build-'))
  try {
    await addAccounts(home.settings, 1)
    await run([
      join(root, 'node_modules/typescript/bin/tsc'),
      ...['-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')],
    ])
    await bundle({
      entryPoints: [join(root, 'src/cli/main.ts')],
      outdir: join(folder, 'bundle/cli'),
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node24',
      external: ['undici', 'pino', 'zod', 'hono', '@hono/node-server'],
    })
    await cp(join(root, 'package.json'), join(folder, 'package.json'))
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))

    const token = ['token', accountRef(0).accountId]
    const env = { OPENBELL_HOME: home.settings.home }
    const samples = await alternately(
      {
        nothing: () => run(['-e', '0']),
        source: () => run([join(root, 'src/cli/main.ts'), ...token], env),
        bundled: () => run([join(folder, 'bundle/cli/main.js'), ...token], env),
        built: () => run([join(folder, 'dist/cli/main.js'), ...token], env),
      },
      rounds,
    )
    const nothing = median(samples.nothing)
    return (Object.keys(kinds) as (keyof typeof kinds)[]).map((name) => {
      const measured = median(samples[name])
      return {
        what: `openbell token, cold, ${kinds[name]}`,
        measured: ms(measured),
        yardstick: `node -e 0 ${ms(nothing)}, so ${ms(measured - nothing)} more`,
        ratio: (measured / nothing).toFixed(2),
        aim: '<= 60 ms more',
      }
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
    await home.remove()
  }
}

/** Milliseconds from spawn to exit. */
async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const began = performance.now()
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}`)
  return performance.now() - began
}
