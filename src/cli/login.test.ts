import { expect, it } from 'vitest'
import { OpenbellError } from '../core/errors.ts'
import type { FinishLogin, Keeper } from '../core/keeper.ts'
import { Secret } from '../core/secret.ts'
import { minuteMs } from '../core/time.ts'
import { Interrupted } from './command.ts'
import {
  fakeContext,
  fakeHouse,
  fakeIo,
  firstInput,
  kiteInfo,
  live,
  statusOf,
  tastyInfo,
} from './fake-house.ts'
import { login, readPasted } from './login.ts'

const kite = statusOf('kite-main')
const tasty = statusOf('tasty-main', { brokerId: 'tastytrade', brokerName: 'tastytrade' })
const sentence = 'kite-main is live until 06:00 tomorrow (IST), no destinations yet.\n'
const redirect = 'http://127.0.0.1:8079/callback?request_token=canary-request-token&state=canary-state'
const portTaken = async () => {
  throw new OpenbellError('redirect-not-listenable', 'Port 8079 is taken by another program.')
}

it('ends with the browser, takes the prompt away and stops listening', async () => {
  const house = fakeHouse([kite])
  const io = fakeIo(['never'])
  const running = login({ account: 'kite-main' }, fakeContext(house, io))
  await expect.poll(() => io.asked.length).toBe(1)
  expect(house.listening).toBe(true)
  house.browserReturns({ status: { ...kite, ...live }, exchanged: true })
  expect(await running).toBe(0)
  expect(io.stdout).toBe(sentence)
  expect(io.stderr).toContain('https://kite.zerodha.com/connect/login?v=3')
  expect(io.stderr).toContain('The link is good until 09:10 (IST).')
  expect(house.listening).toBe(false)
  expect(house.calls).toEqual([])
})

it('ends with what is pasted while it listens', async () => {
  const house = fakeHouse([kite])
  const io = fakeIo([redirect])
  expect(await login({ account: 'kite-main' }, fakeContext(house, io))).toBe(0)
  expect(io.stdout).toBe(sentence)
  expect(house.listening).toBe(false)
  expect(house.calls.map(({ name }) => name)).toEqual(['finishLogin'])
  expect(firstInput<{ query: URLSearchParams }>(house).query.get('request_token')).toBe(
    'canary-request-token',
  )
})

it('shows the keeper’s sentence about a foreign address and asks again', async () => {
  let tries = 0
  const finishLogin: Keeper['finishLogin'] = async () => {
    if (tries++ === 0) throw new OpenbellError('login-foreign', 'This address belongs to Upstox.')
    return { status: { ...kite, ...live }, exchanged: true }
  }
  const io = fakeIo(['https://other.example/?code=x', redirect])
  expect(await login({ account: 'kite-main' }, fakeContext(fakeHouse([kite], { finishLogin }), io))).toBe(0)
  expect(io.stderr).toContain('This address belongs to Upstox.')
  expect(io.asked).toHaveLength(2)
})

it.each(['login-state-used', 'login-expired', 'login-other-user'] as const)(
  'ends at once with %s',
  async (code) => {
    const house = fakeHouse([kite], {
      finishLogin: async () => {
        throw new OpenbellError(code, 'No.')
      },
    })
    await expect(
      login({ account: 'kite-main' }, fakeContext(house, fakeIo([redirect]))),
    ).rejects.toMatchObject({ code })
    expect(house.listening).toBe(false)
  },
)

it('fails as the browser’s login failed', async () => {
  const house = fakeHouse([kite])
  const running = login({ account: 'kite-main' }, fakeContext(house, fakeIo()))
  await expect.poll(() => house.listening).toBe(true)
  house.browserReturns(new OpenbellError('login-refused', 'You pressed Cancel.'))
  await expect(running).rejects.toMatchObject({ code: 'login-refused' })
})

it('goes on with pasting where it cannot listen, and says so', async () => {
  const house = fakeHouse([kite])
  house.listenForLogin = portTaken
  const io = fakeIo([redirect])
  expect(await login({ account: 'kite-main' }, fakeContext(house, io))).toBe(0)
  expect(io.stderr).toContain('Port 8079 is taken by another program.\n')
})

it('waits for the running service where that holds the redirect', async () => {
  const house = fakeHouse([kite])
  house.listenForLogin = portTaken
  house.serviceIsUp = async () => true
  const io = fakeIo(['never'])
  const running = login({ account: 'kite-main' }, fakeContext(house, io))
  await expect.poll(() => io.asked.length).toBe(1)
  house.changed() // something else changed: still waiting
  const delivering = {
    accountId: 'kite-main',
    destinationId: 'e',
    kind: 'dotenv',
    where: '/e',
    desired: 1,
    delivered: 0,
  }
  house.statuses.set('kite-main', { ...kite, ...live, deliveries: [delivering] })
  house.changed() // not delivered yet
  await new Promise((resolve) => setImmediate(resolve))
  expect(io.stdout).toBe('')
  const delivered = { n: 1, m: 1 }
  house.statuses.set('kite-main', {
    ...kite,
    ...live,
    delivered,
    deliveries: [{ ...delivering, delivered: 1 }],
  })
  house.changed()
  expect(await running).toBe(0)
  expect(io.stdout).toBe('kite-main is live until 06:00 tomorrow (IST), 1 of 1 destinations.\n')
})

it('fails where nobody can listen or paste', async () => {
  const house = fakeHouse([kite])
  house.listenForLogin = portTaken
  await expect(login({ account: 'kite-main' }, fakeContext(house, fakeIo()))).rejects.toMatchObject({
    code: 'redirect-not-listenable',
  })
})

it('asks for a grant with its steps, hidden', async () => {
  const house = fakeHouse([tasty])
  const io = fakeIo(['canary-grant?a=b'])
  expect(await login({ account: 'tasty-main' }, fakeContext(house, io))).toBe(0)
  expect(io.stderr).toContain('1. Open the page of your application.\n2. Create a grant and copy it.\n')
  expect(io.asked).toEqual(['Refresh token'])
  const { code } = firstInput<{ code: Secret }>(house)
  expect(code.expose()).toBe('canary-grant?a=b')
  expect(io.stdout + io.stderr).not.toContain('canary')
})

it('Ctrl-C at the prompt says that nobody was logged in, and stops listening', async () => {
  const house = fakeHouse([kite])
  await expect(login({ account: 'kite-main' }, fakeContext(house, fakeIo(['stop'])))).rejects.toThrow(
    new Interrupted('Stopped: kite-main was not logged in.'),
  )
  expect(house.listening).toBe(false)
  expect(house.calls).toEqual([])
})

it('opens the browser at an address that says nothing, but not with --no-browser', async () => {
  const opened: string[] = []
  const openBrowser = async (url: string) => opened.push(url) > 0
  for (const browser of [true, false]) {
    await login(
      { account: 'kite-main', browser },
      fakeContext(fakeHouse([kite]), fakeIo([redirect], { openBrowser })),
    )
  }
  expect(opened).toEqual(['http://127.0.0.1:5001/'])
})

it('draws the code for a phone only where it fits', async () => {
  for (const [height, drawn] of [
    [60, true],
    [24, false],
  ] as const) {
    const io = fakeIo([redirect], { height, width: 100 })
    await login({ account: 'kite-main' }, fakeContext(fakeHouse([kite]), io))
    expect(io.stderr.includes('█')).toBe(drawn)
  }
})

it('says when the present token was kept', async () => {
  const house = fakeHouse([kite], {
    finishLogin: async () => ({ status: { ...kite, ...live }, exchanged: false }),
  })
  const io = fakeIo([], { stdin: redirect })
  expect(await login({ account: 'kite-main', code: '-' }, fakeContext(house, io))).toBe(0)
  expect(io.stdout).toContain('kite-main is already live until 06:00 tomorrow (IST)')
  expect(io.stdout).toContain('--replace')
})

it('does not call a token live that the broker has not accepted', async () => {
  const status = statusOf('kite-main', { ...live, token: 'unproven' })
  const house = fakeHouse([kite], { finishLogin: async () => ({ status, exchanged: true }) })
  const io = fakeIo([], { stdin: redirect })
  expect(await login({ account: 'kite-main', code: '-' }, fakeContext(house, io))).toBe(0)
  expect(io.stdout).toContain('saved and not yet confirmed')
  expect(io.stdout).not.toContain('is live')
})

it('without a name takes those who wait, one after the other', async () => {
  const house = fakeHouse([kite, statusOf('kite-live', live), tasty])
  const io = fakeIo([redirect, 'canary-grant'])
  expect(await login({}, fakeContext(house, io))).toBe(0)
  expect(house.calls.map(({ input }) => (input as FinishLogin).ref?.accountId)).toEqual([
    'kite-main',
    'tasty-main',
  ])
  const nobody = fakeIo()
  expect(await login({}, fakeContext(house, nobody))).toBe(0)
  expect(nobody.stdout).toBe('Nobody needs to log in.\n')
})

it.each([
  ['a whole address', redirect, 'query'],
  ['an address without scheme', '127.0.0.1:8079/callback?code=abc', 'query'],
  ['a query alone', 'request_token=abc&status=success', 'query'],
  ['an address with nothing in it', 'https://kite.zerodha.com/', 'query'],
  ['a code', 'canary-code', 'code'],
  ['a code with padding', 'abc==', 'code'],
])('takes %s from a redirect broker', (_, pasted, expected) => {
  expect(readPasted(pasted, kite, kiteInfo, false)).toHaveProperty(expected)
})

it('never takes a grant apart', () => {
  expect(readPasted('https://a/?code=b', tasty, tastyInfo, true)).toEqual({
    code: new Secret('https://a/?code=b'),
    ref: tasty.ref,
    by: 'signed-in',
    replace: true,
  })
})

it.each([true, false])(
  'ends when the link does, and stops listening (somebody to ask: %s)',
  async (canAsk) => {
    const house = fakeHouse([kite])
    const waited: number[] = []
    const io = fakeIo(['never'], {
      canAsk,
      sleep: async (ms) => {
        waited.push(ms)
      },
    })
    await expect(login({ account: 'kite-main' }, fakeContext(house, io))).rejects.toMatchObject({
      code: 'login-expired',
      accountId: 'kite-main',
    })
    expect(waited).toEqual([10 * minuteMs])
    expect(house.listening).toBe(false)
  },
)
