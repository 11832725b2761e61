import { defineConfig } from 'vitest/config'
import { SlowFirst } from './scripts/lib/slow-first.js'

/** What these test is a whole process, or they change what is global in one: each file has a process of its own. */
const ALONE = ['src/cli/**/*.test.ts', 'src/process/**/*.test.ts', 'src/testing/**/*.test.ts', 'src/*.test.ts']

/** The projects of each suite of `npm test`, which begin with its name; `check` belongs to `npm run check`. */
const projects = {
  'unit-alone': { include: ALONE },
  // One process for many files: to load what they test takes longer than most of their tests.
  unit: { include: ['src/**/*.test.ts'], exclude: ALONE, isolate: false },
  cross: { include: ['test/**/*.test.ts'], exclude: ['test/architecture.test.ts', 'test/services/**'] },
  services: { include: ['test/services/**/*.test.ts'], globalSetup: ['./test/services/setup.ts'] },
  examples: { include: ['examples/**/*.test.ts'] },
  check: { include: ['test/architecture.test.ts'] },
}

export default defineConfig({
  test: {
    projects: Object.entries(projects).map(([name, files]) => ({ extends: true, test: { name, ...files } })),
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
    maxWorkers: 2,
    // What is built is loaded as it is, as users have it: to transform it again for each file took two seconds of each.
    server: { deps: { external: [/\/dist\/.*\.js$/] } },
    sequence: { sequencer: SlowFirst },
  },
})
