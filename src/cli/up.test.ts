import { expect, it } from 'vitest'
import { fakeContext, fakeHouse, fakeIo, live, statusOf } from './fake-house.ts'
import { up } from './up.ts'

it('serves, keeps, says where, and stops in the reverse order', async () => {
  const steps: string[] = []
  const house = fakeHouse([statusOf('kite-main', live)], {
    async start() {
      steps.push('start')
    },
    async stop() {
      steps.push('stop')
    },
  })
  house.serve = async () => {
    steps.push('serve')
    return {
      url: 'http://127.0.0.1:8079',
      async close() {
        steps.push('close')
      },
    }
  }
  const stop = Promise.withResolvers<void>()
  const io = fakeIo([], { untilStopped: () => stop.promise })
  const running = up(fakeContext(house, io))
  await expect.poll(() => io.stderr).toContain('Ctrl-C')
  expect(steps).toEqual(['serve', 'start'])
  expect(io.stdout).toContain('Openbell serves at http://127.0.0.1:8079.')
  expect(io.stdout).toContain('/nowhere/openbell/api-key')
  expect(io.stdout).toContain('kite-main')
  stop.resolve()
  expect(await running).toBe(0)
  expect(steps).toEqual(['serve', 'start', 'close', 'stop'])
})

it('a second one says that the first is there', async () => {
  const house = fakeHouse()
  house.serviceIsUp = async () => true
  await expect(up(fakeContext(house, fakeIo()))).rejects.toThrow(
    'Another `openbell up` keeps this vault already (http://127.0.0.1:8079)',
  )
})

it('a port that another program holds is named with the mend', async () => {
  const house = fakeHouse()
  house.serve = async () => {
    throw Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' })
  }
  await expect(up(fakeContext(house, fakeIo()))).rejects.toMatchObject({
    code: 'invalid-config',
    message: expect.stringContaining('OPENBELL_PORT'),
  })
})

it('--json is one document as soon as it serves', async () => {
  const io = fakeIo()
  await up(fakeContext(fakeHouse([statusOf('kite-main', live)]), io, true))
  expect(JSON.parse(io.stdout)).toMatchObject({
    url: 'http://127.0.0.1:8079',
    keyFile: '/nowhere/openbell/api-key',
    accounts: [{ account: 'kite-main' }],
  })
})
