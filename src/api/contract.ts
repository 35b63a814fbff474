/** What goes over HTTP: queries, bodies and problems, as schemas. Instants are ISO 8601 in UTC; durations are whole seconds. */

import { z } from 'zod'
import { type ErrorCode, errorCodes } from '../core/errors.ts'

const seconds = (max: number) =>
  z
    .string()
    .regex(/^\d{1,5}$/)
    .transform(Number)
    .pipe(z.number().max(max))

const time = z.iso.datetime()
const slot = z.enum(['trading', 'read', 'market-data'])
const remedy = z.enum(['retry', 'wait', 'login', 'fix-settings', 'superseded'])

/** `GET /v1/accounts/{id}/token`. Strict, because a mistyped `min_valid` would cost somebody an order. */
export const tokenQuery = z.strictObject({
  slot: slot.optional(),
  /** The token must be good for this long, at most a day; it is renewed first where that needs no person. */
  min_valid: seconds(86_400).optional(),
  /** How long the answer may take when the token must be renewed first; at most two minutes. */
  wait: seconds(120).optional(),
})

export const tokenAnswer = z.object({
  account: z.string(),
  slot,
  /** Rises with every new token. Name it when you report that the broker refused the token. */
  generation: z.int(),
  /** `live`: the broker accepted it. `unproven`: not yet confirmed. `suspect`: somebody saw it refused. */
  state: z.enum(['live', 'unproven', 'suspect']),
  access_token: z.string(),
  /** Send these with every call to the broker. */
  headers: z.record(z.string(), z.string()),
  expires_at: time,
  expires_source: z.enum(['jwt', 'declared', 'broker-rule', 'rejected']),
})

const problemView = z.object({
  code: z.string(),
  remedy,
  message: z.string(),
  broker_code: z.string().optional(),
  until: time.optional(),
})

export const accountView = z.object({
  id: z.string(),
  label: z.string(),
  broker: z.object({ id: z.string(), name: z.string() }),
  broker_user_id: z.string().optional(),
  environment: z.enum(['live', 'sandbox', 'simulator']),
  slot,
  /** No person is needed between logins. */
  unattended: z.boolean(),
  generation: z.int(),
  state: z.enum(['live', 'unproven', 'suspect', 'dead', 'none']),
  expires_at: time.optional(),
  expires_source: z.enum(['jwt', 'declared', 'broker-rule', 'rejected']).optional(),
  /** Who accepted it and when, in words; times in the broker's zone. */
  evidence: z.string(),
  accepted_at: time.optional(),
  renewed_at: time.optional(),
  work: z.object({
    state: z.enum([
      'idle',
      'renewing',
      'retrying',
      'waiting-for-person',
      'blocked',
      'needs-fixing',
      'paused',
    ]),
    until: time.optional(),
    problem: problemView.optional(),
  }),
  /** Destinations that hold the current token, of those that should. */
  delivered: z.object({ n: z.int(), m: z.int() }),
  bell: z.enum(['ready', 'at-risk', 'no', 'unknown', 'not-needed']),
  next: z.object({ at: time, action: z.string(), reason: z.string() }).optional(),
})

/** `GET /v1/accounts`: the accounts of the key's tenant. */
export const accountsAnswer = z.object({ accounts: z.array(accountView) })

/** `GET /healthz` and `GET /readyz`. */
export const upAnswer = z.object({ status: z.literal('ok') })

/** RFC 9457, `application/problem+json`. `code` is stable; match it and never the texts. */
export const problemDocument = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]),
  remedy,
  /** The parameter at fault. */
  field: z.string().optional(),
  account: z.string().optional(),
  /** How a person logs in, where that is the remedy. */
  login: z.object({ command: z.string() }).optional(),
})

export type TokenQuery = z.input<typeof tokenQuery>
export type TokenAnswer = z.output<typeof tokenAnswer>
export type AccountView = z.output<typeof accountView>
export type AccountsAnswer = z.output<typeof accountsAnswer>
export type ProblemDocument = z.output<typeof problemDocument>

/** 409: a person must act. 503: it passes. */
export const httpStatus = {
  'unknown-broker': 404,
  'unknown-account': 404,
  'unknown-destination': 404,
  'unknown-app': 404,
  'invalid-field': 400,
  'invalid-name': 400,
  'name-taken': 409,
  'app-key-taken': 409,
  'still-in-use': 409,
  'invalid-config': 500,
  'not-supported': 400,
  'login-needed': 409,
  'login-state-unknown': 400,
  'login-state-used': 409,
  'login-expired': 410,
  'login-foreign': 400,
  'login-refused': 409,
  'login-other-user': 409,
  'redirect-not-listenable': 409,
  'token-not-ready': 503,
  'session-superseded': 409,
  'settings-refused': 409,
  'broker-unreachable': 503,
  'broker-unavailable': 503,
  'broker-rate-limited': 503,
  'broker-locked-out': 503,
  'answer-not-understood': 503,
  'spend-unknown': 409,
  'clock-wrong': 503,
  'account-paused': 409,
  'vault-missing': 500,
  'vault-locked': 500,
  'vault-corrupt': 500,
  'vault-busy': 503,
  'vault-full': 500,
  'vault-newer': 500,
  'key-missing': 500,
  'key-file-open': 500,
  conflict: 409,
  'destination-unwritable': 409,
  'destination-not-read-back': 503,
  'destination-changed-by-hand': 409,
  'key-required': 401,
  'key-invalid': 401,
  'scope-missing': 403,
  'host-not-allowed': 421,
  'not-found': 404,
  internal: 500,
} as const satisfies Record<ErrorCode, number>
