/** Processes of the benchmarks: started from a file of this folder, asked by message, ended by their own id. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

export class Child {
  readonly #process: ChildProcess
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>()
  #lastId = 0

  constructor(file: string, args: readonly string[] = []) {
    this.#process = fork(join(import.meta.dirname, file), args, { execArgv: [] })
    this.#process.on('message', ({ id, value, error }: { id: number; value?: unknown; error?: string }) => {
      const pending = this.#pending.get(id)
      this.#pending.delete(id)
      if (error === undefined) pending?.resolve(value)
      else pending?.reject(new Error(error))
    })
    this.#process.once('exit', (code) => {
      for (const { reject } of this.#pending.values()) reject(new Error(`${file} ended with ${code}`))
    })
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  async ask<Value>(name: string, ...args: unknown[]): Promise<Value> {
    const id = ++this.#lastId
    const pending = Promise.withResolvers<unknown>()
    this.#pending.set(id, pending)
    this.#process.send({ id, name, args })
    return (await pending.promise) as Value
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }
}

/** In the child: answers each message by the function of that name. Ends with its parent. */
export function answer(functions: Readonly<Record<string, (...args: never[]) => unknown>>): void {
  process.on('message', async ({ id, name, args }: { id: number; name: string; args: never[] }) => {
    try {
      const wanted = functions[name]
      if (!wanted) throw new Error(`there is no ${name}`)
      process.send?.({ id, value: await wanted(...args) })
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.message : String(error) })
    }
  })
  process.on('disconnect', () => process.exit())
}

/** Of this process, user and system together, since its start. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
