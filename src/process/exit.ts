// Turns the raw end of a child into words: kind and one normalised cause.
// Pure; must never decide whether something is tried again: that belongs to the caller's classifier.
import { constants } from 'node:os'
import type { EnvelopeError, LimitKind, ProcessKind, ProcessLimits } from './spec.js'

/** Why the supervisor itself ended a run. */
export type StopReason = 'timeout' | 'aborted' | 'defunct' | LimitKind

/** How the OS ended it: `code` and `signal` as Node reports them; both null when no exit was ever reported. */
export interface RawEnd {
  code: number | null
  signal: NodeJS.Signals | null
  stop: StopReason | null
  /** Set when no exit was reported: what is known instead. */
  held: 'defunct' | 'unkillable' | 'vanished' | null
}

/** Whoever stops a child names the end: a child that exits 0 on TERM after its timeout has still timed out. */
export function kindOf(end: RawEnd): ProcessKind {
  if (end.held) return 'defunct'
  if (end.stop) return end.stop
  return end.signal ? 'signalled' : 'exited'
}

export function causeOf(end: RawEnd, envelopeError: EnvelopeError | null): string {
  if (end.held) return end.held
  if (end.stop) return end.stop
  if (end.signal) return end.signal
  if (end.code === 0 && envelopeError) return `envelope ${envelopeError}`
  return signalOfCode(end.code) ?? `exit ${end.code}`
}

/** The limit of the kernel by which a child ended that nobody stopped; null when it was none. */
export function kernelLimit(end: RawEnd, limits: ProcessLimits, cpuMs: number): LimitKind | null {
  if (end.stop || end.held) return null
  const signal = end.signal ?? signalOfCode(end.code)
  if (signal === 'SIGXFSZ' && limits.fileBytes !== undefined) return 'file-limit'
  if (limits.cpuSeconds === undefined) return null
  // Whoever catches XCPU gets a KILL two seconds later.
  const spent = signal === 'SIGKILL' && cpuMs >= limits.cpuSeconds * 1000
  return signal === 'SIGXCPU' || spent ? 'cpu-limit' : null
}

const NAMES = new Map(Object.entries(constants.signals).map(([name, n]) => [n as number, name as NodeJS.Signals]))
// Two names for one number: the map keeps the last, people know these.
NAMES.set(constants.signals.SIGABRT, 'SIGABRT')
NAMES.set(constants.signals.SIGIO, 'SIGIO')

/** Shells and other wrappers report a child killed by signal n as code 128 + n. */
export function signalOfCode(code: number | null): NodeJS.Signals | null {
  return code !== null && code > 128 && code <= 128 + 31 ? (NAMES.get(code - 128) ?? null) : null
}
