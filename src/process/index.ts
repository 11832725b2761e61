// The door of this folder: supervision of child processes for whoever runs native engines.
// Knows processes, not jobs; imports nothing of the project from outside this folder.
export { writeEnvelope } from './child.js'
export { type Protections, protections } from './limits.js'
export { type ProcessIdentity, processIdentity } from './procfs.js'
export { encodeEnvelope, type ParsedEnvelope, parseEnvelope } from './protocol.js'
export { killStrays, type StrayRecord } from './reap.js'
export { runProcess } from './spawn.js'
export type {
  EnvelopeError,
  ProcessError,
  ProcessKind,
  ProcessOutcome,
  ProcessSpec,
  SpawnedProcess,
} from './spec.js'
export { type SweepOptions, sweepCores } from './sweep.js'
