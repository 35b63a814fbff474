/** Another process on the same vault that takes its write lock and keeps it. */

import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '../src/host/clock.ts'
import { answer } from './child.ts'

let vault: DatabaseSync

answer({
  open(path: string) {
    vault = new DatabaseSync(path, { timeout: 10_000 })
  },
  async hold(forMs: number) {
    vault.exec('BEGIN IMMEDIATE')
    await systemClock.sleep(forMs)
    vault.exec('ROLLBACK')
  },
})
