/** A value that prints as nothing. Not even a prefix: a PIN has four digits. */

const shown = '[secret]'

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /**
   * The value itself. Call it only on the line that puts it on the wire, hashes it, or hands it to a
   * sealed store; whatever it is joined with becomes a `Secret` again on the same line.
   */
  expose(): string {
    return this.#value
  }

  equals(other: Secret): boolean {
    return this.#value === other.#value
  }

  get isEmpty(): boolean {
    return this.#value === ''
  }

  toString(): typeof shown {
    return shown
  }

  toJSON(): typeof shown {
    return shown
  }

  // Node's console.log and util.inspect look for this name; it is a registered symbol, so core needs no import.
  [Symbol.for('nodejs.util.inspect.custom')](): typeof shown {
    return shown
  }
}
