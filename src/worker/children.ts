/**
 * job.process: a supervised child as a memoized step. Translates between jobs (which the process folder does not know)
 * and processes: verdicts, warnings, and the record of the group that a crash of ours would leave behind.
 */
import { parseDuration } from '../core/duration.js'
import { clip } from '../core/json.js'
import type { ChildLimits, ProcessOptions } from '../define/context.js'
import { type ProcessOutcome, type ProcessSpec, runProcess, scrubberOf, secretsOf } from '../process/index.js'
import type { Attempt } from './attempt.js'
import { writeGroup } from './groups.js'

/** Room seldom comes back within the first pause of a backoff. */
const DISK_RETRY_MS = 30_000

/** A child that did not do its work; rules of the error table see `exitCode`, `signal` and `output`. */
export class ProcessError extends Error {
  override readonly name = 'ProcessError'
  constructor(
    message: string,
    readonly code: string,
    readonly exitCode: number | null,
    readonly signal: string | null,
    readonly output: string,
    readonly details: Record<string, unknown>,
    /** Not to be tried sooner. */
    readonly retryAfterMs = 0,
  ) {
    super(message)
  }
}

export async function runChild<T>(
  attempt: Attempt,
  worker: string,
  name: string,
  options: ProcessOptions<T>,
): Promise<T> {
  return attempt.steps.memoized(
    'process',
    name,
    async (context, key) => {
      const spawned: { pgid: number | null; group?: ReturnType<typeof writeGroup> } = { pgid: null }
      const { scrub } = scrubberOf([...(options.secrets ?? []), ...secretsOf(options.env ?? {})])
      let beat: () => void = () => undefined
      const lines = new Lines((line) => {
        const moved = options.onLine?.(line)
        if (moved === true) beat()
        // Of an isolated handler the answer takes a moment.
        else if (moved instanceof Promise) return moved.then((answer) => answer === true && beat())
      })
      const spec: ProcessSpec = {
        command: options.command,
        args: options.args,
        stdin: options.stdin,
        cwd: options.cwd,
        inputs: options.inputs,
        collect: options.collect,
        env: options.env,
        memoryMb: options.memoryMb,
        limits: limitsOf(options.limits ?? {}),
        strong: options.strong,
        secrets: options.secrets,
        maxOutputBytes: options.maxOutputBytes,
        envelope: options.envelope ?? false,
        timeoutMs: parseDuration(options.timeout ?? '10m', 'timeout'),
        graceMs: parseDuration(options.grace ?? '5s', 'grace'),
        signal: context.signal,
        onOutput: (stream, chunk) => {
          return stream === 'stderr' ? lines.push(chunk) : undefined
        },
        onSpawn: ({ pid, pgid, startTime, bootId }, control) => {
          spawned.pgid = pgid
          beat = control.beat
          attempt.notes.log('info', `Started ${nameOf(options)} (pid ${pid})`, { step: key, pid })
          if (startTime !== null && bootId !== null)
            spawned.group = writeGroup(attempt.store.workers, attempt.clock, {
              ...{ jobId: attempt.id, pgid, startTime, bootId, worker },
            })
        },
      }
      // The group is ours for as long as runProcess has not answered.
      const calm = attempt.onForce(() => killGroup(spawned.pgid))
      const running = runProcess(spec).finally(calm)
      const processes = (attempt.processes ??= new Set())
      processes.add(running)
      const outcome = await running.finally(() => processes.delete(running))
      lines.end()
      spawned.group?.ended()
      const info = { ...engineOf(options), ...infoOf(outcome) }
      if (!outcome.ok) {
        const error = errorOf(nameOf(options), outcome, info)
        attempt.notes.log('warn', error.message, { step: key, ...info })
        throw error
      }
      const stderr = outcome.stderr.toString('utf8')
      for (const line of stderr.split('\n')) {
        const said = scrub(line.trim())
        const found = said ? attempt.errors.noteOf({ text: said, ...factsOf(options) }, options.errors) : null
        if (found?.verdict === 'harmless')
          attempt.notes.warn(found.as ?? 'engine-note', said, key, found.by === 'taught' ? found.rule : null)
      }
      const stdout = outcome.stdout.toString('utf8')
      const value = options.parse
        ? await options.parse({ stdout, stderr, envelope: outcome.envelope })
        : ((options.envelope ? outcome.envelope : stdout) as T)
      return { value, info: { ...info, declared: { timeoutMs: spec.timeoutMs, ...options.limits } } }
    },
    { errors: options.errors, ...('onHarmless' in options ? { onHarmless: options.onHarmless as T } : {}) },
  )
}

export function killGroup(pgid: number | null): void {
  try {
    if (pgid !== null) process.kill(-pgid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}

export function limitsOf({ silent, stall, ...limits }: ChildLimits): NonNullable<ProcessSpec['limits']> {
  return {
    ...limits,
    ...(silent === undefined ? {} : { silentMs: parseDuration(silent, 'limits.silent') }),
    ...(stall === undefined ? {} : { stallMs: parseDuration(stall, 'limits.stall') }),
  }
}

/** By the names under which rules find them in the details of any error. */
function engineOf({ engine }: Pick<ProcessOptions<unknown>, 'engine'>): Record<string, string> {
  if (!engine) return {}
  return { engine: engine.name, ...(engine.version === undefined ? {} : { engineVersion: engine.version }) }
}

function factsOf({ engine }: Pick<ProcessOptions<unknown>, 'engine'>) {
  return { engine: engine?.name ?? null, engineVersion: engine?.version ?? null }
}

/** What is recorded of every run, good or bad; secrets are out of it already. */
export function infoOf(outcome: ProcessOutcome): Record<string, unknown> {
  const { pid, kind, cause, code, signal, oom, durationMs, bytes, peak, escaped } = outcome
  return {
    command: outcome.argv[0],
    args: clip(outcome.argv.slice(1).join(' '), 512),
    pid,
    kind,
    cause,
    exitCode: code,
    signal,
    ...(oom === null ? {} : { oom }),
    durationMs,
    ...(peak ? { peakRssBytes: peak.rssBytes, cpuMs: peak.cpuMs, zombies: peak.zombies } : {}),
    processes: outcome.processesSeen,
    protectedBy: outcome.protectedBy,
    stdinBytes: bytes.stdin,
    stdoutBytes: bytes.stdout,
    stderrBytes: bytes.stderr,
    ...(bytes.envelope > 0 ? { envelopeBytes: bytes.envelope } : {}),
    ...(outcome.collected.length > 0 ? { collected: outcome.collected } : {}),
    ...(escaped.killed > 0 ? { escapedKilled: escaped.killed } : {}),
    ...(escaped.running > 0 ? { stillRunning: escaped.running } : {}),
    coresSwept: outcome.coresSwept,
    ...(outcome.coresSwept > 0 ? { coreBytesSwept: outcome.coreBytesSwept } : {}),
    // A good run says here what was left over: processes or its directory.
    ...(outcome.ok && outcome.error ? { left: outcome.error.code } : {}),
  }
}

const INTERPRETER = /(^|\/)(node|bun|deno|python[\d.]*|ruby|perl)$/

/** What people call the program: the script where there is one, for every script is run by the same `node`. */
function nameOf({ command, args = [] }: Pick<ProcessOptions<unknown>, 'command' | 'args'>): string {
  const script = INTERPRETER.test(command) && args[0] && !args[0].startsWith('-') ? args[0] : command
  return script.split('/').at(-1)!
}

/** What the supervisor ended it for: code, and what people read. */
const STOPPED: Partial<Record<ProcessOutcome['kind'], readonly [code: string, what: string]>> = {
  timeout: ['attempt-timeout', 'took longer than its limit and was stopped'],
  aborted: ['process-aborted', 'was stopped'],
  'output-limit': ['process-output', 'printed more than its limit and was stopped'],
  'memory-limit': ['process-memory', 'took more memory than its limit and was stopped'],
  'cpu-limit': ['process-cpu', 'took more CPU time than its limit and was stopped'],
  'file-limit': ['process-file-size', 'wrote a larger file than its limit and was stopped'],
  'process-limit': ['process-count', 'started more processes than its limit and was stopped'],
  'disk-limit': ['process-disk', 'filled its directory beyond its limit and was stopped'],
  silent: ['process-silent', 'printed nothing for longer than its limit and was stopped'],
  stalled: ['process-stalled', 'made no progress for longer than its limit and was stopped'],
  defunct: ['process-signal', 'was defunct and has been given up'],
}
/** No system takes them: a NUL, or more than fits into an exec. */
const BAD_ARGUMENTS = new Set(['NUL', 'E2BIG'])
const NOT_THERE = new Set(['ENOENT', 'EACCES', 'ENOEXEC'])

export function errorOf(name: string, outcome: ProcessOutcome, info: Record<string, unknown>): ProcessError {
  const { tail, cause, error } = outcome
  const last = tail.stderr.trim().split('\n').at(-1) ?? ''
  const details = { ...info, lastLines: clip(tail.stderr.slice(-1024).trim(), 1024) }
  const make = (code: string, what: string) =>
    new ProcessError(
      last ? `${name} ${what}: ${clip(last, 500)}` : `${name} ${what}.`,
      code,
      outcome.code,
      outcome.signal ?? (cause.startsWith('SIG') ? cause : null),
      `${tail.stdout}\n${tail.stderr}`.trim(),
      details,
      code === 'disk-low' ? DISK_RETRY_MS : 0,
    )
  const stopped = STOPPED[outcome.kind]
  if (stopped) return make(...stopped)
  if (outcome.kind === 'spawn-error') {
    const why = error?.code ?? ''
    if (why === 'disk-low') return make('disk-low', `was not started, the disk is nearly full (${error!.message})`)
    const code = BAD_ARGUMENTS.has(why) ? 'process-arguments' : NOT_THERE.has(why) ? 'process-missing' : 'process-spawn'
    return make(code, `could not be started (${error?.message ?? cause})`)
  }
  if (cause === 'oom') return make('process-memory', 'was killed by the system for want of memory')
  if (outcome.kind === 'signalled' || cause.startsWith('SIG')) return make('process-signal', `was ended by ${cause}`)
  if (outcome.code !== 0) return make('process-exit', `ended with exit code ${outcome.code}`)
  if (cause.startsWith('output ')) return make('process-result', `ended well but ${error!.message}`)
  return make('process-envelope', `ended well but its result is ${outcome.envelopeError ?? 'missing'}`)
}

/** Cuts a byte stream into lines. */
class Lines {
  private rest = ''
  private readonly decoder = new TextDecoder()
  constructor(private readonly each: (line: string) => unknown) {}
  push(chunk: Uint8Array): unknown {
    const parts = (this.rest + this.decoder.decode(chunk, { stream: true })).split('\n')
    this.rest = clip(parts.pop()!, 65_536)
    const later = parts.map((part) => this.each(part)).filter((one) => one instanceof Promise)
    return later.length > 0 ? Promise.all(later) : undefined
  }
  end(): void {
    if (this.rest) this.each(this.rest)
    this.rest = ''
  }
}
