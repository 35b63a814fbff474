#!/usr/bin/env node
// The one door to every development task: `node scripts/launch.mjs <task> [args]`.
//
// A fresh checkout needs nothing but some Node (18 or newer) and npm: this file fetches the Node that
// Openbell runs on when the one at hand is too old, installs the dependencies when they are missing or
// older than the lock file, and then hands over. It has no dependencies and keeps to Node 18 syntax.
import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { constants as osConstants } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const runtimeFolder = join(root, 'scripts', 'runtime')
const oldestNode = [24, 15]

const biome = 'node_modules/@biomejs/biome/bin/biome'
const tsc = 'node_modules/typescript/bin/tsc'
const vitest = 'node_modules/vitest/vitest.mjs'

/** Each task is a list of steps; a step is a name and what Node is to run. */
const tasks = {
  start: {
    about: 'a running Openbell with simulated brokers',
    steps: (args) => [step('start', 'src/cli/main.ts', 'demo', ...args)],
  },
  openbell: {
    about: 'the command line, from source',
    // Paths are typed where the person stands; npm has moved to the package's folder by now and tells where that was.
    where: () => process.env.INIT_CWD ?? process.cwd(),
    steps: (args) => [step('openbell', 'src/cli/main.ts', ...args)],
  },
  test: {
    about: 'the tests; a path or `-t name` narrows them',
    steps: (args) => [step('test', vitest, 'run', ...args)],
  },
  proof: {
    about: 'the long proofs (*.proof.test.ts)',
    steps: (args) => [step('proof', vitest, 'run', '--config', 'vitest.proof.config.ts', ...args)],
  },
  check: {
    about: 'format, lint, types, architecture, tests: stops at the first that fails',
    timed: true,
    steps: (args) => [
      step('format', biome, 'format'),
      step('lint', biome, 'lint', '--error-on-warnings'),
      step('types', tsc, '--noEmit'),
      step('architecture', vitest, 'run', 'test/architecture.test.ts'),
      step('tests', vitest, 'run', ...args),
    ],
  },
  format: {
    about: 'rewrite files in the house format',
    steps: (args) => [step('format', biome, 'format', '--write', ...args)],
  },
  lint: {
    about: 'the linter',
    steps: (args) => [step('lint', biome, 'lint', '--error-on-warnings', ...args)],
  },
  types: {
    about: 'the type checker',
    steps: (args) => [step('types', tsc, '--noEmit', ...args)],
  },
  build: {
    about: 'src to dist',
    before: () => rmSync(join(root, 'dist'), { recursive: true, force: true }),
    steps: (args) => [step('build', tsc, '-p', 'tsconfig.build.json', ...args)],
  },
  bench: {
    about: 'the benchmarks',
    steps: (args) => [step('bench', 'bench/main.ts', ...args)],
  },
  run: {
    about: 'any TypeScript file: run <file.ts> [args]',
    steps: (args) => {
      if (args.length === 0)
        throw new Sentence('`run` needs a file: node scripts/launch.mjs run <file.ts> [args].')
      return [step('run', resolve(args[0]), ...args.slice(1))]
    },
  },
}

function step(name, ...command) {
  return { name, command }
}

/** An error whose message is all the reader needs: printed alone, without a stack. */
class Sentence extends Error {}

/** The child that signals go to while it runs. */
let child
/** The exit code to end with once a signal asked us to stop between two steps. */
let stopped

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    stopped = 128 + osConstants.signals[signal]
    // A terminal sends Ctrl-C to the whole group: passing it on would make it two.
    if (child && !(signal === 'SIGINT' && process.stdin.isTTY)) child.kill(signal)
  })
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof Sentence)) throw error
  say(error.message)
  process.exitCode = stopped ?? 1
}

async function main([name, ...args]) {
  const help = name === undefined || name === 'help' || name === '--help' || name === '-h'
  const task = Object.hasOwn(tasks, name ?? '') ? tasks[name] : undefined
  if (help || !task) {
    const near = help ? undefined : nearest(name, Object.keys(tasks))
    if (!help) say(`There is no task "${name}".${near ? ` Did you mean "${near}"?` : ''}`)
    say('Usage: node scripts/launch.mjs <task> [args]\n')
    for (const [each, { about }] of Object.entries(tasks)) say(`  ${each.padEnd(9)} ${about}`)
    return help && name !== undefined ? 0 : 2
  }

  const steps = task.steps(args)
  const node = await ensureRuntime()
  const env = environment(node)
  await ensureDependencies(node, env)
  task.before?.()

  for (const { name: title, command } of steps) {
    const script = resolve(root, command[0])
    if (!existsSync(script)) throw new Sentence(`There is no ${command[0]} in this checkout.`)
    const began = Date.now()
    const code = await run(node, [script, ...command.slice(1)], {
      cwd: task.where?.() ?? root,
      env,
      stdio: 'inherit',
    })
    if (task.timed) say(`${code === 0 ? 'ok    ' : 'FAILED'} ${title} ${seconds(began)}`)
    if (code !== 0) return code
  }
  return 0
}

// ---------------------------------------------------------------------------------------- the two installs

/** The Node to run tasks with: this one when it is new enough, else the one kept in scripts/runtime. */
async function ensureRuntime() {
  if (isNewEnough(process.versions.node)) return process.execPath

  const wanted = oldestNode.join('.')
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${platform}-${process.arch}`
  const manifest = JSON.parse(readFileSync(join(runtimeFolder, 'package.json'), 'utf8'))
  if (!(name in manifest.optionalDependencies)) {
    throw new Sentence(
      `Openbell needs Node.js ${wanted} or newer, this is ${process.versions.node}, and none can be fetched for ` +
        `${process.platform} ${process.arch}: install Node.js 24 and run this again.`,
    )
  }
  const node = join(
    runtimeFolder,
    'node_modules',
    name,
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  )
  await install({
    folder: runtimeFolder,
    present: () => existsSync(node),
    what: `Node.js ${manifest.optionalDependencies[name]} (this one is ${process.versions.node})`,
    node: process.execPath,
    env: process.env,
  })
  if (!existsSync(node)) {
    throw new Sentence(
      `npm finished without giving us Node.js: install Node.js ${wanted} or newer and run this again.`,
    )
  }
  return node
}

async function ensureDependencies(node, env) {
  await install({ folder: root, present: () => true, what: 'the dependencies', node, env })
}

/** `npm ci` in a folder, unless its node_modules already answers to its lock file. One process at a time. */
async function install({ folder, present, what, node, env }) {
  const stamp = join(folder, 'node_modules', '.openbell-lock')
  const current = () => {
    const wanted = createHash('sha256')
      .update(readFileSync(join(folder, 'package-lock.json')))
      .digest('hex')
    return { wanted, held: existsSync(stamp) ? readFileSync(stamp, 'utf8').trim() : undefined }
  }
  const upToDate = () => {
    const { wanted, held } = current()
    return wanted === held && present()
  }
  if (upToDate()) return

  const release = await takeInstallLock()
  try {
    if (upToDate()) return // another launcher did it while we waited
    const { wanted } = current()
    const began = Date.now()
    say(`Installing ${what} …`)
    await npmCi(folder, node, env)
    writeFileSync(stamp, `${wanted}\n`)
    say(`Installed in ${seconds(began)}.`)
  } finally {
    release()
  }
}

async function npmCi(folder, node, env) {
  const args = ['ci', '--prefix', folder, '--loglevel=error', '--no-audit', '--no-fund']
  args.push('--include=dev', '--include=optional') // whatever NODE_ENV says
  // Under `npm test` npm says where it is; run that very one, with the new Node.
  const own = process.env.npm_execpath
  const [command, before] = own?.endsWith('npm-cli.js') && existsSync(own) ? [node, [own]] : ['npm', []]
  const quiet = { ...env }
  delete quiet.npm_config_dry_run // set while `npm pack --dry-run` runs our build

  let output = ''
  const code = await run(
    command,
    [...before, ...args],
    {
      cwd: folder,
      env: quiet,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32' && command === 'npm',
    },
    (text) => {
      output += text
    },
  )
  if (stopped !== undefined) throw new Sentence('Stopped before the installation was complete.')
  if (code === 0) return
  if (code === 'ENOENT') {
    throw new Sentence('npm was not found: install Node.js 24 together with npm, and run this again.')
  }
  process.stderr.write(`${output.trim()}\n`)
  if (
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT/.test(
      output,
    )
  ) {
    throw new Sentence(
      'The package registry could not be reached: connect to the network and run this again.',
    )
  }
  throw new Sentence(
    `npm could not install the packages of ${join(folder, 'package-lock.json')}; its reason is above.`,
  )
}

/** A folder is the lock: making it either works or does not. Its owner touches it; one left untouched is stale. */
async function takeInstallLock() {
  const lock = join(runtimeFolder, '.installing')
  const ownerFile = join(lock, 'owner')
  const me = `${process.pid} ${randomUUID()}`
  const staleAfter = 30_000
  let told = false
  for (;;) {
    try {
      mkdirSync(lock)
      writeFileSync(ownerFile, me)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') {
        throw new Sentence(`The installation could not start, ${lock} cannot be made: ${error.message}.`)
      }
    }
    if (stopped !== undefined) throw new Sentence('Stopped while waiting for another installation.')
    if (untouchedFor(lock) > staleAfter) {
      const aside = `${lock}-${randomUUID()}`
      try {
        renameSync(lock, aside)
        rmSync(aside, { recursive: true, force: true })
      } catch {
        // another waiter was quicker
      }
      continue
    }
    if (!told) say('Another launcher is installing; waiting for it …')
    told = true
    await new Promise((done) => setTimeout(done, 250))
  }

  const heartbeat = setInterval(() => {
    try {
      utimesSync(lock, new Date(), new Date())
    } catch {
      // gone: nothing left to keep fresh
    }
  }, 5_000)
  return () => {
    clearInterval(heartbeat)
    try {
      if (readFileSync(ownerFile, 'utf8') === me) rmSync(lock, { recursive: true, force: true })
    } catch {
      // gone already
    }
  }
}

function untouchedFor(path) {
  try {
    return Date.now() - statSync(path).mtimeMs
  } catch {
    return 0
  }
}

// ------------------------------------------------------------------------------------------- small things

function environment(node) {
  const pathName = Object.keys(process.env).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH'
  const first = [dirname(node), join(root, 'node_modules', '.bin')]
  return { ...process.env, [pathName]: [...first, process.env[pathName]].filter(Boolean).join(delimiter) }
}

/** Runs a command to its end. Gives the exit code, 128 + n for a signal, or 'ENOENT' when there is no such command. */
function run(command, args, options, onText) {
  if (stopped !== undefined) return Promise.resolve(stopped)
  return new Promise((done, fail) => {
    child = spawn(command, args, options)
    child.stdout?.setEncoding('utf8').on('data', onText)
    child.stderr?.setEncoding('utf8').on('data', onText)
    child.on('error', (error) => {
      if (error.code === 'ENOENT') done('ENOENT')
      else fail(error)
    })
    child.on('close', (code, signal) => {
      child = undefined
      done(code ?? 128 + osConstants.signals[signal])
    })
  })
}

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}

function say(text) {
  process.stderr.write(`${text}\n`)
}

/** The known word within two edits of a mistyped one. */
function nearest(word, known) {
  let best
  for (const candidate of known) {
    const distance = edits(word.toLowerCase(), candidate)
    if (distance <= 2 && (!best || distance < best.distance)) best = { candidate, distance }
  }
  return (
    best?.candidate ?? known.find((candidate) => candidate.startsWith(word) || word.startsWith(candidate))
  )
}

function edits(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]
}
