import { defineConfig } from 'vitest/config'
import { SlowFirst } from './scripts/lib/slow-first.js'

/** One project for each suite of `npm test`; `check` belongs to `npm run check`. */
const suites = {
  unit: { include: ['src/**/*.test.ts'] },
  cross: { include: ['test/**/*.test.ts'], exclude: ['test/architecture.test.ts', 'test/services/**'] },
  services: { include: ['test/services/**/*.test.ts'], globalSetup: ['./test/services/setup.ts'] },
  examples: { include: ['examples/**/*.test.ts'] },
  check: { include: ['test/architecture.test.ts'] },
}

export default defineConfig({
  test: {
    projects: Object.entries(suites).map(([name, files]) => ({ extends: true, test: { name, ...files } })),
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: SlowFirst },
  },
})
