/** `openbell demo`: what `npm start` runs. A fast day at simulated brokers, with a simulated person who logs in. */

import type { Command } from 'commander'
import type { Demo } from '../compose/demo.ts'
import { zonedTime } from '../core/spoken-time.ts'
import { type Instant, secondMs } from '../core/time.ts'
import { type Context, clearScreen, type ExitCode, type Io, type Run } from './command.ts'
import { renderStatuses } from './status-view.ts'
import { afterHelp, wrap } from './text-layout.ts'

const zone = 'Asia/Kolkata'
const lookEveryMs = secondMs

export function configure(command: Command, run: Run): void {
  command.addHelpText('after', afterHelp('openbell demo', 'Runs until Ctrl-C.')).action(() => run(demo))
}

export async function demo({ io }: Context): Promise<ExitCode> {
  const over = new AbortController()
  const stopped = io.untilStopped().then(() => over.abort())
  const { startDemo } = await import('../compose/demo.ts')
  const running = await startDemo()
  try {
    if (io.isTTY) await redraw(running, io, over.signal)
    else await narrate(running, io, over.signal)
    await stopped
  } finally {
    await running.close()
  }
  io.out(afterwards)
  return 0
}

const afterwards = `
The demo is over and its folder is gone. For accounts of your own:

  npm run -s openbell -- setup       adds an account, and the place your program reads its token from
  npm run -s openbell -- up          keeps it alive, and answers programs
  npm run -s openbell -- login NAME  brings you to the broker's page when a person is needed
  npm run -s openbell -- status      shows what lives until when, and why

Installed as a package, the command is just openbell.`

async function redraw(running: Demo, io: Io, over: AbortSignal): Promise<void> {
  // Times are those of the demo's own day.
  const inItsDay: Io = { ...io, now: running.clock.now }
  while (!over.aborted) {
    const { keeper, settings } = running.house
    const statuses = await keeper.status(settings.tenantId)
    const lately = await eventLines(running, { limit: 5 })
    io.out(
      [
        clearScreen,
        introduction(running, io),
        '',
        renderStatuses(statuses, keeper, inItsDay),
        '',
        ...lately.lines.map((line) => wrap(line, io.width)),
      ].join('\n'),
    )
    await io.sleep(lookEveryMs, over)
  }
}

/** For a pipe: what happens, a line each. */
async function narrate(running: Demo, io: Io, over: AbortSignal): Promise<void> {
  io.out(introduction(running, io))
  let seen: number | undefined
  while (!over.aborted) {
    const { lines, last } = await eventLines(running, { afterSeq: seen, limit: 100 })
    seen = last ?? seen
    if (lines.length > 0) io.out(lines.join('\n'))
    await io.sleep(lookEveryMs, over)
  }
}

async function eventLines(
  { house, clock }: Demo,
  { afterSeq, limit }: { afterSeq?: number | undefined; limit: number },
): Promise<{ lines: string[]; last: number | undefined }> {
  const events = await house.ledger.listEvents({
    tenantId: house.settings.tenantId,
    limit,
    ...(afterSeq === undefined ? {} : { afterSeq }),
  })
  const when = (at: Instant) => zonedTime(at, clock.now(), zone)
  const lines = events.map(({ at, accountId, text }) => `${when(at)}  ${accountId ?? 'openbell'}: ${text}`)
  return { lines, last: events.at(-1)?.seq }
}

function introduction({ house: { settings }, clock, folder, control, personSays }: Demo, io: Io): string {
  const now = clock.now()
  return [
    wrap(
      `Openbell's demo: simulated brokers, a simulated person, and a clock that runs fast. It is ${zonedTime(now, now, zone)}; the person ${personSays()}.`,
      io.width,
    ),
    `Programs ask   http://${settings.host}:${settings.port}, with the key in ${settings.apiKeyPath}`,
    `or read        ${folder}/bot`,
    `Make trouble   ${control} (GET / says how)`,
    'Ctrl-C ends it and removes the folder.',
  ].join('\n')
}
