import { fileURLToPath } from 'node:url'

// What the awful engine does, the limits under which it is run, and what must be said of it. Shared by the catalogue (each
// once, in vitest) and by the random runs.

const MiB = 1024 * 1024

/** `ok` and `cause` of the outcome; `spec` is added to the common one. */
export const CASES = {
  fine: { ok: true, cause: 'exit 0' },
  exit: { cause: 'exit 3' },
  crash: { cause: 'SIGSEGV' },
  abort: { cause: 'SIGABRT' },
  kill: { cause: 'SIGKILL' },
  hang: { cause: 'timeout', spec: { timeoutMs: 700 } },
  'ignore-term': { cause: 'timeout', spec: { timeoutMs: 900 } },
  'exit-0-on-term': { cause: 'timeout', spec: { timeoutMs: 900, graceMs: 5_000 } },
  silent: { cause: 'silent', spec: { limits: { silentMs: 1_500 } } },
  stalled: { run: 'hang', cause: 'stalled', spec: { limits: { stallMs: 700 } } },
  daemon: { ok: true, cause: 'exit 0', escaped: 1 },
  'bare-daemon': { ok: true, cause: 'exit 0', escaped: 1 },
  'hold-pipe': { ok: true, cause: 'exit 0' },
  zombies: { ok: true, cause: 'exit 0', zombies: true },
  flood: { cause: 'output-limit', spec: { maxOutputBytes: 100_000 } },
  cores: { cause: 'SIGSEGV', cores: 3 },
  half: { cause: 'envelope truncated' },
  nothing: { cause: 'envelope missing' },
  fill: { cause: 'disk-limit', spec: { limits: { workBytes: 8 * MiB } } },
  'big-file': { cause: ['file-limit', 'exit 1'], spec: { limits: { fileBytes: 4 * MiB } } },
  swarm: { cause: 'process-limit', spec: { limits: { processes: 20 } } },
  eat: { cause: 'memory-limit', spec: { limits: { rssMb: 200 } } },
  spin: { cause: 'cpu-limit', spec: { limits: { cpuSeconds: 1 } } },
}

const COMMON = { envelope: true, timeoutMs: 60_000, graceMs: 200, drainMs: 200, pollMs: 50 }
const engine = fileURLToPath(new URL('./awful.mjs', import.meta.url))

export function specOf(name) {
  const { run = name, spec = {} } = CASES[name]
  return { command: process.execPath, args: [engine, run], ...COMMON, ...spec }
}

/** What is wrong with an outcome, in words; empty when it is what the case demands. */
export function faultsOf(name, outcome) {
  const { ok = false, cause, escaped = 0, cores = 0, zombies = false } = CASES[name]
  const faults = []
  if (![cause].flat().includes(outcome.cause)) faults.push(`cause is "${outcome.cause}", not "${cause}"`)
  if (outcome.ok !== ok) faults.push(`ok is ${outcome.ok}`)
  if (outcome.error !== null) faults.push(`error ${outcome.error.code}: ${outcome.error.message}`)
  if (outcome.escaped.killed !== escaped) faults.push(`${outcome.escaped.killed} escaped were killed, not ${escaped}`)
  if (outcome.escaped.running > 0) faults.push(`${outcome.escaped.running} still run`)
  if (outcome.coresSwept !== cores) faults.push(`${outcome.coresSwept} cores were swept, not ${cores}`)
  if (zombies && !(outcome.peak?.zombies > 0)) faults.push('no zombie was seen')
  return faults
}
