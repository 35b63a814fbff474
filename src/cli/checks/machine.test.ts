import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { checkNode, checkReboot } from './machine.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openbell-doctor-'))
})

afterEach(() => rm(folder, { recursive: true }))

it.each([
  ['24.15.0', 'ok'],
  ['24.14.9', 'fail'],
  ['22.30.0', 'fail'],
  ['25.0.0', 'ok'],
])('Node.js %s: %s', (version, result) => {
  expect(checkNode(version).result).toBe(result)
})

it('says honestly what it looked for, and that lingering is off', async () => {
  const at = (name: string) => join(folder, name)
  const places = { atBoot: [at('boot.service')], atLogin: [at('user.service')], linger: at('linger') }
  const none = await checkReboot(places)
  expect(none.result).toBe('warn')
  expect(none.message).toContain(`${at('boot.service')}, ${at('user.service')}`)
  await writeFile(at('user.service'), '')
  expect(await checkReboot(places)).toMatchObject({ result: 'warn', mend: 'loginctl enable-linger' })
  await writeFile(at('linger'), '')
  expect(await checkReboot(places)).toMatchObject({ result: 'ok' })
  await rm(at('linger'))
  await writeFile(at('boot.service'), '')
  expect(await checkReboot(places)).toMatchObject({ result: 'ok' })
})
