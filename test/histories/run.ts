/** Runs random histories of one kind of broker, each in a world of its own. */

import fc from 'fast-check'
import { histories } from './commands.ts'
import type { Kind } from './dialects.ts'
import { World } from './world.ts'

export async function runHistories(
  kind: Kind,
  options: { seed: number; runs: number; commands: number; limitMs?: number },
): Promise<number> {
  let ran = 0
  await fc.assert(
    fc.asyncProperty(histories(options.commands), async (commands) => {
      const world = await World.open(kind)
      try {
        await fc.asyncModelRun(() => ({ model: {}, real: world }), commands)
        await world.endsWell()
        ran++
      } finally {
        await world.close()
      }
    }),
    {
      seed: options.seed,
      numRuns: options.runs,
      ...(options.limitMs === undefined ? {} : { interruptAfterTimeLimit: options.limitMs }),
    },
  )
  return ran
}
