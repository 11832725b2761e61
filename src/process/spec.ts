// What a caller may ask of one child process and what it gets back, with every default in one place.
// Only shapes, defaults and the check of a spec live here; this file must never start or signal a process.

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
  /** Added to the allow-list PATH, HOME, LANG, LC_*, TZ, TMPDIR; nothing else of the parent's env is passed. */
  env?: Record<string, string>
  /** Milliseconds until the whole group is stopped; exit 0 after that is still a timeout. @default 600_000 */
  timeoutMs?: number
  /** Milliseconds between TERM and KILL. @default 5_000 */
  graceMs?: number
  /** Milliseconds the output pipes are still read after `exit` when somebody else holds them. @default 2_000 */
  drainMs?: number
  /** Bytes kept of each stream (stdout, stderr, envelope); one byte more stops the child. @default 16_777_216 */
  maxOutputBytes?: number
  /** The child reports its result on fd 3 (see `writeEnvelope`); without a complete one it is not ok. @default false */
  envelope?: boolean
  /** Hard limit of the child's address space in MiB, through prlimit. Not enforced where `protections()` says
   * `memoryLimit: false`. Address space is not resident memory: Node, Java and Go reserve gigabytes of it. */
  memoryMb?: number
  /** Abort: TERM, grace, KILL of the group. With `reason.force === true`: KILL at once. */
  signal?: AbortSignal
  /** Called right after the start and before stdin is handed over, so that the owner can record the group for
   * `killStrays`. Throwing (or a rejected promise) kills the child: unrecorded work must not run. */
  onSpawn?: (process: SpawnedProcess) => void
  /** Called with each kept piece of output. Throwing (or a rejected promise) kills the child. */
  onOutput?: (stream: 'stdout' | 'stderr', chunk: Buffer) => void
  /** Milliseconds between two looks at the child in procfs, 10 or more. @default 500 */
  pollMs?: number
  /** Least age in milliseconds of a core file in `cwd` to be removed. @default 60_000 while it runs, 0 after its end */
  sweepCores?: { maxAgeMs?: number }
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

/**
 * How a child ended. `exited` and `signalled` are its own end; `timeout`, `aborted` and `output-limit` are ours, whatever
 * it did next; `defunct` means that the OS still holds it (zombie, unkillable) or that its exit was never reported;
 * `spawn-error` means that it never ran.
 */
export type ProcessKind = 'exited' | 'signalled' | 'timeout' | 'aborted' | 'spawn-error' | 'output-limit' | 'defunct'

/** The end of one child, said only after it is really gone (or `defunct`). */
export interface ProcessOutcome {
  kind: ProcessKind
  /** Exited by itself with code 0 and, if asked for, with a complete envelope. */
  ok: boolean
  code: number | null
  signal: NodeJS.Signals | null
  /** One normalised word or two: `exit 3`, `SIGSEGV` (also for code 139 of a wrapper), `timeout`, `aborted`,
   * `output-limit`, `defunct`, `unkillable`, `vanished`, `envelope truncated`, `spawn ENOENT`. */
  cause: string
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
  coresSwept: number
  coreBytesSwept: number
  /** Spawn errors (`ENOENT`, `EACCES`, `E2BIG`, `NUL`, …); `callback-failed` when onSpawn or onOutput threw;
   * `cleanup-failed` when the private directory could not be removed (does not change `ok`). */
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
  envelope: boolean
  pollMs: number
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
  for (const name of ['onSpawn', 'onOutput'] as const) {
    if (spec[name] !== undefined && typeof spec[name] !== 'function') fail(`${name} must be a function`)
  }
  if (spec.memoryMb !== undefined) atLeast('memoryMb', spec.memoryMb, 1, 2 ** 40)
  if (spec.sweepCores?.maxAgeMs !== undefined) atLeast('sweepCores.maxAgeMs', spec.sweepCores.maxAgeMs, 0, Infinity)
  return {
    ...spec,
    args,
    env: readEnv(spec.env ?? {}),
    timeoutMs: atLeast('timeoutMs', spec.timeoutMs ?? 600_000, 1, MAX_TIMER_MS),
    graceMs: atLeast('graceMs', spec.graceMs ?? 5_000, 0, MAX_TIMER_MS),
    drainMs: atLeast('drainMs', spec.drainMs ?? 2_000, 0, MAX_TIMER_MS),
    maxOutputBytes: atLeast('maxOutputBytes', spec.maxOutputBytes ?? 16 * 1024 * 1024, 0, Number.MAX_SAFE_INTEGER),
    envelope: spec.envelope ?? false,
    pollMs: atLeast('pollMs', spec.pollMs ?? 500, 10, MAX_TIMER_MS),
  }
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
