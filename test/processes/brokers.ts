/** The brokers that the processes talk to. */

import { tastytrade } from '../../src/brokers/tastytrade.ts'
import type { Broker } from '../../src/core/broker.ts'
import { rotatingBroker } from '../../src/testing/rotating-broker.ts'

export const brokers: readonly Broker[] = [rotatingBroker, tastytrade]
