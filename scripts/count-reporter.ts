import type { SerializedError } from 'vitest'
import { DefaultReporter, type TestModule, type TestRunEndReason } from 'vitest/node'

/**
 * Vitest's own output, and then one last line: `12 passed, 0 failed`, with `, 3 skipped` where some were.
 *
 * A file that does not load, a hook that throws and an error nobody caught each count as one failure. A run in
 * which no test ran is a failed run, whatever the reason.
 */
export default class CountReporter extends DefaultReporter {
  #counted = { passed: 0, failed: 0, skipped: 0 }

  constructor() {
    super()
    // On exit, so that nothing Vitest still has to say comes after it.
    process.once('exit', () => {
      const { passed, failed, skipped } = this.#counted
      if (passed + failed === 0 && !process.exitCode) process.exitCode = 1
      process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`)
    })
  }

  override onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    super.onTestRunEnd(modules, unhandled, reason)
    this.#counted = count(modules, unhandled)
  }
}

function count(modules: readonly TestModule[], unhandled: readonly SerializedError[]) {
  const counted = { passed: 0, failed: unhandled.length, skipped: 0 }
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      counted[state === 'pending' ? 'skipped' : state] += 1
    }
    for (const each of [module, ...module.children.allSuites()]) counted.failed += each.errors().length
  }
  return counted
}
