/** What a program of the user's own finds in its environment: never a secret, a PIN or a refresh token. */

import type { BrokerInfo, ReadySession } from '../core/keeper.ts'
import type { Secret } from '../core/secret.ts'

/** The access token, and the app key where the broker's programs need it, under the broker's usual names. */
export function sessionVariables(
  { env }: Pick<BrokerInfo, 'env'>,
  session: ReadySession,
): Record<string, Secret> {
  const { appKey } = session
  return {
    [env.accessToken]: session.accessToken,
    ...(env.appKey === undefined || appKey === undefined ? {} : { [env.appKey]: appKey }),
  }
}

/** In single quotes nothing means anything to a shell. */
export function shellQuoted(value: string): string {
  return `'${value.replaceAll("'", `'\\''`)}'`
}
