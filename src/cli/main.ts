/** The process: opens the terminal and the house, runs the command, ends with its code. */

import { readFileSync } from 'node:fs'
import type { House, Settings } from '../compose/house.ts'
import { commands } from './commands.ts'
import { runProgram } from './program.ts'
import { openTerminal } from './terminal.ts'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
const io = openTerminal()

process.exitCode = await runProgram({
  commands,
  version: manifest.version,
  argv: process.argv.slice(2),
  open({ json }) {
    let reading: Promise<Settings> | undefined
    let opening: Promise<House> | undefined
    const settings = () => {
      reading ??= import('../compose/compose.ts').then(({ readSettings }) => readSettings())
      return reading
    }
    return {
      json,
      io,
      settings,
      house() {
        opening ??= Promise.all([import('../compose/compose.ts'), settings()]).then(([{ openHouse }, read]) =>
          openHouse(read),
        )
        return opening
      },
      async close() {
        // A house that never opened has said so already.
        const house = await opening?.catch(() => undefined)
        await house?.close()
      },
    }
  },
})
