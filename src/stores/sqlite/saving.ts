/** Compare-and-set, the same way for every kind of record. */

import type { Database, Parameters, Row } from './database.ts'

interface Target<T> {
  /** Selects `version`, and whatever `gate` looks at. */
  load: string
  save: string
  /** Parameters of `load`; `save` gets them too. */
  key: Parameters
  /** Further parameters of `save`, beside `version`. */
  columns(record: T): Parameters
  /** A further condition, in the same transaction. May throw. */
  gate?(stored: Row | undefined): boolean
}

export function compareAndSet<T extends { version: number }>(
  db: Database,
  record: T,
  expectedVersion: number,
  { load, save, key, columns, gate }: Target<NoInfer<T>>,
): Promise<T | undefined> {
  return db.write(() => {
    const stored = db.one(load, key)
    if (Number(stored?.version ?? 0) !== expectedVersion) return undefined
    if (gate && !gate(stored)) return undefined
    const next = { ...record, version: expectedVersion + 1 }
    db.run(save, { ...key, ...columns(next), version: next.version })
    return next
  })
}
