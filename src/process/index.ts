// The door of this folder: supervision of child processes for whoever runs native engines.
// Knows processes, not jobs; imports nothing of the project from outside this folder.
export { writeEnvelope } from './child.js'
export { type Disk, diskOf } from './disk.js'
export { type ProcessIdentity, processIdentity } from './procfs.js'
export { type Protections, protections } from './protections.js'
export { encodeEnvelope, type ParsedEnvelope, parseEnvelope } from './protocol.js'
export { killAbandoned, killStrays, type StrayRecord } from './reap.js'
export { type Scrubber, scrubberOf, secretsOf } from './scrub.js'
export { runProcess } from './spawn.js'
export type {
  Collected,
  EnvelopeError,
  LimitKind,
  ProcessError,
  ProcessKind,
  ProcessLimits,
  ProcessOutcome,
  ProcessSpec,
  SpawnedProcess,
} from './spec.js'
export { type FileSweep, type SweepOptions, sweepCores, sweepFiles } from './sweep.js'
export { type ProcessTotals, processTotals } from './totals.js'
export { type Swept, sweepWorkDirs, workRoot } from './work.js'
