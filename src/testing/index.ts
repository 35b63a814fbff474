/** `openbell/testing`: the contract suites for a broker, a publisher or a store by somebody else, and simulated brokers. */

export { startSimulators } from '../simulators/index.ts'
export { describeBroker } from './describe-broker.ts'
export { describePublisher } from './describe-publisher.ts'
export { describeVault } from './describe-vault.ts'
export { rotatingBroker } from './rotating-broker.ts'
