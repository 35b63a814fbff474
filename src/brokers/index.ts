/** The brokers that Openbell knows. To add one, copy `tastytrade.ts` and give it a line here. */

import type { Broker } from '../core/broker.ts'
import { fyers } from './fyers.ts'
import { kite } from './kite.ts'
import { tastytrade } from './tastytrade.ts'
import { upstox } from './upstox.ts'

export const brokers: readonly Broker[] = [fyers, upstox, kite, tastytrade]

export function brokerById(id: string): Broker | undefined {
  return brokers.find((broker) => broker.id === id)
}
