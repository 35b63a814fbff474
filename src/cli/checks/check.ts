/** One finding of the doctor. */

export interface Check {
  /** What was looked at: `key file`, `kite-main`. */
  about: string
  /** `note`: cannot be seen from here, so it is said and not judged. */
  result: 'ok' | 'warn' | 'fail' | 'note'
  /** What was seen, in one sentence. */
  message: string
  /** What to do about it. */
  mend?: string
  /** It ends when a person logs in. */
  needsLogin?: boolean
}
