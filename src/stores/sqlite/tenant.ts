/** One tenant's records. Every statement carries the tenant, and a record that names another is refused. */

import { OpenbellError } from '../../core/errors.ts'
import type {
  Account,
  Delivery,
  Destination,
  Grant,
  Intent,
  LoginRequest,
  NewGrant,
  Person,
  Session,
} from '../../core/model.ts'
import type { Instant } from '../../core/time.ts'
import type { TenantVault } from '../../core/vault.ts'
import type { Database } from './database.ts'
import { appColumns, appOf, docOf, grantColumns, grantOf, toDoc } from './rows.ts'
import { compareAndSet } from './saving.ts'
import * as sql from './sql.ts'

export function tenantVault(db: Database, now: () => Instant, tenantId: string): TenantVault {
  function requireOurs(owner: string): void {
    if (owner !== tenantId) throw new OpenbellError('internal', 'The record belongs to another tenant.')
  }

  function doc(record: object): { doc: string } {
    return { doc: toDoc(record) }
  }

  function list<T>(statement: string, key: object = {}): Promise<T[]> {
    return db.read(() => db.all(statement, { tenantId, ...key }).map((row) => docOf<T>(row)))
  }

  function load<T>(statement: string, key: Record<string, string>): Promise<T | undefined> {
    return db.read(() => {
      const row = db.one(statement, { tenantId, ...key })
      return row && docOf<T>(row)
    })
  }

  function markAnswered(accountId: string, key: string, generations: readonly number[]): void {
    const row = db.one(sql.intents.load, { tenantId, accountId, key })
    if (!row) return
    const { problem, ...intent } = docOf<Intent>(row)
    const grants = [...new Set([...intent.grants, ...generations])].toSorted((a, b) => a - b)
    if (intent.state === 'answered' && grants.length === intent.grants.length) return
    const answered: Intent = { ...intent, state: 'answered', grants, version: intent.version + 1 }
    const { version, preparedAt } = answered
    db.run(sql.intents.save, { tenantId, accountId, key, version, preparedAt, ...doc(answered) })
  }

  function record(grant: NewGrant): Grant {
    const account = { tenantId, accountId: grant.ref.accountId }
    const known = db.one(sql.grants.byId, { ...account, id: grant.id })
    if (known) return grantOf(known)
    const generation = Number(db.one(sql.grants.newest, account)?.generation) + 1
    const recorded: Grant = { ...grant, generation }
    const { id, slot, receivedAt } = grant
    db.run(sql.grants.add, { ...account, generation, id, slot, ...grantColumns(recorded) })
    // Should the one who recorded it end here, whoever looks next takes it into use.
    db.run(sql.sessions.makeDue, { ...account, slot, at: receivedAt })
    return recorded
  }

  return {
    tenantId,

    listApps: () => db.read(() => db.all(sql.apps.list, { tenantId }).map(appOf)),

    loadApp: (id) =>
      db.read(() => {
        const row = db.one(sql.apps.load, { tenantId, id })
        return row && appOf(row)
      }),

    async saveApp(app, expectedVersion) {
      requireOurs(app.tenantId)
      const { id, fingerprint } = app
      return compareAndSet(db, app, expectedVersion, {
        load: sql.apps.load,
        save: sql.apps.save,
        key: { tenantId, id },
        columns: (next) => ({ fingerprint, ...appColumns(next) }),
        gate() {
          const keeper = db.one(sql.apps.byFingerprint, { fingerprint })
          if (keeper && (keeper.tenant_id !== tenantId || keeper.id !== id)) {
            throw new OpenbellError(
              'app-key-taken',
              'That app key is in this vault already, and one key can have only one keeper: use the app that is there.',
            )
          }
          return true
        },
      })
    },

    removeApp: (id) =>
      db.write(() => {
        const user = db.one(sql.apps.inUse, { tenantId, id })
        if (user) throw stillInUse(`The app ${id}`, user.id as string)
        db.run(sql.apps.remove, { tenantId, id })
      }),

    listAccounts: () => list<Account>(sql.accounts.list),
    loadAccount: (id) => load<Account>(sql.accounts.load, { id }),

    async saveAccount(account, expectedVersion) {
      requireOurs(account.tenantId)
      const { id, appId, paused } = account
      return compareAndSet(db, account, expectedVersion, {
        load: sql.accounts.load,
        save: sql.accounts.save,
        key: { tenantId, id },
        columns: (next) => ({ appId, paused: paused ? 1 : 0, ...doc(next) }),
        gate() {
          if (db.one(sql.apps.load, { tenantId, id: appId })) return true
          throw new OpenbellError(
            'unknown-app',
            `There is no app ${appId}: add it before the account ${id}.`,
            {
              field: 'appId',
              accountId: id,
            },
          )
        },
      })
    },

    // What an account gathers goes with it by the foreign keys in migrations.ts.
    removeAccount: (id) => db.write(() => db.run(sql.accounts.remove, { tenantId, id })),

    listPeople: () => list<Person>(sql.people.list),

    async savePerson(person, expectedVersion) {
      requireOurs(person.tenantId)
      const key = { tenantId, id: person.id }
      return compareAndSet(db, person, expectedVersion, { ...sql.people, key, columns: doc })
    },

    listDestinations: () => list<Destination>(sql.destinations.list),
    loadDestination: (id) => load<Destination>(sql.destinations.load, { id }),

    async saveDestination(destination, expectedVersion) {
      requireOurs(destination.tenantId)
      const key = { tenantId, id: destination.id }
      return compareAndSet(db, destination, expectedVersion, { ...sql.destinations, key, columns: doc })
    },

    removeDestination: (id) =>
      db.write(() => {
        const accounts = db.all(sql.accounts.list, { tenantId }).map((row) => docOf<Account>(row))
        const user = accounts.find((account) => account.destinations.includes(id))
        if (user) throw stillInUse(`The destination ${id}`, user.id)
        db.run(sql.destinations.remove, { tenantId, id })
      }),

    loadIntent: (accountId, key) => load<Intent>(sql.intents.load, { accountId, key }),
    listIntents: (accountId) => list<Intent>(sql.intents.list, { accountId }),

    async saveIntent(intent, expectedVersion, lease) {
      requireOurs(intent.ref.tenantId)
      const { ref, key, preparedAt } = intent
      return compareAndSet(db, intent, expectedVersion, {
        load: sql.intents.load,
        save: sql.intents.save,
        key: { tenantId, accountId: ref.accountId, key },
        columns: (next) => ({ preparedAt, ...doc(next) }),
        gate() {
          if (!lease) return true
          const held = db.one(sql.leases.load, { name: lease.name, now: now() })
          return held?.holder === lease.holder && held.fence === lease.fence
        },
      })
    },

    async recordGrants(grants, intentKey) {
      const [first] = grants
      if (!first) return []
      const { accountId } = first.ref
      for (const { ref } of grants) {
        requireOurs(ref.tenantId)
        if (ref.accountId !== accountId) {
          throw new OpenbellError('internal', 'Grants of one answer belong to different accounts.')
        }
      }
      return db.write(() => {
        const recorded = grants.map(record)
        if (intentKey !== undefined) {
          markAnswered(
            accountId,
            intentKey,
            recorded.map((grant) => grant.generation),
          )
        }
        return recorded
      })
    },

    loadGrant: (accountId, generation) =>
      db.read(() => {
        const row = db.one(sql.grants.load, { tenantId, accountId, generation })
        return row && grantOf(row)
      }),

    listGrants: (accountId, { slot, limit } = {}) =>
      db.read(() =>
        // A limit of -1 is SQLite's word for none.
        db.all(sql.grants.list, { tenantId, accountId, slot: slot ?? null, limit: limit ?? -1 }).map(grantOf),
      ),

    listSessions: () => list<Session>(sql.sessions.list),
    loadSession: (accountId, slot) => load<Session>(sql.sessions.load, { accountId, slot }),

    async saveSession(session, expectedVersion) {
      requireOurs(session.ref.tenantId)
      const { ref, slot, fence, dueAt } = session
      return compareAndSet(db, session, expectedVersion, {
        load: sql.sessions.load,
        save: sql.sessions.save,
        key: { tenantId, accountId: ref.accountId, slot },
        columns: (next) => ({ fence, dueAt, ...doc(next) }),
        gate: (stored) => stored === undefined || fence >= Number(stored.fence),
      })
    },

    async openLoginRequest(request) {
      requireOurs(request.ref.tenantId)
      const { id, ref } = request
      const account = { tenantId, accountId: ref.accountId }
      return db.write(() => {
        const open = db.one(sql.loginRequests.loadOpen, account)
        if (open) return { request: docOf<LoginRequest>(open), opened: false }
        db.run(sql.loginRequests.add, { ...account, id, ...doc(request) })
        return { request, opened: true }
      })
    },

    loadOpenLoginRequest: (accountId) => load<LoginRequest>(sql.loginRequests.loadOpen, { accountId }),
    satisfyLoginRequests: (accountId, at) =>
      db.write(() => db.run(sql.loginRequests.satisfy, { tenantId, accountId, at })),

    async saveLoginAttempt(attempt) {
      requireOurs(attempt.ref.tenantId)
      const { stateHash, ref, usedAt } = attempt
      const account = { tenantId, accountId: ref.accountId }
      await db.write(() => {
        db.run(sql.loginAttempts.add, { ...account, stateHash, usedAt: usedAt ?? null, ...doc(attempt) })
      })
    },

    listDeliveries: (accountId) =>
      accountId === undefined
        ? list<Delivery>(sql.deliveries.list)
        : list<Delivery>(sql.deliveries.listOfAccount, { accountId }),

    loadDelivery: (accountId, slot, destinationId) =>
      load<Delivery>(sql.deliveries.load, { accountId, slot, destinationId }),

    async saveDelivery(delivery, expectedVersion) {
      requireOurs(delivery.ref.tenantId)
      const { ref, slot, destinationId } = delivery
      return compareAndSet(db, delivery, expectedVersion, {
        load: sql.deliveries.load,
        save: sql.deliveries.save,
        key: { tenantId, accountId: ref.accountId, slot, destinationId },
        columns: doc,
      })
    },

    removeDelivery: (accountId, slot, destinationId) =>
      db.write(() => db.run(sql.deliveries.remove, { tenantId, accountId, slot, destinationId })),
  }
}

function stillInUse(what: string, accountId: string): OpenbellError {
  return new OpenbellError(
    'still-in-use',
    `${what} is used by the account ${accountId}: detach or remove that first.`,
    {
      accountId,
    },
  )
}
