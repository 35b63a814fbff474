/** Writes down what happened, in sentences. A journal that cannot be written never stops a renewal. */

import type { AccountRef, EventKind, NewEvent } from '../core/model.ts'
import type { EngineDeps } from './deps.ts'

export class Journal {
  readonly #deps: EngineDeps

  constructor(deps: EngineDeps) {
    this.#deps = deps
  }

  async write(ref: AccountRef, kind: EventKind, text: string, generation?: number): Promise<void> {
    const { store, clock, log } = this.#deps
    const event: NewEvent = {
      at: clock.now(),
      tenantId: ref.tenantId,
      ...(ref.accountId === '' ? {} : { accountId: ref.accountId }),
      kind,
      text,
      ...(generation === undefined ? {} : { generation }),
    }
    log.info({ account: ref.accountId, kind, generation }, text)
    try {
      await store.appendEvents([event])
    } catch (error) {
      log.error(
        { account: ref.accountId, kind, error: error instanceof Error ? error.message : 'unknown' },
        'an event could not be kept',
      )
    }
  }
}
