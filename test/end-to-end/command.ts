/** The command line as a process of its own, seen from outside: what it prints, and what other users of the machine see of it. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sieve } from './sieve.ts'

const main = join(import.meta.dirname, '../../src/cli/main.ts')

export class Commands {
  readonly #sieve: Sieve
  readonly #env: Readonly<Record<string, string>>

  constructor(sieve: Sieve, env: Readonly<Record<string, string>>) {
    this.#sieve = sieve
    this.#env = env
  }

  /** Runs to its end, with `stdin` piped in. The exit code. */
  async run(args: readonly string[], stdin = '', env: Record<string, string> = {}): Promise<number | null> {
    const child = this.start(args, env)
    child.stdin?.end(stdin)
    const [code] = await once(child, 'close')
    return code
  }

  start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const child = spawn(process.execPath, [main, ...args], {
      env: {
        PATH: process.env.PATH,
        // No Node has to strip the types of the same files again.
        NODE_COMPILE_CACHE: join(tmpdir(), 'openbell-test-compile-cache'),
        ...this.#env,
        ...env,
      },
    })
    seeProcess(this.#sieve, child.pid)
    const channel = args[0] === 'up' ? 'log of the service' : 'what commands print'
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => this.#sieve.see(channel, chunk))
    }
    return child
  }
}

/** Its command line and its environment. Only Linux shows them as files; elsewhere nothing is seen. */
export function seeProcess(sieve: Sieve, pid: number | undefined): void {
  if (process.platform !== 'linux' || pid === undefined) return
  for (const file of ['cmdline', 'environ']) sieve.see('processes', readFileSync(`/proc/${pid}/${file}`))
}
