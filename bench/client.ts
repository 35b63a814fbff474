/** A client that costs little itself: bytes made once, on connections that stay open. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Target {
  port: number
  path: string
  key: string
}

export class Connections {
  readonly #sockets: readonly Caller[]

  private constructor(sockets: readonly Caller[]) {
    this.#sockets = sockets
  }

  static async open(target: Target, count: number): Promise<Connections> {
    return new Connections(await Promise.all(Array.from({ length: count }, () => Caller.open(target))))
  }

  /** Each connection asks again as soon as it is answered. Answers per second. */
  async throughput(forMs: number): Promise<number> {
    const began = performance.now()
    const until = began + forMs
    // A client that sleeps has to be woken at each answer, which on a virtual machine costs the server more than
    // the answer does, and the slower server more often. So this one stays awake.
    const stayAwake = () => {
      if (performance.now() < until) setImmediate(stayAwake)
    }
    stayAwake()
    const counts = await Promise.all(
      this.#sockets.map(async (socket) => {
        let count = 0
        for (; performance.now() < until; count++) await socket.ask()
        return count
      }),
    )
    return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - began) / 1_000)
  }

  /** Asks at a steady rate; each wait in ms, counted from when it should have been asked. */
  async steady(perSecond: number, forMs: number): Promise<number[]> {
    const waits: number[] = []
    const began = performance.now()
    await Promise.all(
      this.#sockets.map(async (socket, index) => {
        for (let number = index; ; number += this.#sockets.length) {
          const due = began + (number * 1_000) / perSecond
          if (due > began + forMs) return
          const early = due - performance.now()
          if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
          // Timers wake late by up to a millisecond, which is not the server's doing.
          const asked = early > 0 ? performance.now() : due
          await socket.ask()
          waits.push(performance.now() - asked)
        }
      }),
    )
    return waits
  }

  close(): void {
    for (const socket of this.#sockets) socket.close()
  }
}

class Caller {
  readonly #socket: Socket
  readonly #request: Buffer
  #answer: PromiseWithResolvers<void> | undefined
  #received: Buffer[] = []
  #size = 0
  /** Bytes of the answer that is coming in. */
  #whole: number | undefined

  private constructor(socket: Socket, { port, path, key }: Target) {
    this.#socket = socket
    this.#request = Buffer.from(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${key}\r\nAccept: */*\r\n\r\n`,
    )
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#hear(chunk))
    socket.on('close', () => this.#answer?.reject(new Error('the server closed the connection')))
    socket.on('error', (error) => this.#answer?.reject(error))
  }

  static async open(target: Target): Promise<Caller> {
    const socket = connect(target.port, '127.0.0.1')
    await once(socket, 'connect')
    return new Caller(socket, target)
  }

  ask(): Promise<void> {
    this.#answer = Promise.withResolvers()
    this.#socket.write(this.#request)
    return this.#answer.promise
  }

  close(): void {
    this.#socket.destroy()
  }

  #hear(chunk: Buffer): void {
    this.#received.push(chunk)
    this.#size += chunk.length
    this.#whole ??= lengthOf(this.#received.length === 1 ? chunk : Buffer.concat(this.#received))
    if (this.#whole === undefined || this.#size < this.#whole) return
    this.#received = []
    this.#size = 0
    this.#whole = undefined
    this.#answer?.resolve()
  }
}

const ok = Buffer.from('HTTP/1.1 200')
// Of `content-length`, however its first letters are written.
const lengthHead = Buffer.from('ength: ')
const headEnd = Buffer.from('\r\n\r\n')

/** Undefined while its head is not whole. */
function lengthOf(answer: Buffer): number | undefined {
  const end = answer.indexOf(headEnd)
  if (end < 0) return undefined
  const at = answer.indexOf(lengthHead)
  if (at < 0 || at > end || !answer.subarray(0, ok.length).equals(ok))
    throw new Error(`unexpected answer: ${answer.toString('latin1', 0, 15)}`)
  return (
    end + headEnd.length + Number.parseInt(answer.toString('latin1', at + lengthHead.length, at + 30), 10)
  )
}
