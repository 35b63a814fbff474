/** Adding, changing and removing what the operator owns: apps, accounts, destinations. Checks everything before it saves anything. */

import type { Broker, CredentialField } from '../core/broker.ts'
import { OpenbellError } from '../core/errors.ts'
import type { AccountChanges, NewAccount } from '../core/keeper.ts'
import type { Account, AccountRef, App, Destination, Environment } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import type { Deliverer } from './deliver.ts'
import type { EngineDeps } from './deps.ts'
import { withDue } from './due.ts'
import type { Journal } from './journal.ts'
import type { BrokerTime } from './offset.ts'
import { emptySession, type Known, type Sessions, slotOf } from './sessions.ts'

const ownerId = 'owner'
const namePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const nameShape = 'small letters, digits and hyphens, at most 63'

/** What a destination writes for one broker. */
interface Claim {
  id: string
  resource: string
  places: readonly string[]
}

export class Accounts {
  readonly #deps: EngineDeps
  readonly #time: BrokerTime
  readonly #sessions: Sessions
  readonly #journal: Journal
  readonly #deliverer: Deliverer

  constructor(
    deps: EngineDeps,
    time: BrokerTime,
    sessions: Sessions,
    journal: Journal,
    deliverer: Deliverer,
  ) {
    this.#deps = deps
    this.#time = time
    this.#sessions = sessions
    this.#journal = journal
    this.#deliverer = deliverer
  }

  async add(input: NewAccount): Promise<Known> {
    const { store, clock } = this.#deps
    const { ref } = input
    const broker = this.#brokerById(input.brokerId)
    checkName(ref.accountId, 'name')
    const vault = store.forTenant(ref.tenantId)
    if (await vault.loadAccount(ref.accountId)) throw nameTaken(ref.accountId)
    const destinations = input.destinations ?? []
    await this.#checkDestinations(ref, broker, destinations)

    const app =
      input.appId === undefined ? this.#newApp(input, broker) : await this.#existingApp(ref, input.appId)
    const account: Account = {
      id: ref.accountId,
      tenantId: ref.tenantId,
      version: 0,
      appId: app.id,
      personId: ownerId,
      label: input.label ?? ref.accountId,
      ...(input.slot === undefined ? {} : { slot: input.slot }),
      markets: [],
      destinations,
      paused: false,
      createdAt: clock.now(),
    }
    const savedApp = app.version === 0 ? await vault.saveApp(app, 0) : app
    if (!savedApp) throw nameTaken(ref.accountId)
    const savedAccount = await vault.saveAccount(account, 0)
    if (!savedAccount) {
      if (app.version === 0) await vault.removeApp(app.id)
      throw nameTaken(ref.accountId)
    }
    const empty: Known = {
      account: savedAccount,
      app: savedApp,
      broker,
      session: emptySession(ref, slotOf(savedAccount)),
      grant: undefined,
      ready: undefined,
    }
    await vault.saveSession(withDue(this.#deps, this.#time, empty, empty.session, undefined), 0)
    await this.#journal.write(
      ref,
      'account-added',
      `Added: an account at ${broker.name} (${savedApp.environment}).`,
    )
    return this.#sessions.load(ref)
  }

  async edit(ref: AccountRef, changes: AccountChanges): Promise<Known> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const known = await this.#sessions.load(ref)
    const { broker, app, account } = known

    if (changes.destinations) await this.#checkDestinations(ref, broker, changes.destinations)
    if (changes.credentials || changes.redirectUri !== undefined) {
      const credentials = { ...app.credentials, ...changes.credentials }
      checkCredentials(broker, credentials)
      const redirectUri = changes.redirectUri ?? app.redirectUri
      const next: App = {
        ...app,
        credentials,
        fingerprint: this.#fingerprint(broker, app.environment, credentials),
        ...(redirectUri === undefined ? {} : { redirectUri: checkRedirect(broker, redirectUri) }),
        // New credentials deserve a new try.
        refresh: { state: 'auto' },
      }
      if (!(await vault.saveApp(next, app.version))) throw conflict(ref)
      await this.#journal.write(ref, 'app-changed', `Credentials or redirect of the app were changed.`)
    }
    if (changes.label !== undefined || changes.destinations) {
      const next: Account = {
        ...account,
        label: changes.label ?? account.label,
        destinations: changes.destinations ?? account.destinations,
      }
      if (!(await vault.saveAccount(next, account.version))) throw conflict(ref)
      for (const gone of account.destinations.filter((id) => !next.destinations.includes(id))) {
        await this.#deliverer.withdraw(ref, slotOf(account), gone)
      }
      await this.#journal.write(ref, 'account-changed', `Label or destinations were changed.`)
    }
    return this.#wake(ref)
  }

  async setPaused(ref: AccountRef, paused: boolean): Promise<Known> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const { account } = await this.#sessions.load(ref)
    if (account.paused !== paused) {
      if (!(await vault.saveAccount({ ...account, paused }, account.version))) throw conflict(ref)
      await this.#journal.write(
        ref,
        paused ? 'account-paused' : 'account-resumed',
        paused ? 'Paused: nothing is renewed or served.' : 'Resumed.',
      )
    }
    return this.#wake(ref)
  }

  async remove(ref: AccountRef): Promise<void> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const { account, app } = await this.#sessions.load(ref)
    for (const id of account.destinations) await this.#deliverer.withdraw(ref, slotOf(account), id)
    await vault.removeAccount(account.id)
    const others = (await vault.listAccounts()).some(({ appId }) => appId === app.id)
    if (!others) await vault.removeApp(app.id)
    this.#sessions.forget(ref)
    await this.#journal.write(
      ref,
      'account-removed',
      `Removed; its tokens were taken out of its destinations and out of the vault.`,
    )
  }

  async addDestination(input: Omit<Destination, 'version'>): Promise<Destination> {
    checkName(input.id, 'destination')
    const publisher = this.#deliverer.publisherOf(input)
    for (const [name, { optional }] of Object.entries(publisher.settings)) {
      if (!optional && !input.settings[name])
        throw new OpenbellError(
          'invalid-field',
          `A ${input.kind} destination needs "${name}": ${publisher.settings[name]?.help}`,
          { field: name },
        )
    }
    const stray = Object.keys(input.settings).find((name) => !Object.hasOwn(publisher.settings, name))
    if (stray !== undefined) {
      throw new OpenbellError(
        'invalid-field',
        `A ${input.kind} destination has no setting "${stray}"; it knows ${Object.keys(publisher.settings).join(', ')}.`,
        { field: stray },
      )
    }
    const destination: Destination = { ...input, version: 0 }
    await publisher.check(destination)
    const saved = await this.#deps.store.forTenant(input.tenantId).saveDestination(destination, 0)
    if (!saved)
      throw new OpenbellError(
        'name-taken',
        `There is a destination called "${input.id}" already; choose another name or remove it first.`,
        { field: 'destination' },
      )
    await this.#journal.write(
      { tenantId: input.tenantId, accountId: '' },
      'destination-added',
      `Destination ${input.id} (${input.kind}) was defined.`,
    )
    return saved
  }

  async removeDestination(tenantId: string, id: string): Promise<void> {
    const vault = this.#deps.store.forTenant(tenantId)
    if (!(await vault.loadDestination(id))) throw unknownDestination(id)
    await vault.removeDestination(id)
    await this.#journal.write(
      { tenantId, accountId: '' },
      'destination-removed',
      `Destination ${id} was removed.`,
    )
  }

  /** Plans anew after something that the plan depends on has changed: for every account of the app. */
  async #wake(ref: AccountRef): Promise<Known> {
    const { tenantId } = ref
    const { account } = await this.#sessions.load(ref)
    for (const { id, appId } of await this.#deps.store.forTenant(tenantId).listAccounts()) {
      if (appId !== account.appId) continue
      await this.#sessions.update({ tenantId, accountId: id }, undefined, (current) =>
        withDue(this.#deps, this.#time, current, current.session, current.grant),
      )
    }
    return this.#sessions.load(ref)
  }

  #newApp(input: NewAccount, broker: Broker): App {
    checkCredentials(broker, input.credentials)
    const redirectUri = input.redirectUri === undefined ? undefined : checkRedirect(broker, input.redirectUri)
    if (broker.login.kind === 'redirect' && redirectUri === undefined) {
      throw new OpenbellError(
        'invalid-field',
        `${broker.name} needs the redirect URI that is registered for the app.`,
        { field: 'redirectUri' },
      )
    }
    const origins = checkOrigins(broker, input.environment, input.origins)
    return {
      id: input.ref.accountId,
      tenantId: input.ref.tenantId,
      version: 0,
      brokerId: broker.id,
      environment: input.environment,
      credentials: given(input.credentials),
      fingerprint: this.#fingerprint(broker, input.environment, input.credentials),
      ...(redirectUri === undefined ? {} : { redirectUri }),
      ...(origins === undefined ? {} : { origins }),
      refresh: { state: 'auto' },
    }
  }

  async #existingApp(ref: AccountRef, appId: string): Promise<App> {
    const app = await this.#deps.store.forTenant(ref.tenantId).loadApp(appId)
    if (!app) throw new OpenbellError('unknown-app', `There is no app called "${appId}".`, { field: 'app' })
    return app
  }

  async #checkDestinations(ref: AccountRef, broker: Broker, ids: readonly string[]): Promise<void> {
    const vault = this.#deps.store.forTenant(ref.tenantId)
    const defined = new Map((await vault.listDestinations()).map((one) => [one.id, one]))
    const mine = ids.map((id) => {
      const destination = defined.get(id)
      if (!destination) throw unknownDestination(id)
      return this.#claim(destination, broker)
    })
    for (const other of await vault.listAccounts()) {
      if (other.id === ref.accountId) continue
      const { broker: theirs } = await this.#sessions.load({ tenantId: ref.tenantId, accountId: other.id })
      for (const id of other.destinations) {
        const destination = defined.get(id)
        if (!destination) continue
        const claim = this.#claim(destination, theirs)
        const clash = mine.find((one) => overlaps(one, claim))
        if (!clash) continue
        throw new OpenbellError(
          'invalid-field',
          `${clash.id} would write where ${id} holds the token of ${other.id}; give ${ref.accountId} a place of its own.`,
          { field: 'destination' },
        )
      }
    }
  }

  #claim(destination: Destination, broker: Broker): Claim {
    const publisher = this.#deliverer.publisherOf(destination)
    return {
      id: destination.id,
      resource: publisher.resource(destination),
      places: publisher.places(destination, broker.env),
    }
  }

  #brokerById(id: string): Broker {
    const broker = this.#deps.brokers.find((one) => one.id === id)
    if (broker) return broker
    throw new OpenbellError(
      'unknown-broker',
      `There is no broker called "${id}"; known are ${this.#deps.brokers.map((one) => one.id).join(', ')}.`,
      { field: 'broker' },
    )
  }

  #fingerprint(
    broker: Broker,
    environment: Environment,
    credentials: Readonly<Record<string, Secret>>,
  ): string {
    return this.#deps.sha256(`${broker.id}\n${environment}\n${credentials[broker.appKey]?.expose() ?? ''}`)
  }
}

function overlaps(one: Claim, other: Claim): boolean {
  if (one.resource !== other.resource) return false
  return (
    [...one.places, ...other.places].includes('*') || one.places.some((place) => other.places.includes(place))
  )
}

function given(credentials: Readonly<Record<string, Secret>>): Record<string, Secret> {
  return Object.fromEntries(Object.entries(credentials).filter(([, value]) => !value.isEmpty))
}

function checkCredentials(broker: Broker, credentials: Readonly<Record<string, Secret>>): void {
  for (const [name, field] of Object.entries<CredentialField>(broker.credentials)) {
    const value = credentials[name]
    if (!value || value.isEmpty) {
      if (field.optional) continue
      throw new OpenbellError('invalid-field', `${field.label} is empty. ${field.help}`, { field: name })
    }
    if (
      field.pattern &&
      !new RegExp(`^(?:${field.pattern.source})$`, field.pattern.flags).test(value.expose())
    ) {
      throw new OpenbellError(
        'invalid-field',
        `${field.label} does not look right: it should be ${field.shape ?? 'as shown by the broker'}. ${field.help}`,
        { field: name },
      )
    }
  }
  const stray = Object.keys(credentials).find((name) => !Object.hasOwn(broker.credentials, name))
  if (stray !== undefined) {
    throw new OpenbellError(
      'invalid-field',
      `${broker.name} has no credential "${stray}"; it knows ${Object.keys(broker.credentials).join(', ')}.`,
      { field: stray },
    )
  }
}

function checkRedirect(broker: Broker, redirectUri: string): string {
  const wrong = (why: string) =>
    new OpenbellError(
      'invalid-field',
      `The redirect URI ${why}; give it exactly as registered at ${broker.name}.`,
      { field: 'redirectUri' },
    )
  if (!URL.canParse(redirectUri)) throw wrong('is not a URL')
  const url = new URL(redirectUri)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname)))
    throw wrong('must be https, or http on 127.0.0.1 or localhost')
  if (url.hash !== '') throw wrong('must have no #fragment')
  if (url.username !== '' || url.password !== '') throw wrong('must have no user name or password')
  return redirectUri
}

function checkOrigins(
  broker: Broker,
  environment: Environment,
  origins: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (environment !== 'simulator') {
    if (origins !== undefined)
      throw new OpenbellError('invalid-field', `Only a simulator account has origins of its own.`, {
        field: 'origin',
      })
    if (!broker.environments[environment]) {
      throw new OpenbellError('not-supported', `${broker.name} has no ${environment} environment.`, {
        field: 'environment',
      })
    }
    return undefined
  }
  const roles = Object.keys(Object.values(broker.environments)[0] ?? {})
  for (const role of roles) {
    const origin = origins?.[role]
    if (!origin || !URL.canParse(origin))
      throw new OpenbellError(
        'invalid-field',
        `A simulator account of ${broker.name} needs an origin for "${role}", e.g. http://127.0.0.1:9001.`,
        { field: 'origin' },
      )
    // Real credentials must not reach a stranger under the name of a simulator.
    if (!isLoopback(new URL(origin).hostname))
      throw new OpenbellError(
        'invalid-field',
        `The simulator's "${role}" must be on 127.0.0.1, [::1] or localhost.`,
        { field: 'origin' },
      )
  }
  return origins
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

function checkName(name: string, field: string): void {
  if (!namePattern.test(name))
    throw new OpenbellError('invalid-name', `"${name.slice(0, 64)}" cannot be a name: use ${nameShape}.`, {
      field,
    })
}

function nameTaken(name: string): OpenbellError {
  return new OpenbellError(
    'name-taken',
    `There is an account called "${name}" already; choose another name or edit that one.`,
    { field: 'name' },
  )
}

function unknownDestination(id: string): OpenbellError {
  return new OpenbellError(
    'unknown-destination',
    `There is no destination called "${id}"; define it first with \`openbell destination add\`.`,
    { field: 'destination' },
  )
}

function conflict(ref: AccountRef): OpenbellError {
  return new OpenbellError(
    'conflict',
    `${ref.accountId} was changed by another process just now; try again.`,
    { accountId: ref.accountId },
  )
}
