/**
 * The contract of a store in code: whatever passes this can keep a vault. Run it in a few lines from a store's own
 * test, as `stores/sqlite/store.test.ts` does.
 */

import { type ErrorCode, isOpenbellError } from '../core/errors.ts'
import type {
  Account,
  ApiKey,
  App,
  Breaker,
  Delivery,
  Destination,
  Intent,
  LoginAttempt,
  LoginRequest,
  NewEvent,
  NewGrant,
  Person,
  Session,
} from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { type Instant, instant, plus } from '../core/time.ts'
import type { Store, TenantVault } from '../core/vault.ts'

/** The slice of a test runner that the contract needs; vitest's own functions fit. */
export interface Runner {
  describe(name: string, body: () => void): void
  it(name: string, body: () => Promise<void>): void
  expect(actual: unknown): { toBe(expected: unknown): void; toEqual(expected: unknown): void }
}

/** One fresh, empty vault. */
export interface VaultUnderTest {
  store: Store
  /** Another handle on the same data, as another process would open it. `close` below closes it too. */
  reopen(): Promise<Store>
  /** The store's clock moves on by `ms`: set it, or really wait. Never above 100 ms at a time. */
  passTime(ms: number): Promise<void>
  /** Changes the text of one stored event behind the store's back. */
  forgeEvent(seq: number, text: string): Promise<void>
  close(): Promise<void>
}

const start = instant(Date.UTC(2026, 10, 23, 3, 30))
const longTermMs = 60_000
const shortTermMs = 50

export function describeVault(
  { describe, it, expect }: Runner,
  name: string,
  open: () => Promise<VaultUnderTest>,
): void {
  /** A test on a fresh vault that is closed whatever happens. */
  function on(title: string, body: (vault: VaultUnderTest, ours: TenantVault) => Promise<void>): void {
    it(title, async () => {
      const vault = await open()
      try {
        await body(vault, vault.store.forTenant('ours'))
      } finally {
        await vault.close()
      }
    })
  }

  async function failure(work: Promise<unknown>): Promise<ErrorCode | 'no error' | 'another error'> {
    try {
      await work
      return 'no error'
    } catch (error) {
      return isOpenbellError(error) ? error.code : 'another error'
    }
  }

  describe(`${name} keeps the vault's contract`, () => {
    describe('compare-and-set', () => {
      for (const kind of versionedKinds) {
        on(`holds for every ${kind.name}`, async ({ store }) => {
          await furnish(store, 'ours')
          const { save, load } = kind.of(store, 'ours')
          expect(await save('first', 1)).toBe(undefined)
          expect(await load()).toBe(undefined)

          expect(await save('first', 0)).toEqual({ mark: 'first', version: 1 })
          expect(await save('again', 0)).toBe(undefined)
          expect(await save('ahead', 2)).toBe(undefined)
          expect(await load()).toEqual({ mark: 'first', version: 1 })

          expect(await save('second', 1)).toEqual({ mark: 'second', version: 2 })
          expect(await save('stale', 1)).toBe(undefined)
          expect(await load()).toEqual({ mark: 'second', version: 2 })
        })
      }

      on('loses none of 200 increments from two handles', async ({ store, reopen }) => {
        const handles = [store, await reopen()]
        await Promise.all(
          handles.map(async (handle) => {
            for (let added = 0; added < 100; ) {
              const now = (await handle.loadBreaker('egress:kite:a')) ?? sampleBreaker({ failures: 0 })
              const saved = await handle.saveBreaker({ ...now, failures: now.failures + 1 }, now.version)
              if (saved) added++
            }
          }),
        )
        expect((await store.loadBreaker('egress:kite:a'))?.failures).toBe(200)
      })

      on('is seen at once through another handle', async ({ store, reopen }, ours) => {
        const other = (await reopen()).forTenant('ours')
        await furnish(store, 'ours')
        await ours.saveSession(sampleSession('ours'), 0)
        expect(await other.loadSession('kite-main', 'trading')).toEqual(sampleSession('ours', { version: 1 }))
      })
    })

    describe('records', () => {
      on('come back as they were saved', async ({ store, reopen }, ours) => {
        await furnish(store, 'ours')
        await ours.saveDestination(sampleDestination('ours'), 0)
        await ours.saveIntent(sampleIntent('ours'), 0)
        await ours.saveDelivery(sampleDelivery('ours'), 0)
        const again = (await reopen()).forTenant('ours')
        expect(await again.listApps()).toEqual([sampleApp('ours', { version: 1 })])
        expect(await again.listAccounts()).toEqual([sampleAccount('ours', { version: 1 })])
        expect(await again.listPeople()).toEqual([samplePerson('ours', { version: 1 })])
        expect(await again.listDestinations()).toEqual([sampleDestination('ours', { version: 1 })])
        expect(await again.loadIntent('kite-main', 'refresh:1')).toEqual(sampleIntent('ours', { version: 1 }))
        expect(await again.listDeliveries()).toEqual([sampleDelivery('ours', { version: 1 })])
      })

      on('give secrets back equal', async ({ store, reopen }, ours) => {
        await furnish(store, 'ours')
        const odd = ['canary ✓ "quoted" \\ \n', 'ü'.repeat(2_000), '']
        const credentials = Object.fromEntries(odd.map((value, i) => [`field${i}`, new Secret(value)]))
        const saved = await ours.saveApp(sampleApp('ours', { credentials }), 1)
        const again = (await reopen()).forTenant('ours')
        for (const app of [saved, await again.loadApp('kite-app'), (await again.listApps())[0]]) {
          expect(Object.values(app?.credentials ?? {}).map((secret) => secret.expose())).toEqual(odd)
        }
        const [recorded] = await ours.recordGrants([sampleGrant('ours')])
        for (const grant of [
          recorded,
          await again.loadGrant('kite-main', 1),
          (await again.listGrants('kite-main'))[0],
        ]) {
          expect(grant?.accessToken.expose()).toBe('canary-access-g1')
          expect(grant?.refresh?.token.expose()).toBe('canary-refresh-g1')
          expect(grant?.refresh?.expiry).toEqual({ at: plus(start, 1_000), source: 'broker-rule' })
        }
      })
    })

    describe('tenants', () => {
      on('never see, name or touch what belongs to another', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await fill(ours)
        const before = await everythingOf(ours)
        const theirs = store.forTenant('theirs')

        expect(await everythingOf(theirs)).toEqual(await everythingOf(store.forTenant('nobody')))
        await theirs.removeApp('kite-app')
        await theirs.removeAccount('kite-main')
        await theirs.removeDestination('env-file')
        await theirs.removeDelivery('kite-main', 'trading', 'env-file')
        await theirs.satisfyLoginRequests('kite-main', start)
        expect(await theirs.savePerson(samplePerson('theirs'), 1)).toBe(undefined)
        expect(await everythingOf(ours)).toEqual(before)
      })

      on('may use the same names independently', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await fill(ours)
        const before = await everythingOf(ours)
        await furnish(store, 'theirs')
        const theirs = store.forTenant('theirs')
        await fill(theirs)
        expect((await theirs.loadGrant('kite-main', 1))?.ref.tenantId).toBe('theirs')
        await theirs.removeAccount('kite-main')
        await theirs.removeApp('kite-app')
        expect(await everythingOf(ours)).toEqual(before)
        expect(await store.listTenants()).toEqual(['ours', 'theirs'])
      })

      on('cannot save a record that names another', async ({ store }) => {
        await furnish(store, 'ours')
        await furnish(store, 'theirs')
        const theirs = store.forTenant('theirs')
        for (const attempt of [
          () => theirs.saveApp(sampleApp('ours'), 1),
          () => theirs.saveAccount(sampleAccount('ours'), 1),
          () => theirs.savePerson(samplePerson('ours'), 1),
          () => theirs.saveDestination(sampleDestination('ours'), 0),
          () => theirs.saveIntent(sampleIntent('ours'), 0),
          () => theirs.saveSession(sampleSession('ours'), 0),
          () => theirs.saveDelivery(sampleDelivery('ours'), 0),
          () => theirs.recordGrants([sampleGrant('ours')]),
          () => theirs.openLoginRequest(sampleRequest('ours')),
          () => theirs.saveLoginAttempt(sampleAttempt('ours')),
        ]) {
          expect(await failure(attempt())).toBe('internal')
        }
      })

      on('see only their own keys and events', async ({ store }) => {
        await store.saveKey(sampleKey('ours'))
        await store.saveKey(sampleKey('theirs', { digest: 'digest-theirs' }))
        expect((await store.listKeys('ours')).map((key) => key.digest)).toEqual(['digest-ours'])
        await store.revokeKey('theirs', 'key-1', start)
        expect((await store.findKey('digest-ours'))?.revokedAt).toBe(undefined)
        expect(await failure(store.saveKey(sampleKey('theirs', { digest: 'digest-ours' })))).toBe('conflict')
        expect((await store.findKey('digest-ours'))?.tenantId).toBe('ours')

        await store.appendEvents([sampleEvent('ours', 'one'), sampleEvent('theirs', 'two')])
        const seen = await store.listEvents({ tenantId: 'theirs', limit: 10 })
        expect(seen.map((event) => event.text)).toEqual(['two'])
      })
    })

    describe('apps', () => {
      on('have one keeper per app key, over all tenants', async ({ store }, ours) => {
        await furnish(store, 'ours')
        const theirs = store.forTenant('theirs')
        const same = { fingerprint: sampleApp('ours').fingerprint }
        expect(await failure(theirs.saveApp(sampleApp('theirs', same), 0))).toBe('app-key-taken')
        expect(await failure(ours.saveApp(sampleApp('ours', { ...same, id: 'second' }), 0))).toBe(
          'app-key-taken',
        )
        expect(await theirs.listApps()).toEqual([])
        await ours.saveApp(sampleApp('ours', { id: 'third', fingerprint: 'third' }), 0)
        expect(await failure(ours.saveApp(sampleApp('ours', { ...same, id: 'third' }), 1))).toBe(
          'app-key-taken',
        )
        expect((await ours.loadApp('third'))?.fingerprint).toBe('third')

        await ours.removeAccount('kite-main')
        await ours.removeApp('kite-app')
        expect((await theirs.saveApp(sampleApp('theirs', same), 0))?.version).toBe(1)
      })

      on('stay while an account refers to them', async ({ store }, ours) => {
        await furnish(store, 'ours')
        expect(await failure(ours.removeApp('kite-app'))).toBe('still-in-use')
        await ours.removeAccount('kite-main')
        await ours.removeApp('kite-app')
        expect(await ours.loadApp('kite-app')).toBe(undefined)
      })

      on('must be there before an account refers to them', async (_, ours) => {
        expect(await failure(ours.saveAccount(sampleAccount('ours'), 0))).toBe('unknown-app')
      })
    })

    describe('accounts', () => {
      on('take everything but their events with them', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await ours.saveAccount(sampleAccount('ours', { id: 'kite-second' }), 0)
        await fill(ours)
        await ours.saveLoginAttempt(sampleAttempt('ours'))
        await store.appendEvents([sampleEvent('ours', 'account added')])
        await ours.removeAccount('kite-main')

        expect((await ours.listAccounts()).map((account) => account.id)).toEqual(['kite-second'])
        const { apps, people, destinations, accounts, secrets, ...left } = await everythingOf(ours)
        expect(left).toEqual({ sessions: [], grants: [], intents: [], deliveries: [], request: undefined })
        expect(await store.takeLoginAttempt('state-of-ours', start)).toEqual({ outcome: 'unknown' })
        expect(await store.due(plus(start, 10_000_000), 10)).toEqual([])
        expect((await store.listEvents({ tenantId: 'ours', limit: 10 })).length).toBe(1)
      })

      on('once removed are not brought back by a late save', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await fill(ours)
        await ours.removeAccount('kite-main')
        expect(await ours.saveSession(sampleSession('ours'), 1)).toBe(undefined)
        expect(await failure(ours.saveSession(sampleSession('ours'), 0))).toBe('unknown-account')
        expect(await failure(ours.recordGrants([sampleGrant('ours')]))).toBe('unknown-account')
        expect(await ours.listGrants('kite-main')).toEqual([])
      })
    })

    describe('destinations', () => {
      on('stay while an account is attached', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await ours.saveDestination(sampleDestination('ours'), 0)
        expect(await failure(ours.removeDestination('env-file'))).toBe('still-in-use')
        await ours.saveAccount(sampleAccount('ours', { destinations: [] }), 1)
        await ours.removeDestination('env-file')
        expect(await ours.listDestinations()).toEqual([])
      })

      on('have deliveries that can be listed and removed one by one', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await ours.saveAccount(sampleAccount('ours', { id: 'kite-second' }), 0)
        await ours.saveDelivery(sampleDelivery('ours'), 0)
        await ours.saveDelivery(sampleDelivery('ours', { slot: 'read' }), 0)
        await ours.saveDelivery(
          sampleDelivery('ours', { ref: { tenantId: 'ours', accountId: 'kite-second' } }),
          0,
        )
        expect((await ours.listDeliveries()).length).toBe(3)
        expect((await ours.listDeliveries('kite-main')).length).toBe(2)
        await ours.removeDelivery('kite-main', 'trading', 'env-file')
        expect((await ours.listDeliveries('kite-main')).map((delivery) => delivery.slot)).toEqual(['read'])
      })
    })

    describe('leases', () => {
      on('have one holder, whoever asks', async ({ store, reopen }) => {
        const other = await reopen()
        const taken = await Promise.all([
          store.takeLease('account:a', 'one', longTermMs),
          other.takeLease('account:a', 'two', longTermMs),
          store.takeLease('account:a', 'three', longTermMs),
        ])
        expect(taken.filter((lease) => lease !== undefined).length).toBe(1)
        const held = taken.find((lease) => lease !== undefined)
        expect(await other.readLease('account:a')).toEqual(held)
        expect((await other.takeLease('account:b', 'two', longTermMs))?.fence).toBe(1)
      })

      on('are timed by the clock of the store', async ({ store }) => {
        const before = await store.now()
        const lease = await store.takeLease('account:a', 'one', longTermMs)
        const after = await store.now()
        expect(lease !== undefined && lease.until >= before + longTermMs).toBe(true)
        expect(lease !== undefined && lease.until <= after + longTermMs).toBe(true)
      })

      on('keep their fence while the same holder takes them again', async ({ store }) => {
        const first = await store.takeLease('account:a', 'one', shortTermMs)
        const again = await store.takeLease('account:a', 'one', longTermMs)
        expect(again?.fence).toBe(first?.fence)
        expect(again !== undefined && first !== undefined && again.until > first.until).toBe(true)
      })

      on('raise their fence with each change of hands, also after a drop', async ({ store }) => {
        const one = await store.takeLease('account:a', 'one', longTermMs)
        expect(one?.fence).toBe(1)
        if (one) await store.dropLease(one)
        expect(await store.readLease('account:a')).toBe(undefined)
        const two = await store.takeLease('account:a', 'two', longTermMs)
        expect(two?.fence).toBe(2)
        if (two) await store.dropLease(two)
        expect((await store.takeLease('account:a', 'two', longTermMs))?.fence).toBe(3)
      })

      on('can be taken once the term is over', async ({ store, passTime }) => {
        const one = await store.takeLease('account:a', 'one', shortTermMs)
        await passTime(shortTermMs + 1)
        expect(await store.readLease('account:a')).toBe(undefined)
        const two = await store.takeLease('account:a', 'two', longTermMs)
        expect(two?.fence).toBe((one?.fence ?? 0) + 1)
        expect(await store.takeLease('account:a', 'one', longTermMs)).toBe(undefined)
      })

      on('are extended only while they are held', async ({ store, passTime }) => {
        const one = await store.takeLease('account:a', 'one', shortTermMs)
        if (!one) throw new Error('a free lease was refused')
        const extended = await store.extendLease(one, shortTermMs + 20)
        expect(extended?.fence).toBe(one.fence)
        expect(await store.readLease('account:a')).toEqual(extended)
        await passTime(shortTermMs + 21)
        expect(await store.extendLease(one, longTermMs)).toBe(undefined)
        await store.takeLease('account:a', 'two', longTermMs)
        expect(await store.extendLease(one, longTermMs)).toBe(undefined)
        expect((await store.readLease('account:a'))?.holder).toBe('two')
      })

      on('are not dropped by a former holder', async ({ store, passTime }) => {
        const former = await store.takeLease('account:a', 'one', shortTermMs)
        await passTime(shortTermMs + 1)
        const now = await store.takeLease('account:a', 'one', longTermMs)
        expect(now?.fence).toBe(2)
        if (former) await store.dropLease(former)
        expect(await store.readLease('account:a')).toEqual(now)
      })
    })

    describe('intents', () => {
      on('are saved under a lease only while it is held', async ({ store, passTime }, ours) => {
        await furnish(store, 'ours')
        const lease = await store.takeLease('account:a', 'one', shortTermMs)
        if (!lease) throw new Error('a free lease was refused')
        const intent = sampleIntent('ours')
        expect(await ours.saveIntent(intent, 0, { ...lease, holder: 'two' })).toBe(undefined)
        expect(await ours.saveIntent(intent, 0, { ...lease, fence: 2 })).toBe(undefined)
        expect(await ours.saveIntent(intent, 0, { ...lease, name: 'account:b' })).toBe(undefined)
        expect(await ours.loadIntent('kite-main', 'refresh:1')).toBe(undefined)

        expect((await ours.saveIntent(intent, 0, lease))?.version).toBe(1)
        expect(await ours.saveIntent(intent, 0, lease)).toBe(undefined)
        await passTime(shortTermMs + 1)
        expect(await ours.saveIntent({ ...intent, state: 'sending' }, 1, lease)).toBe(undefined)
        await store.takeLease('account:a', 'two', longTermMs)
        expect(await ours.saveIntent({ ...intent, state: 'sending' }, 1, lease)).toBe(undefined)
        expect((await ours.loadIntent('kite-main', 'refresh:1'))?.state).toBe('prepared')
      })

      on('are listed newest first', async ({ store }, ours) => {
        await furnish(store, 'ours')
        for (const [key, at] of [
          ['code:a', 5],
          ['refresh:1', 9],
          ['code:b', 7],
        ] as const) {
          await ours.saveIntent(sampleIntent('ours', { key, preparedAt: plus(start, at) }), 0)
        }
        const keys = (await ours.listIntents('kite-main')).map((intent) => intent.key)
        expect(keys).toEqual(['refresh:1', 'code:b', 'code:a'])
      })
    })

    describe('grants', () => {
      on('are numbered 1, 2, 3 per account over all slots', async ({ store, reopen }, ours) => {
        await furnish(store, 'ours')
        await ours.saveAccount(sampleAccount('ours', { id: 'kite-second' }), 0)
        const other = (await reopen()).forTenant('ours')
        const both = await ours.recordGrants([
          sampleGrant('ours', { id: 'g1' }),
          sampleGrant('ours', { id: 'g2', slot: 'read' }),
        ])
        expect(both.map((grant) => grant.generation)).toEqual([1, 2])
        const [third] = await other.recordGrants([sampleGrant('ours', { id: 'g3', slot: 'market-data' })])
        expect(third?.generation).toBe(3)
        const elsewhere = sampleGrant('ours', { ref: { tenantId: 'ours', accountId: 'kite-second' } })
        expect((await ours.recordGrants([elsewhere])).map((grant) => grant.generation)).toEqual([1])

        expect((await ours.listGrants('kite-main')).map((grant) => grant.generation)).toEqual([3, 2, 1])
        expect((await ours.listGrants('kite-main', { slot: 'read' })).map((grant) => grant.id)).toEqual([
          'g2',
        ])
        expect((await ours.listGrants('kite-main', { limit: 2 })).map((grant) => grant.id)).toEqual([
          'g3',
          'g2',
        ])
      })

      on('are written once', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await ours.recordGrants([sampleGrant('ours')])
        const changed = sampleGrant('ours', { accessToken: new Secret('canary-another'), slot: 'read' })
        const [again] = await ours.recordGrants([changed])
        expect(again?.generation).toBe(1)
        expect(again?.slot).toBe('trading')
        expect(again?.accessToken.expose()).toBe('canary-access-g1')
        expect((await ours.listGrants('kite-main')).length).toBe(1)
      })

      on('of two handles at once get different numbers', async ({ store, reopen }, ours) => {
        await furnish(store, 'ours')
        const other = (await reopen()).forTenant('ours')
        const ids = Array.from({ length: 20 }, (_, i) => `g${i}`)
        const recorded = await Promise.all(
          ids.map((id, i) => (i % 2 ? ours : other).recordGrants([sampleGrant('ours', { id })])),
        )
        const generations = recorded.flat().map((grant) => grant.generation)
        expect(generations.toSorted((a, b) => a - b)).toEqual(ids.map((_, i) => i + 1))
      })

      for (const state of ['prepared', 'sending', 'refused', 'unknown'] as const) {
        on(`answer an intent that is ${state}, whoever holds it`, async ({ store }, ours) => {
          await furnish(store, 'ours')
          const problem = { remedy: 'retry', code: 'broker-unreachable', message: 'No answer.' } as const
          await ours.saveIntent(sampleIntent('ours', { state, problem }), 0)
          await store.takeLease('account:a', 'somebody else', longTermMs)
          await ours.recordGrants(
            [sampleGrant('ours', { id: 'g1' }), sampleGrant('ours', { id: 'g2' })],
            'refresh:1',
          )
          const intent = await ours.loadIntent('kite-main', 'refresh:1')
          expect({ state: intent?.state, grants: intent?.grants }).toEqual({
            state: 'answered',
            grants: [1, 2],
          })
          expect(intent?.problem).toBe(undefined)
          expect(await ours.saveIntent(sampleIntent('ours', { state: 'unknown' }), 1)).toBe(undefined)
        })
      }

      on('recorded twice for one intent stay one answer', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await ours.saveIntent(sampleIntent('ours', { state: 'sending' }), 0)
        await ours.recordGrants([sampleGrant('ours', { id: 'g1' })], 'refresh:1')
        const once = await ours.loadIntent('kite-main', 'refresh:1')
        await ours.recordGrants([sampleGrant('ours', { id: 'g1' })], 'refresh:1')
        expect(await ours.loadIntent('kite-main', 'refresh:1')).toEqual(once)
        await ours.recordGrants([sampleGrant('ours', { id: 'g2' })], 'refresh:1')
        expect((await ours.loadIntent('kite-main', 'refresh:1'))?.grants).toEqual([1, 2])
      })

      on('need no intent', async ({ store }, ours) => {
        await furnish(store, 'ours')
        expect((await ours.recordGrants([sampleGrant('ours')], 'code:gone')).length).toBe(1)
        expect(await ours.loadIntent('kite-main', 'code:gone')).toBe(undefined)
        expect(await ours.recordGrants([])).toEqual([])
      })
    })

    describe('sessions', () => {
      on('refuse a writer with a lower fence', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await ours.saveSession(sampleSession('ours', { fence: 5 }), 0)
        expect(await ours.saveSession(sampleSession('ours', { fence: 4 }), 1)).toBe(undefined)
        expect((await ours.saveSession(sampleSession('ours', { fence: 5 }), 1))?.version).toBe(2)
        expect((await ours.saveSession(sampleSession('ours', { fence: 6 }), 2))?.version).toBe(3)
        expect((await ours.loadSession('kite-main', 'trading'))?.fence).toBe(6)
      })

      on('are one per slot', async ({ store }, ours) => {
        await furnish(store, 'ours')
        await ours.saveSession(sampleSession('ours'), 0)
        await ours.saveSession(sampleSession('ours', { slot: 'read' }), 0)
        expect((await ours.listSessions()).map((session) => session.slot).toSorted()).toEqual([
          'read',
          'trading',
        ])
      })

      on('fall due in order, without those of paused accounts', async ({ store }, ours) => {
        expect(await store.nextDue()).toBe(undefined)
        await furnish(store, 'ours')
        await furnish(store, 'theirs')
        const theirs = store.forTenant('theirs')
        await ours.saveAccount(sampleAccount('ours', { id: 'resting', paused: true }), 0)
        const resting = { tenantId: 'ours', accountId: 'resting' }
        await ours.saveSession(sampleSession('ours', { ref: resting, dueAt: start }), 0)
        await ours.saveSession(sampleSession('ours', { dueAt: plus(start, 20) }), 0)
        await ours.saveSession(sampleSession('ours', { slot: 'read', dueAt: plus(start, 30) }), 0)
        await theirs.saveSession(sampleSession('theirs', { dueAt: plus(start, 10) }), 0)

        const first = {
          ref: { tenantId: 'theirs', accountId: 'kite-main' },
          slot: 'trading',
          dueAt: plus(start, 10),
        }
        const second = {
          ref: { tenantId: 'ours', accountId: 'kite-main' },
          slot: 'trading',
          dueAt: plus(start, 20),
        }
        expect(await store.due(plus(start, 9), 10)).toEqual([])
        expect(await store.due(plus(start, 20), 10)).toEqual([first, second])
        expect(await store.due(plus(start, 99), 1)).toEqual([first])
        expect(await store.nextDue()).toBe(plus(start, 10))

        await ours.saveAccount(sampleAccount('ours', { id: 'resting', paused: false }), 1)
        expect(await store.nextDue()).toBe(start)
        await ours.saveSession(sampleSession('ours', { ref: resting, dueAt: plus(start, 40) }), 1)
        expect(await store.nextDue()).toBe(plus(start, 10))
      })

      on(
        'fall due when a grant is recorded for them, and are not touched otherwise',
        async ({ store }, ours) => {
          await furnish(store, 'ours')
          await ours.saveSession(sampleSession('ours', { dueAt: plus(start, 500) }), 0)
          await ours.saveSession(sampleSession('ours', { slot: 'read', dueAt: plus(start, 600) }), 0)
          await ours.recordGrants([sampleGrant('ours', { receivedAt: plus(start, 20) })])
          expect(
            (await store.due(plus(start, 999), 9)).map(({ slot, dueAt }) => [slot, dueAt - start]),
          ).toEqual([
            ['trading', 20],
            ['read', 600],
          ])
          expect(await ours.loadSession('kite-main', 'trading')).toEqual(
            sampleSession('ours', { version: 1, dueAt: plus(start, 500) }),
          )

          // Recording it again, or a later one, does not put off what is due.
          await ours.recordGrants([sampleGrant('ours', { receivedAt: plus(start, 20) })])
          await ours.recordGrants([sampleGrant('ours', { id: 'g2', receivedAt: plus(start, 40) })])
          expect(await store.nextDue()).toBe(plus(start, 20))

          await ours.saveSession(sampleSession('ours', { dueAt: plus(start, 700) }), 1)
          expect(await store.nextDue()).toBe(plus(start, 600))
          await ours.recordGrants([sampleGrant('ours', { receivedAt: plus(start, 20) })])
          expect(await store.nextDue()).toBe(plus(start, 600))
        },
      )
    })

    describe('logins', () => {
      on('asked for by many are one request until satisfied', async ({ store, reopen }, ours) => {
        await furnish(store, 'ours')
        const other = (await reopen()).forTenant('ours')
        const answers = await Promise.all(
          Array.from({ length: 10 }, (_, i) =>
            (i % 2 ? ours : other).openLoginRequest(sampleRequest('ours', { id: `request-${i}` })),
          ),
        )
        expect(answers.filter((answer) => answer.opened).length).toBe(1)
        expect(new Set(answers.map((answer) => answer.request.id)).size).toBe(1)
        expect(await ours.loadOpenLoginRequest('kite-main')).toEqual(answers[0]?.request)

        await ours.satisfyLoginRequests('kite-main', start)
        expect(await ours.loadOpenLoginRequest('kite-main')).toBe(undefined)
        const next = await ours.openLoginRequest(sampleRequest('ours', { id: 'request-next' }))
        expect({ opened: next.opened, id: next.request.id }).toEqual({ opened: true, id: 'request-next' })
      })

      on('can be finished once, whoever asks', async ({ store, reopen }, ours) => {
        await furnish(store, 'ours')
        const other = await reopen()
        const attempt = sampleAttempt('ours')
        await ours.saveLoginAttempt(attempt)
        const at = plus(start, 1)
        const answers = await Promise.all([
          store.takeLoginAttempt('state-of-ours', at),
          other.takeLoginAttempt('state-of-ours', at),
        ])
        expect(answers.map((answer) => answer.outcome).toSorted()).toEqual(['taken', 'used'])
        for (const answer of answers) {
          expect(answer).toEqual({ outcome: answer.outcome, attempt: { ...attempt, usedAt: at } })
        }
        expect(await failure(ours.saveLoginAttempt(attempt))).toBe('conflict')
        expect((await store.takeLoginAttempt('state-of-ours', at)).outcome).toBe('used')
      })

      on('expire, and unknown states are told apart', async ({ store }, ours) => {
        await furnish(store, 'ours')
        const attempt = sampleAttempt('ours')
        await ours.saveLoginAttempt(attempt)
        const late = await store.takeLoginAttempt('state-of-ours', attempt.expiresAt)
        expect(late).toEqual({ outcome: 'expired', attempt })
        expect((await store.takeLoginAttempt('state-of-ours', plus(attempt.expiresAt, -1))).outcome).toBe(
          'taken',
        )
        expect(await store.takeLoginAttempt('never seen', start)).toEqual({ outcome: 'unknown' })
      })
    })

    describe('a login attempt', () => {
      on('is left for its own account when another one asks', async ({ store }, ours) => {
        await furnish(store, 'ours')
        const attempt = sampleAttempt('ours')
        await ours.saveLoginAttempt(attempt)
        const at = plus(start, 1)
        for (const only of [
          { ...attempt.ref, accountId: 'another' },
          { ...attempt.ref, tenantId: 'theirs' },
        ]) {
          expect(await store.takeLoginAttempt('state-of-ours', at, only)).toEqual({ outcome: 'foreign' })
        }
        expect((await store.takeLoginAttempt('state-of-ours', at, attempt.ref)).outcome).toBe('taken')
      })
    })

    describe('ledger', () => {
      on('numbers and chains the events of all handles', async ({ store, reopen }) => {
        const other = await reopen()
        await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            (i % 2 ? store : other).appendEvents([
              sampleEvent('ours', `a${i}`),
              sampleEvent('theirs', `b${i}`),
            ]),
          ),
        )
        const [first] = await store.appendEvents([sampleEvent('ours', 'last')])
        expect(first?.seq).toBe(41)
        expect(await store.firstBrokenEvent()).toBe(undefined)
        expect(await store.appendEvents([])).toEqual([])
      })

      on('finds an altered event', async ({ store, forgeEvent }) => {
        const texts = ['one', 'two', 'three', 'four']
        const events = await store.appendEvents(texts.map((text) => sampleEvent('ours', text)))
        expect(await store.firstBrokenEvent()).toBe(undefined)
        await forgeEvent(events[2]?.seq ?? 0, 'THREE')
        expect((await store.firstBrokenEvent())?.seq).toBe(events[2]?.seq)
        await forgeEvent(events[2]?.seq ?? 0, 'three')
        expect(await store.firstBrokenEvent()).toBe(undefined)
      })

      on('answers with the newest of what was asked, oldest first', async ({ store }) => {
        const events = ['one', 'two', 'three', 'four'].map((text) => sampleEvent('ours', text))
        const { accountId, ...general } = sampleEvent('ours', 'no account')
        const written = await store.appendEvents([...events, general])
        const texts = async (query: object) =>
          (await store.listEvents({ tenantId: 'ours', limit: 10, ...query })).map((event) => event.text)
        expect(await texts({})).toEqual(['one', 'two', 'three', 'four', 'no account'])
        expect(await texts({ limit: 2 })).toEqual(['four', 'no account'])
        expect(await texts({ accountId })).toEqual(['one', 'two', 'three', 'four'])
        expect(await texts({ afterSeq: written[1]?.seq, accountId })).toEqual(['three', 'four'])
        expect(await store.listEvents({ tenantId: 'ours', limit: 10 })).toEqual(written)
      })
    })

    describe('keys', () => {
      on('are found by digest, and a revoked one stays revoked', async ({ store, reopen }) => {
        const other = await reopen()
        const key = sampleKey('ours')
        await store.saveKey(key)
        expect(await other.findKey('digest-ours')).toEqual(key)
        expect(await other.findKey('digest-none')).toBe(undefined)
        await other.revokeKey('ours', 'key-1', start)
        await other.revokeKey('ours', 'key-1', plus(start, 5))
        expect(await store.findKey('digest-ours')).toEqual({ ...key, revokedAt: start })
        await store.saveKey(key)
        expect((await store.findKey('digest-ours'))?.revokedAt).toBe(start)
        expect(await store.listKeys('ours')).toEqual([{ ...key, revokedAt: start }])
      })
    })

    on('proves that it can be written without leaving anything behind', async ({ store }, ours) => {
      await furnish(store, 'ours')
      const before = await everythingOf(ours)
      await store.proveWritable()
      await store.proveWritable()
      expect(await everythingOf(ours)).toEqual(before)
    })
  })
}

// ------------------------------------------------------------------------------------------- what is compared and set

interface Marked {
  mark: unknown
  version: number
}

interface VersionedKind {
  name: string
  of(
    store: Store,
    tenantId: string,
  ): {
    save(mark: string, expectedVersion: number): Promise<Marked | undefined>
    load(): Promise<Marked | undefined>
  }
}

/** One member of the record stands for all; that whole records come back is tested by itself. */
function kind<T extends { version: number }>(
  name: string,
  markOf: (record: T) => unknown,
  of: (
    vault: TenantVault,
    store: Store,
  ) => {
    save(mark: string, expectedVersion: number): Promise<T | undefined>
    load(): Promise<T | undefined>
  },
): VersionedKind {
  const marked = (record: T | undefined) => record && { mark: markOf(record), version: record.version }
  return {
    name,
    of(store, tenantId) {
      const { save, load } = of(store.forTenant(tenantId), store)
      return {
        save: async (mark, expectedVersion) => marked(await save(mark, expectedVersion)),
        load: async () => marked(await load()),
      }
    },
  }
}

const versionedKinds: readonly VersionedKind[] = [
  kind<App>(
    'app',
    (app) => app.credentials.secret?.expose(),
    (vault) => ({
      save: (mark, expected) =>
        vault.saveApp(
          sampleApp('ours', { id: 'other', fingerprint: 'other', credentials: { secret: new Secret(mark) } }),
          expected,
        ),
      load: () => vault.loadApp('other'),
    }),
  ),
  kind<Account>(
    'account',
    (account) => account.label,
    (vault) => ({
      save: (label, expected) => vault.saveAccount(sampleAccount('ours', { id: 'other', label }), expected),
      load: () => vault.loadAccount('other'),
    }),
  ),
  kind<Person>(
    'person',
    (person) => person.name,
    (vault) => ({
      save: (name, expected) => vault.savePerson(samplePerson('ours', { id: 'other', name }), expected),
      load: async () => (await vault.listPeople()).find((person) => person.id === 'other'),
    }),
  ),
  kind<Destination>(
    'destination',
    (destination) => destination.settings.path,
    (vault) => ({
      save: (path, expected) =>
        vault.saveDestination(sampleDestination('ours', { settings: { path } }), expected),
      load: () => vault.loadDestination('env-file'),
    }),
  ),
  kind<Intent>(
    'intent',
    (intent) => intent.holder,
    (vault) => ({
      save: (holder, expected) => vault.saveIntent(sampleIntent('ours', { holder }), expected),
      load: () => vault.loadIntent('kite-main', 'refresh:1'),
    }),
  ),
  kind<Session>(
    'session',
    (session) => session.acceptedBy,
    (vault) => ({
      save: (acceptedBy, expected) => vault.saveSession(sampleSession('ours', { acceptedBy }), expected),
      load: () => vault.loadSession('kite-main', 'trading'),
    }),
  ),
  kind<Delivery>(
    'delivery',
    (delivery) => delivery.writtenDigest,
    (vault) => ({
      save: (writtenDigest, expected) =>
        vault.saveDelivery(sampleDelivery('ours', { writtenDigest }), expected),
      load: () => vault.loadDelivery('kite-main', 'trading', 'env-file'),
    }),
  ),
  kind<Breaker>(
    'breaker',
    (breaker) => breaker.reason,
    (_, store) => ({
      save: (reason, expected) => store.saveBreaker(sampleBreaker({ reason }), expected),
      load: () => store.loadBreaker('egress:kite:a'),
    }),
  ),
]

// --------------------------------------------------------------------------------------------------------- samples

/** The app, person and account that other records refer to. */
export async function furnish(store: Store, tenantId: string): Promise<void> {
  const vault = store.forTenant(tenantId)
  await vault.saveApp(sampleApp(tenantId), 0)
  await vault.savePerson(samplePerson(tenantId), 0)
  await vault.saveAccount(sampleAccount(tenantId), 0)
}

/** One of each thing that an account gathers. */
export async function fill(vault: TenantVault): Promise<void> {
  const { tenantId } = vault
  await vault.saveDestination(sampleDestination(tenantId), 0)
  await vault.saveIntent(sampleIntent(tenantId), 0)
  await vault.recordGrants([sampleGrant(tenantId)], 'refresh:1')
  await vault.saveSession(sampleSession(tenantId), 0)
  await vault.saveDelivery(sampleDelivery(tenantId), 0)
  await vault.openLoginRequest(sampleRequest(tenantId))
}

async function everythingOf(vault: TenantVault) {
  return {
    apps: [...(await vault.listApps()), await vault.loadApp('kite-app')],
    accounts: [...(await vault.listAccounts()), await vault.loadAccount('kite-main')],
    people: await vault.listPeople(),
    destinations: [...(await vault.listDestinations()), await vault.loadDestination('env-file')],
    intents: [
      ...(await vault.listIntents('kite-main')),
      await vault.loadIntent('kite-main', 'refresh:1'),
    ].filter((intent) => intent !== undefined),
    grants: [...(await vault.listGrants('kite-main')), await vault.loadGrant('kite-main', 1)].filter(
      (grant) => grant !== undefined,
    ),
    sessions: [...(await vault.listSessions()), await vault.loadSession('kite-main', 'trading')].filter(
      (session) => session !== undefined,
    ),
    deliveries: [
      ...(await vault.listDeliveries()),
      await vault.loadDelivery('kite-main', 'trading', 'env-file'),
    ].filter((delivery) => delivery !== undefined),
    request: await vault.loadOpenLoginRequest('kite-main'),
    secrets: await secretsOf(vault),
  }
}

/** Two secrets look the same to `toEqual`, so what they hold is compared beside them. */
async function secretsOf(vault: TenantVault): Promise<(string | undefined)[]> {
  const apps = await vault.listApps()
  const grants = await vault.listGrants('kite-main')
  const secrets = [
    ...apps.flatMap((app) => Object.values(app.credentials)),
    ...grants.flatMap((grant) => [grant.accessToken, grant.refresh?.token]),
  ]
  return secrets.map((secret) => secret?.expose())
}

/** Members to change; one that is undefined is left as it is in the sample. */
type Changes<T> = { [Member in keyof T]?: T[Member] | undefined }

function changed<T extends object>(sample: T, changes: Changes<T>): T {
  return {
    ...sample,
    ...Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)),
  }
}

export function sampleApp(tenantId: string, changes: Changes<App> = {}): App {
  const app: App = {
    id: 'kite-app',
    tenantId,
    version: 0,
    brokerId: 'kite',
    environment: 'simulator',
    credentials: { apiKey: new Secret(`canary-key-${tenantId}`), apiSecret: new Secret('canary-secret') },
    fingerprint: `fingerprint-${tenantId}`,
    redirectUri: 'http://127.0.0.1:8079/callback',
    origins: { api: 'http://127.0.0.1:9001' },
    refresh: { state: 'retired', reason: 'refused', at: start },
  }
  return changed(app, changes)
}

export function sampleAccount(tenantId: string, changes: Changes<Account> = {}): Account {
  const account: Account = {
    id: 'kite-main',
    tenantId,
    version: 0,
    appId: 'kite-app',
    personId: 'asha',
    brokerUserId: 'AB1234',
    label: 'Main',
    markets: ['nse'],
    readyBy: '09:00',
    destinations: ['env-file'],
    paused: false,
    createdAt: start,
  }
  return changed(account, changes)
}

function samplePerson(tenantId: string, changes: Changes<Person> = {}): Person {
  return changed(
    { id: 'asha', tenantId, version: 0, name: 'Asha', zone: 'Asia/Kolkata', language: 'en' },
    changes,
  )
}

function sampleDestination(tenantId: string, changes: Changes<Destination> = {}): Destination {
  return changed(
    { id: 'env-file', tenantId, version: 0, kind: 'dotenv', settings: { path: '/srv/.env' } },
    changes,
  )
}

function sampleIntent(tenantId: string, changes: Changes<Intent> = {}): Intent {
  const intent: Intent = {
    ref: { tenantId, accountId: 'kite-main' },
    key: 'refresh:1',
    version: 0,
    kind: 'refresh',
    spend: 'single-use',
    state: 'prepared',
    holder: 'one',
    fence: 1,
    preparedAt: start,
    deadline: plus(start, 15_000),
    sends: 0,
    grants: [],
  }
  return changed(intent, changes)
}

export function sampleGrant(tenantId: string, changes: Changes<NewGrant> = {}): NewGrant {
  const id = changes.id ?? 'g1'
  const grant: NewGrant = {
    id,
    ref: { tenantId, accountId: 'kite-main' },
    slot: 'trading',
    accessToken: new Secret(`canary-access-${id}`),
    refresh: {
      token: new Secret(`canary-refresh-${id}`),
      expiry: { at: plus(start, 1_000), source: 'broker-rule' },
    },
    scopes: ['orders'],
    expiry: { at: plus(start, 2_000), source: 'jwt' },
    brokerUserId: 'AB1234',
    origin: 'login',
    sentAt: start,
    receivedAt: plus(start, 1),
    appVersion: 1,
  }
  return changed(grant, changes)
}

export function sampleSession(tenantId: string, changes: Changes<Session> = {}): Session {
  const session: Session = {
    ref: { tenantId, accountId: 'kite-main' },
    slot: 'trading',
    version: 0,
    fence: 1,
    generation: 1,
    token: 'live',
    expiry: { at: plus(start, 2_000), source: 'broker-rule', doubtUntil: plus(start, 500) },
    acceptedAt: start,
    acceptedBy: 'profile',
    work: {
      state: 'blocked',
      until: start,
      problem: { remedy: 'wait', code: 'broker-unavailable', message: 'Down.' },
    },
    dueAt: plus(start, 1_000),
  }
  return changed(session, changes)
}

function sampleDelivery(tenantId: string, changes: Changes<Delivery> = {}): Delivery {
  const delivery: Delivery = {
    ref: { tenantId, accountId: 'kite-main' },
    slot: 'trading',
    destinationId: 'env-file',
    version: 0,
    desired: 2,
    delivered: 1,
    writtenDigest: 'digest',
    attempt: 0,
  }
  return changed(delivery, changes)
}

function sampleRequest(tenantId: string, changes: Changes<LoginRequest> = {}): LoginRequest {
  return changed(
    { id: 'request-1', ref: { tenantId, accountId: 'kite-main' }, openedAt: start, reason: 'ended' },
    changes,
  )
}

function sampleAttempt(tenantId: string): LoginAttempt {
  return {
    id: 'attempt-1',
    ref: { tenantId, accountId: 'kite-main' },
    requestId: 'request-1',
    stateHash: `state-of-${tenantId}`,
    redirectUri: 'http://127.0.0.1:8079/callback',
    replace: false,
    startedAt: start,
    expiresAt: plus(start, 600_000),
  }
}

export function sampleBreaker(changes: Changes<Breaker> = {}): Breaker {
  return changed({ key: 'egress:kite:a', version: 0, failures: 1, windowStart: start }, changes)
}

function sampleKey(tenantId: string, changes: Changes<ApiKey> = {}): ApiKey {
  const key: ApiKey = {
    id: 'key-1',
    tenantId,
    digest: `digest-${tenantId}`,
    label: 'bot',
    scopes: ['token:read'],
    createdAt: start,
  }
  return changed(key, changes)
}

export function sampleEvent(tenantId: string, text: string): NewEvent & { accountId: string } {
  return { at: start as Instant, tenantId, accountId: 'kite-main', kind: 'renewed', text, generation: 1 }
}
