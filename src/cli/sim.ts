/** `openbell sim`: simulated brokers on loopback ports, in the foreground. Every credential they show is made up. */

import type { Command } from 'commander'
import { type Context, type ExitCode, printJson, type Run } from './command.ts'
import { afterHelp } from './text-layout.ts'

export function configure(command: Command, run: Run): void {
  command
    .addHelpText(
      'after',
      afterHelp(
        'openbell sim',
        'Runs until Ctrl-C. With --json it prints addresses and made-up credentials as one line, then keeps running.',
      ),
    )
    .action(() => run(sim))
}

export async function sim({ io, json }: Context): Promise<ExitCode> {
  const stopped = io.untilStopped()
  const { announcement, startSimulators } = await import('../simulators/index.ts')
  const simulators = await startSimulators()
  try {
    const { fyers, upstox, kite, tastytrade, control } = simulators
    if (json) printJson(io, announcement(simulators))
    else {
      io.out('Simulated brokers are running; their credentials are made up. In another terminal:\n')
      io.out(
        addCommand({
          broker: 'fyers',
          origins: { api: new URL(fyers.api).origin },
          redirect: fyers.redirectUri,
          credentials: { appId: fyers.appId, secretKey: fyers.secretKey, pin: fyers.pin },
        }),
      )
      io.out('openbell login fyers-sim\n')
      io.out(
        addCommand({
          broker: 'upstox',
          origins: { login: new URL(upstox.login).origin, api: upstox.basePath },
          redirect: upstox.redirectUri,
          credentials: { apiKey: upstox.clientId, apiSecret: upstox.clientSecret },
        }),
      )
      io.out('openbell login upstox-sim\n')
      io.out(
        addCommand({
          broker: 'kite',
          origins: { login: new URL(kite.login).origin, api: kite.root },
          redirect: kite.redirectUrl,
          credentials: { apiKey: kite.apiKey, apiSecret: kite.apiSecret },
        }),
      )
      io.out('openbell login kite-sim\n')
      io.out(
        addCommand({
          broker: 'tastytrade',
          origins: { api: tastytrade.baseUrl },
          credentials: { clientId: tastytrade.clientId, clientSecret: tastytrade.clientSecret },
        }),
      )
      io.out(`echo ${tastytrade.refreshToken} | openbell login tastytrade-sim --code -\n`)
      io.out(`Make things go wrong at ${control} (GET / says how). Ctrl-C stops them.`)
    }
    await stopped
  } finally {
    await simulators.close()
  }
  return 0
}

interface SimulatedAccount {
  broker: string
  origins: Readonly<Record<string, string>>
  redirect?: string
  credentials: Readonly<Record<string, string>>
}

/** To be pasted into a shell as it stands. */
function addCommand({ broker, origins, redirect, credentials }: SimulatedAccount): string {
  return [
    `openbell add ${broker} ${broker}-sim --environment simulator \\`,
    ...Object.entries(origins).map(([role, url]) => `  --origin ${role}=${url} \\`),
    ...(redirect === undefined ? [] : [`  --redirect ${redirect} \\`]),
    `  --secrets - <<'END'`,
    ...Object.entries(credentials).map(([name, value]) => `${name}=${value}`),
    'END',
  ].join('\n')
}
