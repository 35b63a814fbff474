/** The kinds of destination. To add one: a file beside this, one import and one entry below. */

import type { Publisher } from '../core/publisher.ts'
import { command } from './command.ts'
import { dotenv } from './dotenv.ts'
import { jsonFile } from './json-file.ts'
import { tokenFile } from './token-file.ts'
import { webhook } from './webhook.ts'

export const publishers: readonly Publisher[] = [dotenv, jsonFile, tokenFile, command, webhook]

export function publisherByKind(kind: string): Publisher | undefined {
  return publishers.find((publisher) => publisher.kind === kind)
}
