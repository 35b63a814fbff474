import { describe, expect, it, type TestContext } from 'vitest'
import type { Timings } from '../../src/engine/deps.ts'
import { systemClock } from '../../src/host/clock.ts'
import { type Child, House, type IssuerKind } from './house.ts'
import type { Moment } from './protocol.ts'

const timings: Partial<Timings> = {
  leaseTermMs: 1_500,
  leaseExtendMs: 400,
  spendDeadlineMs: 1_000,
  lookEveryMs: 25,
}

/** Past its lease and its permit's deadline, whenever it took them. */
const longMs = 2_000

async function openHouse(
  // The test's own, because tests here run side by side.
  { onTestFinished }: TestContext,
  kind: IssuerKind,
): Promise<{ house: House; first: Child; second: Child }> {
  const house = await House.open(kind, timings)
  onTestFinished(() => house.close())
  const [first, second] = [await house.child(), await house.child()]
  return { house, first, second }
}

/** The first process goes to sleep at that moment of its work, with everything in its hands. */
async function asleepAt(
  first: Child,
  moment: Moment,
  work: () => Promise<unknown>,
): Promise<[Promise<unknown>]> {
  await first.ask({ do: 'hold', at: [moment] })
  const working = work()
  await first.reached(moment)
  first.signal('SIGSTOP')
  return [working]
}

function wake(first: Child): void {
  // Said while it sleeps: it goes on in the very moment in which it wakes.
  void first.ask({ do: 'go' })
  first.signal('SIGCONT')
}

const told = (house: House) => ({ requests: house.issuer.tokenRequests(), reuses: house.issuer.reuses() })

describe('a process that is stopped before its permit says "sending"', {
  concurrent: true,
  timeout: 30_000,
}, () => {
  it.for(['single-use', 'repeatable'] as const)(
    'is succeeded, and sends nothing when it wakes (%s)',
    async (kind, test) => {
      const { house, first, second } = await openHouse(test, kind)
      await house.addColdAccount('a')
      const [served] = await asleepAt(first, 'prepared after', () => first.token('a'))

      expect(await second.token('a')).toEqual({ 'generation 2': 1 })
      expect(told(house)).toEqual({ requests: 1, reuses: 0 })

      wake(first)
      expect(await served).toEqual({ 'generation 2': 1 })
      expect(told(house)).toEqual({ requests: 1, reuses: 0 })
      const { session, grants, intents } = await house.kept('a')
      expect(session).toMatchObject({ token: 'live', generation: 2 })
      expect(grants.length).toBe(2)
      expect(intents).toMatchObject([{ state: 'answered', sends: 1, grants: [2] }])
    },
  )

  it('does not renew what a login has replaced meanwhile', async (test) => {
    const { house, first, second } = await openHouse(test, 'single-use')
    await house.addColdAccount('a')
    const [served] = await asleepAt(first, 'prepared after', () => first.token('a'))

    // Another secret, so another permit: only the lost lease can tell the sleeper.
    await second.ask({ do: 'login', accountId: 'a', code: await house.issuer.code() })
    wake(first)
    expect(await served).toEqual({ 'generation 2': 1 })
    expect(told(house)).toEqual({ requests: 1, reuses: 0 })
    expect(await house.kept('a')).toMatchObject({ session: { token: 'live', generation: 2 } })
  })

  it('leaves a login code to its successor', async (test) => {
    const { house, first, second } = await openHouse(test, 'single-use')
    await house.addAccount('a')
    const login = { do: 'login', accountId: 'a', code: await house.issuer.code() } as const
    const [refused] = await asleepAt(first, 'prepared after', () => first.ask(login))

    await second.ask(login)
    wake(first)
    await expect(refused).rejects.toMatchObject({ code: 'token-not-ready' })
    expect(told(house)).toEqual({ requests: 1, reuses: 0 })
    expect(await house.kept('a')).toMatchObject({ session: { token: 'live', generation: 1 }, asked: false })
  })
})

describe('a process that is stopped between its permit and the socket', {
  concurrent: true,
  timeout: 30_000,
}, () => {
  it('makes its successor ask a person, and sends the single-use secret once when it wakes', async (test) => {
    const { house, first, second } = await openHouse(test, 'single-use')
    await house.addColdAccount('a')
    const [served] = await asleepAt(first, 'sending after', () => first.token('a'))

    expect(await second.token('a')).toEqual({ 'spend-unknown': 1 })
    expect(told(house)).toEqual({ requests: 0, reuses: 0 })
    expect(await house.kept('a')).toMatchObject({
      session: { work: { state: 'waiting-for-person', problem: { code: 'spend-unknown' } } },
      intents: [{ state: 'unknown', sends: 1 }],
      asked: true,
    })

    wake(first)
    expect(await served).toEqual({ 'generation 2': 1 })
    expect(await second.token('a')).toEqual({ 'generation 2': 1 })
    expect(told(house)).toEqual({ requests: 1, reuses: 0 })
    expect(await house.kept('a')).toMatchObject({
      session: { token: 'live', generation: 2, work: { state: 'idle' } },
      intents: [{ state: 'answered', sends: 1, grants: [2] }],
      asked: false,
    })
  })

  it('makes its successor refuse the same login code, and sends it once when it wakes', async (test) => {
    const { house, first, second } = await openHouse(test, 'single-use')
    await house.addAccount('a')
    const login = { do: 'login', accountId: 'a', code: await house.issuer.code() } as const
    const [finished] = await asleepAt(first, 'sending after', () => first.ask(login))

    await expect(second.ask(login)).rejects.toMatchObject({ code: 'spend-unknown' })
    expect(told(house)).toEqual({ requests: 0, reuses: 0 })
    expect((await house.kept('a')).asked).toBe(true)

    wake(first)
    await finished
    expect(told(house)).toEqual({ requests: 1, reuses: 0 })
    expect(await house.kept('a')).toMatchObject({ session: { token: 'live', generation: 1 }, asked: false })
  })

  it('is succeeded after the deadline when its secret is repeatable, and both answers are kept', async (test) => {
    const { house, first, second } = await openHouse(test, 'repeatable')
    await house.addColdAccount('a')
    const [served] = await asleepAt(first, 'sending after', () => first.token('a'))

    expect(await second.token('a')).toEqual({ 'generation 2': 1 })
    expect(told(house).requests).toBe(1)

    wake(first)
    expect(await served).toEqual({ 'generation 2': 1 })
    expect(told(house).requests).toBe(2)
    const { session, grants, intents } = await house.keptOnce('a', (kept) => kept.grants.length === 3)
    expect(session).toMatchObject({ token: 'live', generation: 2, work: { state: 'idle' } })
    expect(grants.length).toBe(3)
    expect(intents).toMatchObject([{ state: 'answered', sends: 2, grants: [2, 3] }])
  })
})

describe('an answer that travels longer than lease and deadline', {
  concurrent: true,
  timeout: 30_000,
}, () => {
  it('is taken into use by the sender, who was stopped meanwhile and succeeded', async (test) => {
    const { house, first, second } = await openHouse(test, 'single-use')
    await house.addColdAccount('a')
    house.issuer.delayAnswers(longMs)
    const served = first.token('a')
    await house.requests(1)
    first.signal('SIGSTOP')

    expect(await second.token('a')).toEqual({ 'spend-unknown': 1 })
    expect((await house.kept('a')).asked).toBe(true)
    // By now the answer lies in the sleeper's socket.
    await systemClock.sleep(longMs)
    expect((await house.kept('a')).grants.length).toBe(1)

    first.signal('SIGCONT')
    expect(await served).toEqual({ 'generation 2': 1 })
    expect(await second.token('a')).toEqual({ 'generation 2': 1 })
    expect(told(house)).toEqual({ requests: 1, reuses: 0 })
    expect(await house.kept('a')).toMatchObject({
      session: { token: 'live', generation: 2, work: { state: 'idle' } },
      intents: [{ state: 'answered', sends: 1, grants: [2] }],
      asked: false,
    })
  })

  it('of a repeatable secret does no harm to the one that the successor got', async (test) => {
    const { house, first, second } = await openHouse(test, 'repeatable')
    await house.addColdAccount('a')
    house.issuer.delayAnswers(longMs)
    const served = first.token('a')
    await house.requests(1)
    first.signal('SIGSTOP')
    house.issuer.delayAnswers(0)

    expect(await second.token('a')).toEqual({ 'generation 2': 1 })
    first.signal('SIGCONT')
    expect(await served).toEqual({ 'generation 2': 1 })
    expect(told(house).requests).toBe(2)
    const { session, grants } = await house.keptOnce('a', (kept) => kept.grants.length === 3)
    expect(session).toMatchObject({ token: 'live', generation: 2, work: { state: 'idle' } })
    expect(grants.length).toBe(3)
  })

  it('is waited for while its sender is awake: nobody else sends, and whoever is patient is served', async (test) => {
    const { house, first, second } = await openHouse(test, 'single-use')
    await house.addColdAccount('a')
    house.issuer.delayAnswers(4_000)
    const served = first.token('a')
    await house.requests(1)

    expect(await first.token('a', 1, 200)).toEqual({ 'token-not-ready': 1 })
    // A term and a deadline is how long another process waits for its turn.
    expect(await second.token('a')).toEqual({ 'token-not-ready': 1 })
    expect(await served).toEqual({ 'generation 2': 1 })
    expect(await second.token('a')).toEqual({ 'generation 2': 1 })
    expect(told(house)).toEqual({ requests: 1, reuses: 0 })
    expect((await house.kept('a')).asked).toBe(false)
  })
})
