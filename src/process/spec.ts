// What a caller may ask of one child process and what it gets back, with every default in one place.
// Only shapes, defaults and the check of a spec live here; this file must never start or signal a process.
import { isAbsolute } from 'node:path'
import type { Duplex } from 'node:stream'
import { DISK_FLOOR_BYTES } from './disk.js'

/** What to run, how it is fed, and its limits. */
export interface ProcessSpec {
  /** Executable, never a shell line. A bare name is looked up on the child's PATH; a name with a slash is relative to
   * `cwd` if one is given, otherwise to the parent's. */
  command: string
  /** Arguments, handed over as they are. @default [] */
  args?: readonly string[]
  /** Handed on stdin and closed behind it; `{ path }` hands an opened file or device. @default '' (closed at once) */
  stdin?: string | Uint8Array | { path: string }
  /** Existing directory to run in. @default a fresh private directory (mode 0700), removed afterwards */
  cwd?: string
  /** Files to be there before the start, as `input/<name>` of the private directory (`$UNTILDONE_WORK/input/<name>`). A
   * path is copied. @default none */
  inputs?: Record<string, string | Uint8Array | { path: string }>
  /** Files to be taken out after a good end: `from` below the directory it ran in, `to` an absolute path that is written
   * whole or not at all. Links are not followed; a missing one makes the run not ok. @default none */
  collect?: readonly { from: string; to: string }[]
  /** Added to the allow-list PATH, HOME, LANG, LC_*, TZ; nothing else of the parent's env is passed. `TMPDIR` is inside the
   * private directory, or the parent's where `cwd` is given. */
  env?: Record<string, string>
  /** Milliseconds until the whole group is stopped; exit 0 after that is still a timeout. @default 600_000 */
  timeoutMs?: number
  /** Milliseconds between TERM and KILL. @default 5_000 */
  graceMs?: number
  /** Milliseconds the output pipes are still read after `exit` when somebody else holds them. @default 2_000 */
  drainMs?: number
  /** Bytes kept of each stream (stdout, stderr, envelope); one byte more stops the child. @default 16_777_216 */
  maxOutputBytes?: number
  /** What is kept of output beyond the limit: its beginning, and more stops the child; or its end, and it may go on for
   * ever. @default 'start' */
  keep?: 'start' | 'end'
  /** Called with a stream of both directions that the child has as fd 3; not together with `envelope: true`.
   * @default fd 3 is closed */
  onChannel?: (channel: Duplex) => void
  /** The child reports its result (see `writeEnvelope`) on fd 3, or with `'file'` as a file that it renames to
   * `$UNTILDONE_RESULT`; without a complete one it is not ok. @default false */
  envelope?: boolean | 'file'
  /** Hard limit of the child's address space in MiB, through prlimit. Not enforced where `protections()` says
   * `memoryLimit: false`. Address space is not resident memory: Node, Java and Go reserve gigabytes of it. */
  memoryMb?: number
  /** What else the child and all its descendants may take. @default no such limits */
  limits?: ProcessLimits
  /** A pid namespace of its own, from which no daemon escapes, where `protections()` says `pidNamespace`. The program is
   * process 1 in it: TERM ends it only if it handles TERM, otherwise it ends by KILL after the grace. @default false */
  strong?: boolean
  /** Bytes that must be free on the disk of its directory; with less nothing is started (`disk-low`). 0 turns it off.
   * @default 104_857_600 */
  minFreeBytes?: number
  /** Taken out of `tail`, `argv` and `error`, in plain and in usual encodings. Values of `env` whose names say that they are
   * secret are among them. @default [] */
  secrets?: readonly string[]
  /** Abort: TERM, grace, KILL of the group. With `reason.force === true`: KILL at once. */
  signal?: AbortSignal
  /** Called right after the start and before stdin is handed over, so that the owner can record the group for
   * `killStrays`. Throwing (or a rejected promise) kills the child: unrecorded work must not run. `beat` says that the
   * child makes progress, for `limits.stallMs`. */
  onSpawn?: (process: SpawnedProcess, control: { beat(): void }) => void
  /** Called with each kept piece of output. Throwing (or a rejected promise) kills the child. */
  onOutput?: (stream: 'stdout' | 'stderr', chunk: Buffer) => void
  /** Milliseconds between two looks at the child in procfs, 10 or more. @default 500 */
  pollMs?: number
  /** Least age in milliseconds of a core file in `cwd` to be removed. @default 60_000 while it runs, 0 after its end */
  sweepCores?: { maxAgeMs?: number }
}

/** Limits of one run. Those of the kernel are per process; sizes and counts of the tree are sampled every `pollMs`. */
export interface ProcessLimits {
  /** Seconds of CPU time, of each process (kernel) and of the tree (sampled): `cpu-limit`. */
  cpuSeconds?: number
  /** MiB of memory in use by the tree, shared pages counted for each: killed at once, `memory-limit`. */
  rssMb?: number
  /** Bytes of the largest file that a process may write (kernel): `file-limit`. */
  fileBytes?: number
  /** Processes at one time: killed at once, `process-limit`. */
  processes?: number
  /** Bytes that the private directory may take on disk: killed at once, `disk-limit`. */
  workBytes?: number
  /** Milliseconds without any output: `silent`. */
  silentMs?: number
  /** Milliseconds without a `beat()`: `stalled`. */
  stallMs?: number
}

/** A file taken out of the directory of a run. */
export interface Collected {
  from: string
  to: string
  bytes: number
  sha256: string
}

/** Identity of a started child; `pgid` equals `pid`. `startTime` and `bootId` are null where there is no procfs. */
export interface SpawnedProcess {
  pid: number
  startTime: string | null
  pgid: number
  bootId: string | null
}

/** Why an envelope was refused. */
export type EnvelopeError = 'missing' | 'truncated' | 'hash-mismatch' | 'nonce-mismatch' | 'malformed'

/** Limits that end a child. */
export type LimitKind =
  | 'output-limit'
  | 'memory-limit'
  | 'cpu-limit'
  | 'file-limit'
  | 'process-limit'
  | 'disk-limit'
  | 'silent'
  | 'stalled'

/**
 * How a child ended. `exited` and `signalled` are its own end; `timeout`, `aborted` and the limits are ours, whatever it
 * did next; `defunct` means that the OS still holds it (zombie, unkillable) or that its exit was never reported;
 * `spawn-error` means that it never ran.
 */
export type ProcessKind = 'exited' | 'signalled' | 'timeout' | 'aborted' | 'spawn-error' | 'defunct' | LimitKind

/** The end of one child, said only after it is really gone (or `defunct`). */
export interface ProcessOutcome {
  kind: ProcessKind
  /** Exited by itself with code 0 and, if asked for, with a complete envelope. */
  ok: boolean
  code: number | null
  signal: NodeJS.Signals | null
  /** One normalised word or two: `exit 3`, `SIGSEGV` (also for code 139 of a wrapper), `oom` (a KILL by the kernel, for
   * memory), `timeout`, `aborted`, a limit, `defunct`, `unkillable`, `vanished`, `envelope truncated`, `output missing`,
   * `spawn ENOENT`. */
  cause: string
  /** For a KILL that was not ours: whether the kernel did it for want of memory. `unknown` = it cannot be told here. */
  oom: 'yes' | 'no' | 'unknown' | null
  stdout: Buffer
  stderr: Buffer
  /** A stream had more than `maxOutputBytes`; what is kept is its beginning. */
  truncated: boolean
  envelope: unknown | undefined
  /** Null when none was asked for or it is complete. */
  envelopeError: EnvelopeError | null
  pid: number | null
  /** Epoch milliseconds. */
  startedAt: number
  /** Milliseconds from start to verdict, on a monotonic clock. */
  durationMs: number
  /** Program and arguments, secrets taken out. */
  argv: readonly string[]
  /** The last 4 KiB of stdout and stderr, secrets taken out. */
  tail: { stdout: string; stderr: string }
  /** The limits and protections that held for this run. */
  protectedBy: readonly string[]
  /** Bytes handed on stdin, and received in all, kept or not. */
  bytes: { stdin: number; stdout: number; stderr: number; envelope: number }
  /** What the tree took as far as it was sampled; null when it ended before the first look or there is no procfs. */
  peak: { rssBytes: number; cpuMs: number; processes: number; zombies: number } | null
  /** Different processes seen, the child itself included. */
  processesSeen: number
  /** Processes that had left its group and were killed after its end, and those that still run in spite of it. */
  escaped: { killed: number; running: number }
  collected: readonly Collected[]
  coresSwept: number
  coreBytesSwept: number
  /** Spawn errors (`ENOENT`, `EACCES`, `E2BIG`, `NUL`, `disk-low`, …); `output-missing`, `output-refused` and `output-write`
   * for `collect`; `callback-failed` when onSpawn or onOutput threw; `still-running` and `cleanup-failed` when processes or
   * the private directory are left (both do not change `ok`). */
  error: ProcessError | null
}

export interface ProcessError {
  code: string
  message: string
}

/** A spec with its defaults filled in. */
export interface Plan extends ProcessSpec {
  args: readonly string[]
  env: Record<string, string>
  timeoutMs: number
  graceMs: number
  drainMs: number
  maxOutputBytes: number
  envelope: boolean | 'file'
  pollMs: number
  limits: ProcessLimits
  minFreeBytes: number
  secrets: readonly string[]
  collect: readonly { from: string; to: string }[]
}

// Node fires a longer timer after 1 ms, which would turn "a month" into an instant timeout.
const MAX_TIMER_MS = 2_147_483_647

/** Checks a spec and fills in the defaults. Throws TypeError for what only a programmer can have got wrong. */
export function readSpec(spec: ProcessSpec): Plan {
  if (typeof spec !== 'object' || spec === null) fail('spec must be an object')
  if (typeof spec.command !== 'string' || spec.command === '') fail('command must be a non-empty string')
  const args = spec.args ?? []
  if (!Array.isArray(args) || args.some((arg) => typeof arg !== 'string')) fail('args must be an array of strings')
  const { stdin, cwd, signal } = spec
  const stdinOk =
    stdin === undefined ||
    typeof stdin === 'string' ||
    stdin instanceof Uint8Array ||
    (typeof stdin === 'object' && stdin !== null && typeof stdin.path === 'string' && stdin.path !== '')
  if (!stdinOk) fail('stdin must be a string, bytes or { path }')
  if (cwd !== undefined && (typeof cwd !== 'string' || cwd === '')) fail('cwd must be a non-empty string')
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') fail('signal must be an AbortSignal')
  for (const name of ['onSpawn', 'onOutput', 'onChannel'] as const) {
    if (spec[name] !== undefined && typeof spec[name] !== 'function') fail(`${name} must be a function`)
  }
  if (spec.memoryMb !== undefined) atLeast('memoryMb', spec.memoryMb, 1, 2 ** 40)
  if (spec.sweepCores?.maxAgeMs !== undefined) atLeast('sweepCores.maxAgeMs', spec.sweepCores.maxAgeMs, 0, Infinity)
  const envelope = spec.envelope ?? false
  if (typeof envelope !== 'boolean' && envelope !== 'file') fail("envelope must be true, false or 'file'")
  if (spec.onChannel && envelope === true) fail('fd 3 cannot be both channel and envelope')
  const secrets = spec.secrets ?? []
  if (!Array.isArray(secrets) || secrets.some((one) => typeof one !== 'string')) fail('secrets must be strings')
  const limits = readLimits(spec.limits ?? {})
  const polls = [spec.pollMs ?? 500, ...[limits.silentMs, limits.stallMs].map((ms) => (ms ?? Infinity) / 4)]
  return {
    ...spec,
    args,
    inputs: readInputs(spec.inputs),
    collect: readCollect(spec.collect ?? []),
    limits,
    secrets,
    minFreeBytes: atLeast('minFreeBytes', spec.minFreeBytes ?? DISK_FLOOR_BYTES, 0, Number.MAX_SAFE_INTEGER),
    env: readEnv(spec.env ?? {}),
    timeoutMs: atLeast('timeoutMs', spec.timeoutMs ?? 600_000, 1, MAX_TIMER_MS),
    graceMs: atLeast('graceMs', spec.graceMs ?? 5_000, 0, MAX_TIMER_MS),
    drainMs: atLeast('drainMs', spec.drainMs ?? 2_000, 0, MAX_TIMER_MS),
    maxOutputBytes: atLeast('maxOutputBytes', spec.maxOutputBytes ?? 16 * 1024 * 1024, 0, Number.MAX_SAFE_INTEGER),
    envelope,
    pollMs: atLeast('pollMs', spec.pollMs ?? 500, 10, MAX_TIMER_MS) && Math.max(10, Math.min(...polls)),
  }
}

function readLimits(limits: ProcessLimits): ProcessLimits {
  if (typeof limits !== 'object' || limits === null) fail('limits must be an object')
  for (const [name, value] of Object.entries(limits)) {
    const least = LEAST[name as keyof ProcessLimits]
    if (least === undefined) fail(`limits has no '${name}'; it has ${Object.keys(LEAST).join(', ')}`)
    if (value !== undefined) atLeast(`limits.${name}`, value, least, Number.MAX_SAFE_INTEGER)
  }
  return limits
}

const LEAST: Record<keyof ProcessLimits, number> = {
  cpuSeconds: 0.01,
  rssMb: 1,
  fileBytes: 0,
  processes: 1,
  workBytes: 0,
  silentMs: 10,
  stallMs: 10,
}

function readInputs(inputs: ProcessSpec['inputs']): ProcessSpec['inputs'] {
  if (inputs === undefined) return undefined
  if (typeof inputs !== 'object' || inputs === null) fail('inputs must be an object')
  for (const [name, source] of Object.entries(inputs)) {
    if (name === '.' || name === '..' || !/^[^/\0]{1,255}$/.test(name)) fail(`inputs has no plain file name: '${name}'`)
    const fits = typeof source === 'string' || source instanceof Uint8Array || typeof source?.path === 'string'
    if (!fits) fail(`inputs.${name} must be text, bytes or { path }`)
  }
  return inputs
}

function readCollect(collect: Plan['collect']): Plan['collect'] {
  if (!Array.isArray(collect)) fail('collect must be an array')
  for (const one of collect) {
    if (typeof one?.from !== 'string' || typeof one.to !== 'string') fail('collect takes { from, to }')
    if (isAbsolute(one.from) || !isAbsolute(one.to)) fail('collect needs a relative `from` and an absolute `to`')
    if (`${one.from}${one.to}`.includes('\0')) fail('collect contains NUL')
  }
  return collect
}

function readEnv(env: Record<string, string>): Record<string, string> {
  if (typeof env !== 'object' || env === null) fail('env must be an object')
  for (const [key, value] of Object.entries(env)) {
    if (key === '' || key.includes('=')) fail(`env has an impossible name: '${key}'`)
    if (typeof value !== 'string') fail(`env.${key} must be a string`)
  }
  return env
}

function atLeast(name: string, value: number, least: number, most: number): number {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    fail(`${name} must be a number from ${least} to ${most}`)
  }
  return value
}

function fail(message: string): never {
  throw new TypeError(`runProcess: ${message}`)
}
