/** What a permit that is already there allows. Pure: the rules of spending in one place. */

import type { Intent } from '../core/model.ts'
import type { Instant } from '../core/time.ts'

export type Permission =
  /** Write `prepared` (over this version) and go on. */
  | { kind: 'prepare' }
  /** Somebody may be holding the socket; look again at `until` (store's clock). */
  | { kind: 'wait'; until: Instant }
  /** The answer is in the store. */
  | { kind: 'recorded'; generations: readonly number[] }
  /** Sent, and nobody knows what came of it; it may never be sent again. */
  | { kind: 'lost' }
  /** The broker said no to this very secret; it may never be sent again. */
  | { kind: 'refused' }

/**
 *     found       repeatable               single-use
 *     nothing     prepare                  prepare
 *     prepared    prepare (cancels it)     prepare (cancels it: it never left)
 *     sending     wait, then prepare       wait, then lost
 *     unknown     prepare                  lost
 *     refused     prepare                  refused
 *     answered    prepare                  recorded
 *
 * A repeatable `answered` is only met when its grants were tried and refused: recorded grants are adopted before a spend.
 * A `prepared` permit may be cancelled because its holder must still win a compare-and-set before it sends.
 */
export function permission(intent: Intent | undefined, storeNow: Instant): Permission {
  if (!intent || intent.state === 'prepared') return { kind: 'prepare' }
  if (intent.state === 'sending' && storeNow < intent.deadline)
    return { kind: 'wait', until: intent.deadline }
  if (intent.spend === 'repeatable') return { kind: 'prepare' }
  if (intent.state === 'answered') return { kind: 'recorded', generations: intent.grants }
  return intent.state === 'refused' ? { kind: 'refused' } : { kind: 'lost' }
}
