/** `untildone/testing`: run jobs in tests with a clock of your own, and crash them where you like. */
export { TestClock } from './clock.js'
export { dryRun, type StoryExample } from './dry-run.js'
export { testEntropy } from './entropy.js'
export { type FakeOptions, fake, recordEffect } from './fake.js'
export type { DeathPoint } from './mortal-store.js'
export type { ReplayFinding, ReplayFindingKind } from './replay/findings.js'
export {
  assertReplaySafe,
  type ReplayInput,
  type ReplayOptions,
  ReplaySafetyError,
  replayFindings,
} from './replay-safe.js'
export { createTestRig, type Somebody, type TestRig, type TestRigOptions } from './rig.js'
export { until } from './until.js'
