/**
 * One connection to one vault file. SQLite's own waiting would stop the event loop, so its busy timeout is 0: each
 * operation is one synchronous transaction inside one tick, and waiting for another process happens between ticks.
 */

import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import { OpenbellError } from '../../core/errors.ts'
import type { Clock } from '../../core/time.ts'
import { busyFor, damaged, inOurWords, isBusy } from './failures.ts'
import { migrations } from './migrations.ts'

export type Row = Record<string, SQLOutputValue>
export type Parameters = Record<string, SQLInputValue>

const busyLimitSeconds = 10
/** Long enough to let the other write, short enough that nobody notices. */
const pauseMs = () => 2 + Math.random() * 13

/** Stands in the file's header, so that another program's database is not taken for a vault. Reads "bell". */
const applicationId = 0x62656c6c

export interface DatabaseOptions {
  path: string
  /** Waits in real time, whatever clock the vault keeps. */
  sleep: Clock['sleep']
}

export class Database {
  readonly path: string
  readonly #sleep: Clock['sleep']
  readonly #connection: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  #turn: Promise<unknown> = Promise.resolve()
  /** Set while another process has the write lock, so that a hundred waiting writers make one attempt at a time. */
  #pause: { ms: number; over: Promise<void> } | undefined

  private constructor({ path, sleep }: DatabaseOptions, connection: DatabaseSync) {
    this.path = path
    this.#sleep = sleep
    this.#connection = connection
  }

  /** Makes the vault if there is none, and brings an older one up to date. */
  static async open(options: DatabaseOptions): Promise<Database> {
    const database = new Database(options, connect(options.path))
    try {
      await database.#patiently(false, () => database.#requireVault())
      await database.#patiently(false, () => database.#configure())
      if (database.#schemaVersion() < migrations.length) await database.write(() => database.#migrate())
      return database
    } catch (error) {
      database.close()
      throw error
    }
  }

  /** Runs `work` in one transaction; whole or not at all, on disk when it resolves. May run it more than once. */
  async write<T>(work: () => T): Promise<T> {
    // A commit is synchronous. Without a turn of the event loop before each, a row of them would keep readers waiting.
    this.#turn = this.#turn.then(() => new Promise((resolve) => setImmediate(resolve)))
    await this.#turn
    return this.#patiently(true, () => {
      this.#connection.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        this.#connection.exec('COMMIT')
        return result
      } catch (error) {
        this.#rollBack()
        throw error
      }
    })
  }

  /** Runs `work` without any lock that a writer could hold. One statement sees one state. */
  read<T>(work: () => T): Promise<T> {
    return this.#patiently(false, work)
  }

  /** Between the pages of a long piece of work: a promise alone would keep timers and sockets waiting. */
  letOthersRun(): Promise<void> {
    return this.#sleep(1)
  }

  one(statement: string, parameters: Parameters = {}): Row | undefined {
    return this.#prepared(statement).get(parameters)
  }

  all(statement: string, parameters: Parameters = {}): Row[] {
    return this.#prepared(statement).all(parameters)
  }

  run(statement: string, parameters: Parameters = {}): void {
    this.#prepared(statement).run(parameters)
  }

  /** Differs from its last value when another connection has committed. */
  dataVersion(): number {
    return Number(this.one('PRAGMA data_version')?.data_version)
  }

  close(): void {
    this.#statements.clear()
    if (this.#connection.isOpen) this.#connection.close()
  }

  #prepared(statement: string): StatementSync {
    let prepared = this.#statements.get(statement)
    if (!prepared) {
      prepared = this.#connection.prepare(statement)
      this.#statements.set(statement, prepared)
    }
    return prepared
  }

  async #patiently<T>(writes: boolean, attempt: () => T): Promise<T> {
    let cause: unknown
    for (let waitedMs = 0; ; ) {
      if (!writes || !this.#pause) {
        try {
          return attempt()
        } catch (error) {
          if (!isBusy(error)) throw inOurWords(error, this.path)
          cause = error
        }
      }
      if (waitedMs >= busyLimitSeconds * 1_000) throw busyFor(this.path, busyLimitSeconds, cause)
      this.#pause ??= this.#startPause()
      const { ms, over } = this.#pause
      await over
      waitedMs += ms
    }
  }

  #startPause(): { ms: number; over: Promise<void> } {
    const ms = pauseMs()
    const over = this.#sleep(ms).then(() => {
      this.#pause = undefined
    })
    return { ms, over }
  }

  #rollBack(): void {
    // A full disk or a broken file has rolled back already.
    if (this.#connection.isOpen && this.#connection.isTransaction) this.#connection.exec('ROLLBACK')
  }

  #schemaVersion(): number {
    return Number(this.one('PRAGMA user_version')?.user_version)
  }

  /** Before anything is written: what is not ours, or is from a later Openbell, stays untouched. */
  #requireVault(): void {
    // One transaction, or another process could make the vault between two of these looks.
    this.#connection.exec('BEGIN')
    try {
      const owner = Number(this.one('PRAGMA application_id')?.application_id)
      const isEmpty = this.one('SELECT name FROM sqlite_schema LIMIT 1') === undefined
      if (!isEmpty && owner !== applicationId) throw damaged(this.path, undefined)
      const format = this.#schemaVersion()
      if (format > migrations.length) {
        throw new OpenbellError(
          'vault-newer',
          `The vault ${this.path} was written by a newer Openbell (format ${format}, this one knows ${migrations.length}): update Openbell.`,
        )
      }
    } finally {
      this.#rollBack()
    }
  }

  #configure(): void {
    this.#connection.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA foreign_keys = ON;
      PRAGMA secure_delete = ON;
      PRAGMA trusted_schema = OFF;
    `)
  }

  #migrate(): void {
    // Another process may have been faster while this one waited for the lock.
    for (const [done, migration] of migrations.entries()) {
      if (done >= this.#schemaVersion()) {
        this.#connection.exec(`${migration}; PRAGMA user_version = ${done + 1}`)
      }
    }
    this.#connection.exec(`PRAGMA application_id = ${applicationId}`)
  }
}

function connect(path: string): DatabaseSync {
  try {
    makePrivate(path)
    return new DatabaseSync(path, { timeout: 0, enableForeignKeyConstraints: true })
  } catch (error) {
    throw inOurWords(error, path)
  }
}

/** SQLite gives -wal and -shm the mode of the vault itself, so the vault must be private before SQLite meets it. */
function makePrivate(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  // By name: opening and closing the file itself would drop the locks that this process holds on it elsewhere.
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0
    if (mode & 0o077) chmodSync(file, 0o600)
  }
}
