import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../host/clock.ts'
import { fill, furnish, sampleBreaker, sampleEvent, sampleGrant } from '../../testing/describe-vault.ts'
import { openSqlite } from './store.ts'

let folder: string
let path: string
let children: ChildProcessWithoutNullStreams[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'openbell-vault-'))
  path = join(folder, 'vault.db')
  children = []
})

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

const open = () => openSqlite({ path, now: systemClock.now, sleep: systemClock.sleep })

/** Runs `body` in another process that can use `store` on the same vault, and `say` to report a line. */
function inAnotherProcess(body: string, shell = ''): ChildProcessWithoutNullStreams {
  const module = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
  const script = `
    import { writeSync } from 'node:fs'
    import { DatabaseSync } from 'node:sqlite'
    import { openSqlite } from ${module('./store.ts')}
    import { systemClock } from ${module('../../host/clock.ts')}
    import { sampleEvent, sampleGrant, sampleBreaker } from ${module('../../testing/describe-vault.ts')}
    const path = ${JSON.stringify(path)}
    const open = () => openSqlite({ path, now: systemClock.now, sleep: systemClock.sleep })
    const say = (line) => writeSync(1, line + '\\n')
    const pause = (ms) => new Promise((done) => setTimeout(done, ms))
    ${body}
  `
  const command = `${shell} exec "$0" --input-type=module --eval "$1"`
  const child = spawn('sh', ['-c', command, process.execPath, script])
  child.stderr.pipe(process.stderr)
  children.push(child)
  return child
}

async function linesOf(child: ChildProcessWithoutNullStreams): Promise<string[]> {
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await once(child, 'close')
  return text.split('\n').filter((line) => line !== '')
}

describe('several processes on one vault', () => {
  it('can make and open it at the same moment', async () => {
    const startAt = Date.now() + 1_500
    const openers = Array.from({ length: 4 }, () =>
      inAnotherProcess(`
        while (Date.now() < ${startAt}) {}
        const store = await open()
        await store.appendEvents([sampleEvent('ours', 'opened')])
        await store.close()
        say('opened')
      `),
    )
    const said = await Promise.all(openers.map(linesOf))
    expect(said.flat()).toEqual(['opened', 'opened', 'opened', 'opened'])
    const store = await open()
    expect((await store.listEvents({ tenantId: 'ours', limit: 10 })).length).toBe(4)
    await store.close()
  })

  it('lose no increment', async () => {
    await (await open()).close()
    const counters = Array.from({ length: 3 }, () =>
      inAnotherProcess(`
        const store = await open()
        for (let added = 0; added < 100; ) {
          const now = await store.loadBreaker('egress:kite:a') ?? sampleBreaker({ failures: 0 })
          if (await store.saveBreaker({ ...now, failures: now.failures + 1 }, now.version)) added++
        }
        await store.close()
      `),
    )
    await Promise.all(counters.map(linesOf))
    const store = await open()
    expect((await store.loadBreaker('egress:kite:a'))?.failures).toBe(300)
    await store.close()
  })

  // Other work on the machine can delay a timer; a store that waits inside SQLite fails every time.
  it('wait for a writer of 3 s without stopping the event loop', { retry: 2 }, async () => {
    const store = await open()
    const holder = inAnotherProcess(`
      const db = new DatabaseSync(path)
      db.exec('BEGIN IMMEDIATE')
      say('locked')
      await pause(3_000)
      db.exec('ROLLBACK')
    `)
    await once(holder.stdout, 'data')

    const startedAt = performance.now()
    let last = startedAt
    let longestGapMs = 0
    const timer = setInterval(() => {
      const now = performance.now()
      longestGapMs = Math.max(longestGapMs, now - last)
      last = now
    }, 5)
    const saves = Array.from({ length: 100 }, (_, i) =>
      store.saveBreaker(sampleBreaker({ key: `breaker-${i}` }), 0),
    )
    const readAt = performance.now()
    expect(await store.loadBreaker('breaker-1')).toBe(undefined)
    const readMs = performance.now() - readAt
    const saved = await Promise.all(saves)
    clearInterval(timer)

    expect(performance.now() - startedAt).toBeGreaterThan(2_000)
    expect(saved.every((breaker) => breaker?.version === 1)).toBe(true)
    expect(readMs).toBeLessThan(50)
    expect(longestGapMs).toBeLessThan(50)
    await store.close()
  })

  it('keep what was acknowledged when one is killed', async () => {
    const first = await open()
    await furnish(first, 'ours')
    await first.close()
    const acknowledged = new Set<string>()
    for (const killAfterMs of [20, 90, 160]) {
      const writer = inAnotherProcess(`
        const store = await open()
        const vault = store.forTenant('ours')
        const [newest] = await vault.listGrants('kite-main', { limit: 1 })
        for (let n = (newest?.generation ?? 0) + 1; ; n++) {
          await vault.recordGrants([sampleGrant('ours', { id: 'g' + n })])
          await store.appendEvents([sampleEvent('ours', 'event ' + n)])
          say(n)
        }
      `)
      const said = linesOf(writer)
      await once(writer.stdout, 'data')
      setTimeout(() => writer.kill('SIGKILL'), killAfterMs)
      for (const line of await said) acknowledged.add(line)

      const store = await open()
      const grants = await store.forTenant('ours').listGrants('kite-main')
      const events = await store.listEvents({ tenantId: 'ours', limit: 1_000_000 })
      const grantIds = new Set(grants.map((grant) => grant.id))
      const texts = new Set(events.map((event) => event.text))
      expect(acknowledged.size).toBeGreaterThan(0)
      expect([...acknowledged].filter((n) => !grantIds.has(`g${n}`) || !texts.has(`event ${n}`))).toEqual([])
      expect(grants.map((grant) => grant.generation)).toEqual(grants.map((_, i) => grants.length - i))
      expect(await store.firstBrokenEvent()).toBe(undefined)
      await store.close()
    }
    const check = new DatabaseSync(path).prepare('PRAGMA integrity_check').get()
    expect(check).toEqual({ integrity_check: 'ok' })
  })

  it('hear of one another, and not of themselves', async () => {
    const store = await open()
    await furnish(store, 'ours')
    let heard = 0
    const stop = store.onChange?.(() => heard++)
    await fill(store.forTenant('ours'))
    await systemClock.sleep(600)
    expect(heard).toBe(0)

    const write = `
      const store = await open()
      await store.appendEvents([sampleEvent('ours', 'from elsewhere')])
      await store.close()
    `
    await linesOf(inAnotherProcess(write))
    await systemClock.sleep(600)
    expect(heard).toBe(1)
    stop?.()
    await linesOf(inAnotherProcess(write))
    await systemClock.sleep(600)
    expect(heard).toBe(1)
    await store.close()
  })
})

describe('a disk that takes no more', () => {
  it('is said as such, before and after, and loses nothing', async () => {
    const first = await open()
    await furnish(first, 'ours')
    await first.close()
    // The shell limits how long a file may grow, which is as good as a full disk and needs no rights.
    const writer = inAnotherProcess(
      `
        const store = await open()
        const vault = store.forTenant('ours')
        for (let n = 1; n > 0; n++) {
          await vault.recordGrants([sampleGrant('ours', { id: 'g' + n })]).then(
            () => say('saved'),
            (error) => { say(error.code); n = -1 },
          )
        }
        await store.proveWritable().catch((error) => say(error.code))
        say('still reads ' + (await vault.listGrants('kite-main')).length)
      `,
      'ulimit -f 1500;',
    )
    const lines = await linesOf(writer)
    const saved = lines.filter((line) => line === 'saved').length
    expect(saved).toBeGreaterThan(10)
    expect(lines.slice(saved)).toEqual(['vault-full', 'vault-full', `still reads ${saved}`])

    const store = await open()
    await store.proveWritable()
    expect((await store.forTenant('ours').listGrants('kite-main')).length).toBe(saved)
    await store.forTenant('ours').recordGrants([sampleGrant('ours', { id: 'after' })])
    await store.appendEvents([sampleEvent('ours', 'space again')])
    await store.close()
  })
})
