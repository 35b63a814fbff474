// What can be made to go wrong with a simulated broker, and the book of what is to go wrong next.

export type Fault = {
  /** Path it applies to, `*` standing for anything; every path when left out. */
  path?: string
  method?: string
  /** How many requests it spoils; until cleared when left out. */
  times?: number
} /** The work is done at once, the answer comes late. */ & (
  | { kind: 'latency'; ms: number }
  /** The connection is reset before any header. */
  | { kind: 'reset'; handled?: boolean }
  /** No answer; the connection is destroyed after `forMs` (60 s when left out). */
  | { kind: 'withhold'; handled?: boolean; forMs?: number }
  /** True headers, half of the body, then the connection is cut. */
  | { kind: 'truncate' }
  /** A refusal in the broker's own error shape: 429, 5xx, any 4xx. */
  | { kind: 'status'; status: number; retryAfterSeconds?: number; handled?: boolean }
  /** An "Access denied" page where JSON was expected. */
  | { kind: 'html'; status?: number; handled?: boolean }
  | { kind: 'garbage'; handled?: boolean }
  /** The true answer without some of its fields, given as dotted paths (`data.access_token`). */
  | { kind: 'missing'; fields: string[] }
  /** A token endpoint hands out a token that is dead on arrival. */
  | { kind: 'expired-token' }
  /** The Date header is off by so many seconds. */
  | { kind: 'date-skew'; seconds: number }
)

export type FaultKind = Fault['kind']

/** `handled` says whether the broker did the work before the answer was lost; no is the default. */
export function isLostBeforeHandling(fault: Fault): boolean {
  switch (fault.kind) {
    case 'reset':
    case 'withhold':
    case 'status':
    case 'html':
    case 'garbage':
      return fault.handled !== true
    default:
      return false
  }
}

export interface Faults {
  /** Adds a fault and gives its number, for `clear`. */
  set(fault: Fault): number
  /** Forgets one fault, or all of them. */
  clear(id?: number): void
  list(): (Fault & { id: number })[]
  /** The faults that strike this request, in the order they were set; each use counts. */
  take(method: string, path: string): Fault[]
}

export function createFaults(): Faults {
  const book = new Map<number, Fault>()
  let last = 0
  return {
    set(fault) {
      book.set(++last, { ...fault })
      return last
    },
    clear(id) {
      if (id === undefined) book.clear()
      else book.delete(id)
    },
    list: () => [...book].map(([id, fault]) => ({ id, ...fault })),
    take(method, path) {
      const struck: Fault[] = []
      for (const [id, fault] of book) {
        if (fault.method !== undefined && fault.method.toUpperCase() !== method) continue
        if (!matches(fault.path ?? '*', path)) continue
        struck.push(fault)
        if (fault.times === undefined) continue
        if (fault.times <= 1) book.delete(id)
        else fault.times -= 1
      }
      return struck
    },
  }
}

function matches(pattern: string, path: string): boolean {
  const source = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')
  return new RegExp(`^${source}$`).test(path)
}

/** What a person sent is not a fault we know; the message says what is wrong with it. */
export class FaultError extends Error {}

type Check = (value: unknown) => boolean
const count: Check = (value) => Number.isInteger(value) && (value as number) > 0
const duration: Check = (value) => Number.isFinite(value) && (value as number) >= 0
const errorStatus: Check = (value) => count(value) && (value as number) >= 400 && (value as number) <= 599
const pageStatus: Check = (value) => value === 200 || errorStatus(value)
const text: Check = (value) => typeof value === 'string' && value !== ''
const flag: Check = (value) => typeof value === 'boolean'
const names: Check = (value) => Array.isArray(value) && value.length > 0 && value.every(text)

const everywhere: Record<string, Check> = { path: text, method: text, times: count }
const fields: Record<FaultKind, { must?: Record<string, Check>; may?: Record<string, Check> }> = {
  latency: { must: { ms: duration } },
  reset: { may: { handled: flag } },
  withhold: { may: { handled: flag, forMs: duration } },
  truncate: {},
  status: { must: { status: errorStatus }, may: { retryAfterSeconds: duration, handled: flag } },
  html: { may: { status: pageStatus, handled: flag } },
  garbage: { may: { handled: flag } },
  missing: { must: { fields: names } },
  'expired-token': {},
  'date-skew': { must: { seconds: Number.isFinite } },
}

export const faultKinds = Object.keys(fields) as FaultKind[]

/** Reads a fault that came over the wire. Throws FaultError. */
export function parseFault(input: unknown): Fault {
  if (typeof input !== 'object' || input === null) throw new FaultError('A fault is a JSON object.')
  const { kind, ...rest } = input as Record<string, unknown>
  const known = faultKinds.find((each) => each === kind)
  if (!known) throw new FaultError(`"kind" is one of ${faultKinds.join(', ')}.`)
  const { must = {}, may = {} } = fields[known]
  for (const name of Object.keys(must)) {
    if (!(name in rest)) throw new FaultError(`A ${known} fault needs "${name}".`)
  }
  const checks: Record<string, Check> = { ...everywhere, ...must, ...may }
  for (const [name, value] of Object.entries(rest)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (!check) throw new FaultError(`A ${known} fault has no "${name}".`)
    if (!check(value))
      throw new FaultError(`"${name}" of the ${known} fault has a value that cannot be used.`)
  }
  return { kind: known, ...rest } as Fault
}
