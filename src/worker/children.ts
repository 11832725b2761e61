/**
 * job.process: a supervised child as a memoized step. Translates between jobs (which the process folder does not know)
 * and processes: verdicts, warnings, and the record of the group that a crash of ours would leave behind.
 */
import { matchText } from '../core/classify.js'
import { parseDuration } from '../core/duration.js'
import { clip } from '../core/json.js'
import type { ProcessOptions } from '../define/context.js'
import { type ProcessOutcome, type ProcessSpec, runProcess } from '../process/index.js'
import type { Attempt } from './attempt.js'

const TAIL = 4096

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
      const spawned: { pgid: number | null } = { pgid: null }
      const lines = new Lines((line) => options.onLine?.(line))
      const spec: ProcessSpec = {
        command: options.command,
        args: options.args,
        stdin: options.stdin,
        cwd: options.cwd,
        env: options.env,
        memoryMb: options.memoryMb,
        maxOutputBytes: options.maxOutputBytes,
        envelope: options.envelope ?? false,
        timeoutMs: parseDuration(options.timeout ?? '10m', 'timeout'),
        graceMs: parseDuration(options.grace ?? '5s', 'grace'),
        signal: context.signal,
        onOutput: (stream, chunk) => {
          if (stream === 'stderr') lines.push(chunk)
        },
        onSpawn: ({ pid, pgid, startTime, bootId }) => {
          spawned.pgid = pgid
          attempt.notes.log('info', `Started ${nameOf(options)} (pid ${pid})`, { step: key, pid })
          if (startTime !== null && bootId !== null)
            void attempt.store.workers
              .addProcess({ jobId: attempt.id, pgid, startTime, bootId, worker })
              .catch(() => undefined)
        },
      }
      // The group is ours for as long as runProcess has not answered.
      const calm = attempt.onForce(() => killGroup(spawned.pgid))
      const outcome = await runProcess(spec).finally(calm)
      lines.end()
      if (spawned.pgid !== null)
        void attempt.store.workers.removeProcess(attempt.id, spawned.pgid).catch(() => undefined)
      const info = infoOf(options.command, outcome)
      const stderr = outcome.stderr.toString('utf8')
      if (!outcome.ok) {
        const error = errorOf(nameOf(options), outcome, stderr, info)
        attempt.notes.log('warn', error.message, { step: key, ...info })
        throw error
      }
      for (const line of stderr.split('\n')) {
        const said = line.trim()
        const rule = said
          ? (matchText(said, options.errors, 'step') ?? matchText(said, attempt.type.handler.settings.errors, 'type'))
          : null
        if (rule?.verdict === 'harmless') attempt.notes.warn(rule.as ?? 'engine-note', said, key)
      }
      const stdout = outcome.stdout.toString('utf8')
      const value = options.parse
        ? await options.parse({ stdout, stderr, envelope: outcome.envelope })
        : ((options.envelope ? outcome.envelope : stdout) as T)
      return { value, info: { ...info, declared: { timeoutMs: spec.timeoutMs } } }
    },
    { errors: options.errors, ...('onHarmless' in options ? { onHarmless: options.onHarmless as T } : {}) },
  )
}

function killGroup(pgid: number | null): void {
  try {
    if (pgid !== null) process.kill(-pgid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}

function infoOf(command: string, outcome: ProcessOutcome): Record<string, unknown> {
  const { pid, cause, code, signal, durationMs, coresSwept } = outcome
  return {
    command,
    pid,
    cause,
    exitCode: code,
    signal,
    durationMs,
    coresSwept,
    stdoutBytes: outcome.stdout.length,
    stderrBytes: outcome.stderr.length,
  }
}

const INTERPRETER = /(^|\/)(node|bun|deno|python[\d.]*|ruby|perl)$/

/** What people call the program: the script where there is one, for every script is run by the same `node`. */
function nameOf({ command, args = [] }: Pick<ProcessOptions<unknown>, 'command' | 'args'>): string {
  const script = INTERPRETER.test(command) && args[0] && !args[0].startsWith('-') ? args[0] : command
  return script.split('/').at(-1)!
}

function errorOf(name: string, outcome: ProcessOutcome, stderr: string, info: Record<string, unknown>): ProcessError {
  const output = `${outcome.stdout.subarray(-TAIL).toString('utf8')}\n${stderr.slice(-TAIL)}`.trim()
  const last = stderr.trim().split('\n').at(-1) ?? ''
  const details = { ...info, lastLines: clip(stderr.slice(-1024).trim(), 1024) }
  const make = (code: string, what: string) =>
    new ProcessError(
      last ? `${what}: ${clip(last, 500)}` : `${what}.`,
      code,
      outcome.code,
      outcome.signal ?? (outcome.cause.startsWith('SIG') ? outcome.cause : null),
      output,
      details,
    )
  switch (outcome.kind) {
    case 'spawn-error':
      return make(
        outcome.error?.code === 'ENOENT' || outcome.error?.code === 'EACCES' ? 'process-missing' : 'process-spawn',
        `${name} could not be started (${outcome.error?.message ?? outcome.cause})`,
      )
    case 'timeout':
      return make('attempt-timeout', `${name} took longer than its limit and was stopped`)
    case 'aborted':
      return make('process-aborted', `${name} was stopped`)
    case 'output-limit':
      return make('process-output', `${name} printed more than its limit and was stopped`)
    case 'signalled':
      return make('process-signal', `${name} was ended by ${outcome.cause}`)
    case 'defunct':
      return make('process-signal', `${name} was defunct and has been given up`)
    default:
      if (outcome.cause.startsWith('SIG')) return make('process-signal', `${name} was ended by ${outcome.cause}`)
      if (outcome.code === 0)
        return make('process-envelope', `${name} ended well but its result is ${outcome.envelopeError ?? 'missing'}`)
      return make('process-exit', `${name} ended with exit code ${outcome.code}`)
  }
}

/** Cuts a byte stream into lines. */
class Lines {
  private rest = ''
  private readonly decoder = new TextDecoder()
  constructor(private readonly each: (line: string) => void) {}
  push(chunk: Uint8Array): void {
    const parts = (this.rest + this.decoder.decode(chunk, { stream: true })).split('\n')
    this.rest = clip(parts.pop()!, 65_536)
    for (const part of parts) this.each(part)
  }
  end(): void {
    if (this.rest) this.each(this.rest)
    this.rest = ''
  }
}
