/** What every command is made of: plain input, a context, an exit code. So each is tested without a process. */

import type { Command } from 'commander'
import type { House, Settings } from '../compose/house.ts'
import type { Secret } from '../core/secret.ts'
import type { Instant, Zone } from '../core/time.ts'

/** 0 ok · 1 failed · 2 wrong input · 3 a person must log in · 130 stopped at a prompt. */
export type ExitCode = 0 | 1 | 2 | 3 | 130

export interface Question {
  /** Offered as the answer; Enter takes it. */
  default?: string | undefined
  /** A sentence when the answer will not do. */
  validate?: ((value: string) => string | undefined) | undefined
  /** Takes the question away; `ask` then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** A program that was started in this terminal. */
export interface Program {
  /** How it ended: its exit code, or 128 and the number of the signal that killed it. */
  ended: Promise<number>
  /** Does nothing once it has ended. */
  kill(signal: NodeJS.Signals): void
}

/** What a program finds in its environment: set, or `undefined` for taken away. All else is as it is for us. */
export type Variables = Readonly<Record<string, Secret | string | undefined>>

/** The person and the terminal. Every prompt rejects with `Interrupted` on Ctrl-C. */
export interface Io {
  /** A line (or lines) of result, on stdout. */
  out(text: string): void
  /** A line (or lines) for the person, on stderr. */
  err(text: string): void
  /** Stdout is a terminal. */
  isTTY: boolean
  /** Somebody can answer: stdin and stderr are terminals. */
  canAsk: boolean
  /** In characters. */
  width: number
  /** In lines. */
  height: number
  colour: boolean
  ask(question: string, options?: Question): Promise<string>
  /** Typed without echo. */
  askSecret(question: string, options?: Question): Promise<Secret>
  choose(question: string, options: readonly { value: string; label: string }[]): Promise<string>
  confirm(question: string): Promise<boolean>
  /** Everything on stdin. */
  readStdin(): Promise<string>
  /** False when there is no display to open it on. */
  openBrowser(url: string): Promise<boolean>
  /** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
  untilStopped(): Promise<void>
  now(): Instant
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** The zone of this machine. */
  zone(): Zone
  /**
   * Runs a program with our stdin, stdout and stderr. Resolves when it runs; throws `UsageError` when there is no such
   * program.
   */
  start(command: readonly string[], variables: Variables): Promise<Program>
  /**
   * Calls back at every SIGINT, SIGTERM and SIGHUP, which end nothing until this is stopped. `sentToAll`: it came from
   * the keyboard, so that the programs started here have it too.
   */
  onSignal(listener: (signal: StopSignal, sentToAll: boolean) => void): () => void
  /** The folder that relative paths start from. */
  cwd(): string
}

export interface Context {
  /** Print one JSON document instead of text. */
  json: boolean
  settings(): Promise<Settings>
  /** Opened at the first call and closed after the command. */
  house(): Promise<House>
  io: Io
}

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** Starts the work of a command; its exit code, or that of the program it ran, becomes the process's. */
export type Run = (work: (context: Context) => Promise<number>) => Promise<void>

export interface CommandModule {
  /** Adds arguments, options, an example and the action. */
  configure(command: Command, run: Run): void
}

export interface ListedCommand {
  name: string
  /** One sentence. */
  summary: string
  hidden?: boolean
  load(): Promise<CommandModule>
}

/** Ctrl-C at a prompt. The message says what stayed as it was. */
export class Interrupted extends Error {
  constructor(message = 'Stopped: nothing was changed.') {
    super(message)
    this.name = 'Interrupted'
  }
}

/** A command line that cannot be understood. One sentence with the mend. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}

/** One JSON document on stdout. */
export function printJson(io: Io, document: unknown): void {
  io.out(JSON.stringify(document))
}

/** Home, then erase the screen and what has scrolled by. */
export const clearScreen = '\u001b[H\u001b[2J\u001b[3J'
