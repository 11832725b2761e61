/** `untildone/testing`: run jobs in tests with a clock of your own, and crash them where you like. */
export { TestClock } from './clock.js'
export { testEntropy } from './entropy.js'
export type { DeathPoint } from './mortal-store.js'
export { createTestRig, type TestRig, type TestRigOptions } from './rig.js'
export { until } from './until.js'
