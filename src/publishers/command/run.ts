/** Runs an operator's program: one document in on stdin, at most one out on stdout. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { homedir } from 'node:os'
import { OpenbellError } from '../../core/errors.ts'
import { secondMs } from '../../core/time.ts'
import { systemClock } from '../../host/clock.ts'

/** Milliseconds. */
export interface Limits {
  /** Until it is asked to end. */
  runMs: number
  /** From there until it is ended. */
  endMs: number
}

const usual: Limits = { runMs: 30 * secondMs, endMs: 2 * secondMs }

/** More than any answer needs; a program that prints without end must not fill our memory. */
const largestOutput = 1024 * 1024

/**
 * What the program printed, as parsed JSON; undefined when it printed nothing. It gets the document and no more: no argument
 * but its own, and none of our environment, where the vault's key may stand. What it writes to stderr is thrown away, as it
 * may hold the token.
 *
 * Throws `destination-unwritable`: it could not be started, said no by its exit code, took too long or printed something else.
 */
export async function runCommand(
  argv: readonly string[],
  document: object,
  limits = usual,
): Promise<unknown> {
  const [program = '', ...args] = argv
  const child = spawn(program, args, {
    cwd: '/',
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: homedir() },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const ended = once(child, 'close') as Promise<[number | null]>
  const over = new AbortController()
  let overtime = false
  let output = ''

  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
    if (output.length > largestOutput) child.stdout.destroy()
  })
  // A program may end without reading it all; its exit code tells.
  child.stdin.on('error', () => undefined)
  child.stdin.end(`${JSON.stringify(document)}\n`)

  const watch = async () => {
    await systemClock.sleep(limits.runMs, over.signal)
    if (over.signal.aborted) return
    overtime = true
    child.kill('SIGTERM')
    await systemClock.sleep(limits.endMs, over.signal)
    child.kill('SIGKILL')
    // What it started itself may hold on to the pipe.
    child.stdout.destroy()
  }
  const watching = watch()
  try {
    const [code] = await ended
    if (overtime) throw failed(program, `did not end within ${limits.runMs / secondMs} s`)
    if (output.length > largestOutput) throw failed(program, 'printed more than 1 MB')
    if (code !== 0) throw failed(program, code === null ? 'was killed' : `ended with exit code ${code}`)
  } catch (error) {
    throw error instanceof OpenbellError ? error : failed(program, 'could not be started', error)
  } finally {
    over.abort()
    await watching
  }
  return answerOf(program, output)
}

function answerOf(program: string, output: string): unknown {
  if (output.trim() === '') return undefined
  try {
    return JSON.parse(output)
  } catch {
    // The parser's own error would quote the output.
    throw failed(program, 'printed something else than one JSON document')
  }
}

function failed(program: string, what: string, cause?: unknown): OpenbellError {
  return new OpenbellError('destination-unwritable', `${program} ${what}: run it by hand to see why.`, {
    cause,
  })
}
