/** `openbell/keeper`: the service, to embed in a program of one's own. */

export { OpenbellError } from '../core/errors.ts'
export type * from '../core/keeper.ts'
export { Secret } from '../core/secret.ts'
export { createKeeper, type EngineKeeper } from '../engine/keeper.ts'
export { type HouseOptions, openHouse, readSettings } from './compose.ts'
export type { House, LoginListener, Settings } from './house.ts'
