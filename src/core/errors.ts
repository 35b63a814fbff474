/** Every failure that Openbell reports, with a stable code. `docs/errors.md` explains each; a test keeps the two equal. */

export type Remedy = 'retry' | 'wait' | 'login' | 'fix-settings' | 'superseded'

export const errorCodes = {
  // What a person typed or set.
  'unknown-broker': 'fix-settings',
  'unknown-account': 'fix-settings',
  'unknown-destination': 'fix-settings',
  'unknown-app': 'fix-settings',
  'invalid-field': 'fix-settings',
  'invalid-name': 'fix-settings',
  'name-taken': 'fix-settings',
  'app-key-taken': 'fix-settings',
  'still-in-use': 'fix-settings',
  'invalid-config': 'fix-settings',
  'not-supported': 'fix-settings',
  // Logins.
  'login-needed': 'login',
  'login-state-unknown': 'login',
  'login-state-used': 'login',
  'login-expired': 'login',
  'login-foreign': 'login',
  'login-refused': 'login',
  'login-other-user': 'login',
  'redirect-not-listenable': 'fix-settings',
  // Keeping alive.
  'token-not-ready': 'wait',
  'session-superseded': 'superseded',
  'settings-refused': 'fix-settings',
  'broker-unreachable': 'retry',
  'broker-unavailable': 'wait',
  'broker-rate-limited': 'wait',
  'broker-locked-out': 'wait',
  'answer-not-understood': 'retry',
  'spend-unknown': 'login',
  'clock-wrong': 'fix-settings',
  'account-paused': 'fix-settings',
  // Vault and files.
  'vault-missing': 'fix-settings',
  'vault-locked': 'fix-settings',
  'vault-corrupt': 'fix-settings',
  'vault-busy': 'retry',
  'vault-full': 'fix-settings',
  'vault-newer': 'fix-settings',
  'key-missing': 'fix-settings',
  'key-file-open': 'fix-settings',
  conflict: 'retry',
  'destination-unwritable': 'fix-settings',
  'destination-not-read-back': 'retry',
  'destination-changed-by-hand': 'fix-settings',
  // HTTP.
  'key-required': 'fix-settings',
  'key-invalid': 'fix-settings',
  'scope-missing': 'fix-settings',
  'host-not-allowed': 'fix-settings',
  'not-found': 'fix-settings',
  internal: 'retry',
} as const satisfies Record<string, Remedy>

export type ErrorCode = keyof typeof errorCodes

export interface ErrorDetails {
  /** The input or setting at fault, as the user calls it. */
  field?: string
  accountId?: string
  /** Epoch milliseconds before which trying again is of no use. */
  until?: number
  cause?: unknown
}

/** The message is one sentence that names what is wrong and the mend, and holds no secret. */
export class OpenbellError extends Error {
  readonly code: ErrorCode
  readonly remedy: Remedy
  readonly field: string | undefined
  readonly accountId: string | undefined
  readonly until: number | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'OpenbellError'
    this.code = code
    this.remedy = errorCodes[code]
    this.field = details.field
    this.accountId = details.accountId
    this.until = details.until
  }
}

export function isOpenbellError(error: unknown): error is OpenbellError {
  return error instanceof OpenbellError
}

/** What a broker, a destination or the network said no to, in our words. Stored, so plain data. */
export interface Problem {
  remedy: Remedy
  code: ErrorCode
  /** One sentence without secrets: what happened, and the mend. */
  message: string
  /** The broker's own code, e.g. `TokenException`, `invalid_grant`, `HTTP 503`. */
  brokerCode?: string
  /** For `wait`: epoch milliseconds before which nothing is tried. */
  until?: number
}

export function problemError(problem: Problem, accountId?: string): OpenbellError {
  return new OpenbellError(problem.code, problem.message, {
    ...(accountId === undefined ? {} : { accountId }),
    ...(problem.until === undefined ? {} : { until: problem.until }),
  })
}
