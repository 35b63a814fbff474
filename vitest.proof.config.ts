import { defineConfig } from 'vitest/config'

// The long proofs: crash regimes, thousands of schedules, many processes. One file at a time, so that a
// measurement has the machine to itself.
export default defineConfig({
  test: {
    include: ['src/**/*.proof.test.ts', 'test/**/*.proof.test.ts'],
    reporters: ['./scripts/count-reporter.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 10 * 60_000,
    hookTimeout: 2 * 60_000,
  },
})
