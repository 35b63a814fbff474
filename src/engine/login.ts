/** The life of a login: a request that stays open, an attempt with a ten-minute single-use state, one exchange. */

import type { CodeInput } from '../core/broker.ts'
import { OpenbellError, problemError } from '../core/errors.ts'
import type { BegunLogin, FinishLogin } from '../core/keeper.ts'
import type { AccountRef, LoginAttempt } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { minuteMs, plus } from '../core/time.ts'
import type { EngineDeps } from './deps.ts'
import type { Journal } from './journal.ts'
import { accountLease, type HeldLease, withLeaseInTurn } from './lease.ts'
import type { Renewer } from './renew.ts'
import { type Known, originsOf, type Sessions } from './sessions.ts'
import type { Settler } from './settle.ts'
import type { Spender } from './spend.ts'

const attemptTermMs = 10 * minuteMs

export class Logins {
  readonly #deps: EngineDeps
  readonly #sessions: Sessions
  readonly #spender: Spender
  readonly #settler: Settler
  readonly #renewer: Renewer
  readonly #journal: Journal

  constructor(
    deps: EngineDeps,
    sessions: Sessions,
    spender: Spender,
    settler: Settler,
    renewer: Renewer,
    journal: Journal,
  ) {
    this.#deps = deps
    this.#sessions = sessions
    this.#spender = spender
    this.#settler = settler
    this.#renewer = renewer
    this.#journal = journal
  }

  async begin(ref: AccountRef, replace: boolean): Promise<BegunLogin> {
    const { store, clock, randomToken, sha256 } = this.#deps
    const { account, app, broker } = await this.#sessions.load(ref)
    const vault = store.forTenant(ref.tenantId)
    const state = new Secret(randomToken())
    const request = await vault.loadOpenLoginRequest(account.id)
    const startedAt = clock.now()
    const attempt: LoginAttempt = {
      id: randomToken(),
      ref,
      ...(request ? { requestId: request.id } : {}),
      stateHash: sha256(state.expose()),
      redirectUri: app.redirectUri ?? '',
      replace,
      startedAt,
      expiresAt: plus(startedAt, attemptTermMs),
    }
    await vault.saveLoginAttempt(attempt)
    await this.#journal.write(ref, 'login-started', `A login at ${broker.name} was started.`)
    const { login } = broker
    if (login.kind === 'paste-grant') {
      return {
        kind: 'paste-grant',
        steps: login.steps,
        field: login.field,
        expiresAt: attempt.expiresAt,
        state,
      }
    }
    if (!app.redirectUri) {
      throw new OpenbellError(
        'invalid-field',
        `${account.id} has no redirect URI; set the one registered at ${broker.name} with \`openbell edit ${account.id}\`.`,
        {
          field: 'redirectUri',
          accountId: account.id,
        },
      )
    }
    const url = login.url({ app, origins: originsOf(app, broker), state: state.expose() })
    return { kind: 'redirect', url, redirectUri: app.redirectUri, state, expiresAt: attempt.expiresAt }
  }

  /** Throws `login-…`, `spend-unknown`, `broker-…`; nothing is changed then but the journal. */
  async finish(input: FinishLogin): Promise<{ known: Known; exchanged: boolean }> {
    if ('code' in input) {
      const known = await this.#sessions.load(input.ref)
      return this.#exchange(known, input.code, input.replace ?? false)
    }
    const { query } = input
    const attempt = await this.#takeAttempt(query.get('state') ?? undefined, input)
    const ref = attempt?.ref ?? input.ref
    if (!ref)
      throw new OpenbellError(
        'login-state-unknown',
        'This link carries no login that Openbell has started; start again from your own link.',
      )
    const known = await this.#sessions.load(ref)
    const { login } = known.broker
    if (login.kind !== 'redirect') {
      throw new OpenbellError(
        'login-foreign',
        `${known.broker.name} logins do not come back by a redirect; paste the grant instead.`,
        { accountId: ref.accountId },
      )
    }
    const callback = login.callback(query)
    switch (callback.kind) {
      case 'foreign':
        throw new OpenbellError('login-foreign', callback.message, { accountId: ref.accountId })
      case 'refused':
        await this.#journal.write(ref, 'login-refused', callback.problem.message)
        throw problemError(callback.problem, ref.accountId)
      case 'code':
        return this.#exchange(known, callback.code, input.replace ?? attempt?.replace ?? false)
    }
  }

  async #takeAttempt(
    state: string | undefined,
    input: FinishLogin & { query: URLSearchParams },
  ): Promise<LoginAttempt | undefined> {
    const { store, clock, sha256 } = this.#deps
    if (state === undefined) {
      if (input.by === 'signed-in' && input.ref) return undefined
      throw new OpenbellError(
        'login-state-unknown',
        'This link carries no state, so it may only be finished by somebody who is signed in: paste it into `openbell login`.',
      )
    }
    const taken = await store.takeLoginAttempt(sha256(state), clock.now(), input.ref)
    if (taken.outcome === 'unknown') {
      throw new OpenbellError(
        'login-state-unknown',
        'Openbell did not start this login; begin again with `openbell login`.',
      )
    }
    if (taken.outcome === 'foreign') {
      throw new OpenbellError(
        'login-foreign',
        'This link belongs to another account; begin again with `openbell login`.',
      )
    }
    const { attempt } = taken
    const details = { accountId: attempt.ref.accountId }
    if (taken.outcome === 'used') {
      throw new OpenbellError(
        'login-state-used',
        'This link has been used already; begin again with `openbell login`.',
        details,
      )
    }
    if (taken.outcome === 'expired') {
      throw new OpenbellError(
        'login-expired',
        'This login took longer than ten minutes; begin again with `openbell login`.',
        details,
      )
    }
    return attempt
  }

  async #exchange(
    known: Known,
    code: Secret,
    replace: boolean,
  ): Promise<{ known: Known; exchanged: boolean }> {
    const { ref } = known.session
    const done = await withLeaseInTurn(
      this.#deps,
      accountLease(ref.tenantId, ref.accountId),
      this.#deps.timings.leaseTermMs + this.#deps.timings.spendDeadlineMs,
      (lease) => this.#underLease(ref, code, replace, lease),
    )
    if (!done) {
      throw new OpenbellError(
        'token-not-ready',
        `Another process is working on ${ref.accountId}; the code was not used, try again in a minute.`,
        {
          accountId: ref.accountId,
        },
      )
    }
    return done.value
  }

  async #underLease(
    ref: AccountRef,
    code: Secret,
    replace: boolean,
    lease: HeldLease,
  ): Promise<{ known: Known; exchanged: boolean }> {
    let known = await this.#settler.adoptRecorded(await this.#sessions.load(ref), lease)
    const { broker } = known
    const { login } = broker
    if (code.isEmpty) {
      throw new OpenbellError('invalid-field', 'The code is empty; paste what the broker gave you.', {
        field: 'code',
        accountId: ref.accountId,
      })
    }
    // A second exchange would end the session that running programs use.
    if (login.kind === 'redirect' && !replace && known.session.token !== 'none') {
      known = await this.#settler.confirm(ref, known.session.slot, lease)
      if (known.session.token === 'live' && this.#sessions.ready(ref)) return { known, exchanged: false }
    }
    const spent = await this.#spender.spend<CodeInput>(
      {
        known,
        kind: 'code',
        // Named by what is spent: the same code pasted twice has one permit.
        key: `code:${this.#deps.sha256(code.expose())}`,
        exchange: login.exchange,
        input: { code },
        origin: 'login',
      },
      lease,
    )
    switch (spent.kind) {
      case 'lease-lost':
      case 'wait':
        throw new OpenbellError(
          'token-not-ready',
          `Another process is using this code for ${ref.accountId}; look at \`openbell status\` in a minute.`,
          {
            accountId: ref.accountId,
          },
        )
      case 'problem':
        await this.#journal.write(ref, 'login-refused', spent.problem.message)
        throw problemError(spent.problem, ref.accountId)
      case 'recorded': {
        const taken = await this.#renewer.take(known, spent.generations, lease)
        const { token, work } = taken.session
        if (token === 'dead' || token === 'none') {
          if (work.state !== 'idle') throw problemError(work.problem, ref.accountId)
          throw new OpenbellError(
            'login-state-used',
            'This code has been used already and its token has ended; begin again with `openbell login`.',
            {
              accountId: ref.accountId,
            },
          )
        }
        await this.#journal.write(
          ref,
          'login-finished',
          `Logged in at ${broker.name}.`,
          taken.session.generation,
        )
        return { known: taken, exchanged: true }
      }
    }
  }
}
