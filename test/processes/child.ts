/** A process with a keeper of its own. It tells each step that it takes, stops where it is told to, and ends with its parent. */

import { isOpenbellError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { OnStep } from '../../src/engine/deps.ts'
import type { EngineKeeper } from '../../src/engine/keeper.ts'
import { systemClock } from '../../src/host/clock.ts'
import { createSend } from '../../src/host/wire.ts'
import { jsonFile } from '../../src/publishers/json-file.ts'
import { engine, ref } from '../rig/engine.ts'
import { brokers } from './brokers.ts'
import type { Command, Message, Moment, Opening, Tally } from './protocol.ts'
import { openVault } from './vault.ts'

let keeper: EngineKeeper
let holdAt: readonly Moment[] = []
let go = Promise.withResolvers<void>()
let onMoment: (moment: Moment) => void = () => undefined

const onStep: OnStep = async (step, when) => {
  const moment: Moment = `${step} ${when}`
  onMoment(moment)
  say({ moment })
  if (holdAt.includes(moment)) await go.promise
}

function say(message: Message): void {
  // A parent that has gone takes this process with it; see `disconnect` below.
  process.send?.(message, () => undefined)
}

async function open(opening: Opening): Promise<void> {
  keeper = engine({
    store: await openVault(opening),
    clock: systemClock,
    send: createSend({ clock: systemClock }),
    brokers,
    publishers: [jsonFile],
    timings: opening.timings,
    onStep,
    holder: `child ${process.pid}`,
  })
}

async function token(accountId: string, callers: number, waitMs: number): Promise<Tally> {
  const tally: Tally = {}
  const got = await Promise.all(
    Array.from({ length: callers }, () =>
      keeper.token(ref(accountId), { waitMs }).then(
        ({ generation }) => `generation ${generation}`,
        (error: unknown) => (isOpenbellError(error) ? error.code : String(error)),
      ),
    ),
  )
  for (const outcome of got) tally[outcome] = (tally[outcome] ?? 0) + 1
  return tally
}

async function measure(accountId: string, renewals: number): Promise<number[]> {
  const windows: number[] = []
  let answeredAt = 0
  onMoment = (moment) => {
    if (moment === 'answer after') answeredAt = performance.now()
    if (moment === 'record after') windows.push((performance.now() - answeredAt) * 1_000)
  }
  for (let done = 0; done < renewals; done++) await keeper.renew(ref(accountId), 'person')
  return windows
}

async function perform(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'open':
      return open(command.opening)
    case 'hold':
      holdAt = command.at
      return
    case 'go':
      holdAt = []
      go.resolve()
      go = Promise.withResolvers()
      return
    case 'token':
      return token(command.accountId, command.callers, command.waitMs)
    case 'renew':
      return keeper.renew(ref(command.accountId), 'plan')
    case 'login': {
      const code = new Secret(command.code)
      await keeper.finishLogin({ ref: ref(command.accountId), code, by: 'signed-in' })
      return
    }
    case 'start':
      return keeper.start()
    case 'status':
      return keeper.statusOf(ref(command.accountId))
    case 'measure':
      return measure(command.accountId, command.renewals)
  }
}

process.on('message', ({ id, command }: { id: number; command: Command }) => {
  perform(command).then(
    (value) => say({ id, value }),
    (error: unknown) =>
      say({
        id,
        error: {
          code: isOpenbellError(error) ? error.code : 'unexpected',
          message: error instanceof Error ? error.message : String(error),
        },
      }),
  )
})
process.on('disconnect', () => process.exit())
