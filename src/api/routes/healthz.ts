/** `GET /healthz`: this process answers. Says nothing of vault, brokers or tokens. */

import { upAnswer } from '../contract.ts'
import { respond } from '../respond.ts'

export const healthz = () => respond(upAnswer, { status: 'ok' })
