import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/*.proof.test.ts'],
    reporters: ['./scripts/count-reporter.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Files in one worker share their modules: several times faster. Nothing here keeps state in a module,
    // and what a test replaces is put back below.
    isolate: false,
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
})
