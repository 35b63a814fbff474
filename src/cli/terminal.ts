/** The person and the terminal, for real. */

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import { environment } from '../compose/settings.ts'
import { Secret } from '../core/secret.ts'
import { secondMs } from '../core/time.ts'
import { systemClock } from '../host/clock.ts'
import {
  Interrupted,
  type Io,
  type Program,
  type Question,
  type StopSignal,
  UsageError,
  type Variables,
} from './command.ts'

/** Wide enough for the table where nobody looks. */
const pipeWidth = 120

export function openTerminal(): Io {
  const { stdin, stdout, stderr } = process
  for (const stream of [stdout, stderr]) {
    // `| head` closed the pipe: it has what it wanted.
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0)
      throw error
    })
  }
  const io: Io = {
    out: (text) => void stdout.write(`${text}\n`),
    err: (text) => void stderr.write(`${text}\n`),
    isTTY: stdout.isTTY === true,
    canAsk: stdin.isTTY === true && stderr.isTTY === true,
    width: stdout.columns || stderr.columns || pipeWidth,
    height: stdout.rows || stderr.rows || 24,
    // Heeds NO_COLOR, TERM=dumb and the like.
    colour: stdout.isTTY === true && stdout.hasColors(),

    async ask(question, { default: usual, validate, signal } = {}) {
      const { text } = await import('@clack/prompts')
      const answer = await text({
        message: question,
        output: stderr,
        ...(usual === undefined ? {} : { placeholder: usual, defaultValue: usual }),
        ...(signal ? { signal } : {}),
        validate: (value = '') => (value === '' && usual !== undefined ? undefined : validate?.(value)),
      })
      return answered(answer, signal)
    },
    async askSecret(question, options = {}) {
      return new Secret((await hidden(question, options)).trim())
    },
    async choose(question, options) {
      const { select } = await import('@clack/prompts')
      return answered(await select({ message: question, output: stderr, options: [...options] }))
    },
    async confirm(question) {
      const { confirm } = await import('@clack/prompts')
      return answered(await confirm({ message: question, output: stderr }))
    },

    async readStdin() {
      if (stdin.isTTY) {
        throw new UsageError('`-` reads what is piped in, and nothing is: leave the option out to be asked.')
      }
      return readAll(stdin)
    },
    openBrowser,
    untilStopped,
    now: systemClock.now,
    sleep: systemClock.sleep,
    zone: () => new Intl.DateTimeFormat().resolvedOptions().timeZone,
    start,
    onSignal,
    cwd: () => process.cwd(),
  }
  return io
}

async function hidden(question: string, { validate, signal }: Question): Promise<string> {
  const { password } = await import('@clack/prompts')
  const answer = await password({
    message: question,
    output: process.stderr,
    ...(signal ? { signal } : {}),
    validate: (value = '') => validate?.(value),
  })
  return answered(answer, signal)
}

function answered<Answer>(answer: Answer, signal?: AbortSignal): Exclude<Answer, symbol> {
  // Clack gives its cancel symbol both for Ctrl-C and for our own signal.
  signal?.throwIfAborted()
  if (typeof answer === 'symbol') throw new Interrupted()
  return answer as Exclude<Answer, symbol>
}

async function readAll(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

/** Long enough for an opener that finds no browser to say so; one that found one may run as long as the browser. */
const openerFailsWithinMs = secondMs

async function openBrowser(url: string): Promise<boolean> {
  const [command, ...args] = openerFor(process.platform)
  const child = spawn(command, [...args, url], { stdio: 'ignore', detached: true })
  child.unref()
  const failed = new Promise<boolean>((resolve) => {
    child.on('error', () => resolve(true))
    child.on('exit', (code) => resolve(code !== 0))
  })
  const waited = new AbortController()
  const stillRuns = systemClock.sleep(openerFailsWithinMs, waited.signal).then(() => false)
  const gone = await Promise.race([failed, stillRuns])
  waited.abort()
  return !gone
}

function openerFor(platform: NodeJS.Platform): [string, ...string[]] {
  if (platform === 'darwin') return ['open']
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler']
  // Without a display xdg-open would fetch the page with a text browser.
  return ['sh', '-c', 'test -n "$DISPLAY$WAYLAND_DISPLAY" && exec xdg-open "$1"', 'sh']
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false
    for (const [signal, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      process.on(signal, () => {
        if (asked) process.exit(exitCode)
        asked = true
        resolve()
      })
    }
  })
}

async function start([program = '', ...args]: readonly string[], variables: Variables): Promise<Program> {
  const env = environment()
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete env[name]
    else env[name] = typeof value === 'string' ? value : value.expose()
  }
  const child = spawn(program, args, { stdio: 'inherit', env })
  const ended = new Promise<number>((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', () => {
      reject(
        new UsageError(`There is no program "${program}" that can be started: check its name and its path.`),
      )
    })
  })
  // Also of a signal that may not be sent, as to a program under `sudo`: it goes on.
  child.on('error', () => undefined)
  return { ended, kill: (signal) => void child.kill(signal) }
}

function onSignal(listener: (signal: StopSignal, sentToAll: boolean) => void): () => void {
  // In the foreground of a terminal, which sends these two to everybody there.
  const atTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  const called = (signal: NodeJS.Signals) =>
    listener(signal as StopSignal, atTerminal && signal !== 'SIGTERM')
  const signals: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, called)
  return () => {
    for (const signal of signals) process.off(signal, called)
  }
}
