// Simulated brokers, written from the brokers' manuals and from nothing else of ours, so that an adapter's
// mistake is not also the fake's. Everything listens on 127.0.0.1 and every credential is made up.
import { type ClockOptions, createClock, type SimulatedClock } from './clock.ts'
import { type Brokers, startControl } from './control.ts'
import { type FyersOptions, type FyersSimulator, startFyers } from './fyers.ts'
import { type KiteOptions, type KiteSimulator, startKite } from './kite.ts'
import { type RotatingOptions, type RotatingSimulator, startRotating } from './rotating.ts'
import { startTastytrade, type TastytradeOptions, type TastytradeSimulator } from './tastytrade.ts'
import { startUpstox, type UpstoxOptions, type UpstoxSimulator } from './upstox.ts'

export type { ClockOptions, SimulatedClock } from './clock.ts'
export { createClock } from './clock.ts'
export type { Fault, FaultKind, Faults } from './faults.ts'
export type { FyersApp, FyersOptions, FyersSimulator, FyersUser } from './fyers.ts'
export type { KiteApp, KiteOptions, KiteSimulator, KiteUser } from './kite.ts'
export type { RotatingOptions, RotatingSimulator, RotatingUser } from './rotating.ts'
export type { LogEntry, SimulatedServer } from './server.ts'
export type { TastytradeOptions, TastytradeSimulator, TastytradeUser } from './tastytrade.ts'
export type { Approval, UpstoxApp, UpstoxOptions, UpstoxSimulator, UpstoxUser } from './upstox.ts'

export interface SimulatorsOptions {
  /** A clock to use, or how to make one; real time when left out. */
  clock?: SimulatedClock | ClockOptions
  kite?: KiteOptions
  tastytrade?: TastytradeOptions
  fyers?: FyersOptions
  upstox?: UpstoxOptions
  /** The made-up rotating broker is started only when asked for. */
  rotating?: RotatingOptions
  /** 0, or left out, takes any free port. */
  controlPort?: number
}

export interface Simulators {
  kite: KiteSimulator
  tastytrade: TastytradeSimulator
  fyers: FyersSimulator
  upstox: UpstoxSimulator
  rotating?: RotatingSimulator
  /** Base address of the control endpoint; `GET /` there lists what it can do. */
  control: string
  clock: SimulatedClock
  /** Ends all servers and every connection to them; may be called twice. */
  close(): Promise<void>
}

/** Throws when a port is taken; what had started is closed again. */
export async function startSimulators(options: SimulatorsOptions = {}): Promise<Simulators> {
  const clock = options.clock && 'now' in options.clock ? options.clock : createClock(options.clock)
  const started: { close(): Promise<void> }[] = []
  const keep = <T extends { close(): Promise<void> }>(server: T): T => {
    started.push(server)
    return server
  }
  const close = async () => {
    await Promise.all(started.map((server) => server.close()))
  }
  try {
    const brokers: Brokers = {
      kite: keep(await startKite(clock, options.kite)),
      tastytrade: keep(await startTastytrade(clock, options.tastytrade)),
      fyers: keep(await startFyers(clock, options.fyers)),
      upstox: keep(await startUpstox(clock, options.upstox)),
      ...(options.rotating ? { rotating: keep(await startRotating(clock, options.rotating)) } : {}),
    }
    const control = keep(await startControl(clock, brokers, options.controlPort ?? 0))
    return { ...brokers, control: control.origin, clock, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** What `openbell sim --json` prints: the addresses, and the made-up credentials to use with them. */
export function announcement({ kite, tastytrade, fyers, upstox, rotating, control }: Simulators) {
  return {
    kite: {
      root: kite.root,
      login: kite.login,
      apiKey: kite.apiKey,
      apiSecret: kite.apiSecret,
      redirectUrl: kite.redirectUrl,
      userIds: kite.userIds,
    },
    tastytrade: {
      baseUrl: tastytrade.baseUrl,
      authorize: tastytrade.authorize,
      grants: tastytrade.grants,
      clientId: tastytrade.clientId,
      clientSecret: tastytrade.clientSecret,
      refreshToken: tastytrade.refreshToken,
      accountNumber: tastytrade.accountNumber,
    },
    fyers: {
      api: fyers.api,
      data: fyers.data,
      login: fyers.login,
      appId: fyers.appId,
      secretKey: fyers.secretKey,
      redirectUri: fyers.redirectUri,
      pin: fyers.pin,
      userIds: fyers.userIds,
    },
    upstox: {
      basePath: upstox.basePath,
      login: upstox.login,
      approvals: upstox.approvals,
      clientId: upstox.clientId,
      clientSecret: upstox.clientSecret,
      redirectUri: upstox.redirectUri,
      notifierUrl: upstox.notifierUrl,
      refreshToken: upstox.refreshToken,
      userIds: upstox.userIds,
    },
    ...(rotating
      ? {
          rotating: {
            baseUrl: rotating.baseUrl,
            authorize: rotating.authorize,
            clientId: rotating.clientId,
            clientSecret: rotating.clientSecret,
            redirectUri: rotating.redirectUri,
            refreshToken: rotating.refreshToken,
          },
        }
      : {}),
    control,
  }
}
