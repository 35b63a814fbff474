/** One run per key at a time in this process; everybody who asks meanwhile shares it. */

export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>()

  run(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running !== undefined) return running
    // Only the owner clears the entry, and always: a leftover would silence this key for ever.
    const mine = (async () => work())().finally(() => {
      if (this.#running.get(key) === mine) this.#running.delete(key)
    })
    this.#running.set(key, mine)
    return mine
  }

  get size(): number {
    return this.#running.size
  }

  isRunning(key: string): boolean {
    return this.#running.has(key)
  }

  /** Resolves when nothing runs any more; failures belong to those who asked. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled([...this.#running.values()])
  }
}
