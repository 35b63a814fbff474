/** The right to act for an account, for a term, on the store's clock. */

import type { Lease } from '../core/model.ts'
import type { EngineDeps } from './deps.ts'

/** A lease while it is held. `lost` is advice; the store's own gate (`saveIntent` with a lease) is what protects. */
export interface HeldLease {
  current(): Lease
  lost(): boolean
}

/** Undefined when another holder's term runs. Extends while `work` runs and drops afterwards, whatever happens. */
export async function withLease<T>(
  deps: EngineDeps,
  name: string,
  work: (lease: HeldLease) => Promise<T>,
): Promise<{ value: T } | undefined> {
  const { store, clock, timings } = deps
  // A holder of its own for each piece of work: two pieces in one process exclude each other like two processes do.
  const holder = `${deps.holder}/${deps.randomToken().slice(0, 8)}`
  const taken = await store.takeLease(name, holder, timings.leaseTermMs)
  if (!taken) return undefined
  let lease = taken
  let lost = false
  const done = new AbortController()

  const extending = (async () => {
    while (!done.signal.aborted && !lost) {
      await clock.sleep(timings.leaseExtendMs, done.signal)
      if (done.signal.aborted) return
      const extended = await store.extendLease(lease, timings.leaseTermMs).catch(() => 'failed' as const)
      // A busy store is no loss yet: the term covers three extensions.
      if (extended === 'failed') continue
      if (extended) lease = extended
      else lost = true
    }
  })()

  try {
    return { value: await work({ current: () => lease, lost: () => lost }) }
  } finally {
    done.abort()
    await extending
    await store.dropLease(lease).catch(() => undefined)
  }
}

/** Waits for the lease for at most `waitMs`, asking `meanwhile` whether it is still worth waiting. */
export async function withLeaseInTurn<T>(
  deps: EngineDeps,
  name: string,
  waitMs: number,
  work: (lease: HeldLease) => Promise<T>,
  meanwhile: () => Promise<boolean> = async () => true,
): Promise<{ value: T } | undefined> {
  const { clock, timings } = deps
  for (let waited = 0; ; waited += timings.lookEveryMs) {
    const done = await withLease(deps, name, work)
    if (done || waited >= waitMs) return done
    await clock.sleep(timings.lookEveryMs)
    if (!(await meanwhile())) return undefined
  }
}

export function accountLease(tenantId: string, accountId: string): string {
  return `account:${tenantId}/${accountId}`
}
