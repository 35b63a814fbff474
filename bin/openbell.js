#!/usr/bin/env node
// The installed command's first file. It has no dependencies and keeps to Node 18 syntax, so that an old Node
// reads one clear sentence here instead of dying on a syntax error further in.
import { existsSync } from 'node:fs'

const [major, minor] = process.versions.node.split('.').map(Number)

if (major < 24 || (major === 24 && minor < 15)) {
  process.stderr.write(
    `Openbell needs Node.js 24.15 or newer and this is ${process.versions.node}: ` +
      'install Node.js 24 (or, in a checkout, use `npm run openbell -- <command>`, which fetches it).\n',
  )
  process.exitCode = 1
} else {
  const built = new URL('../dist/cli/main.js', import.meta.url)
  const source = new URL('../src/cli/main.ts', import.meta.url)
  await import((existsSync(built) ? built : source).href)
}
