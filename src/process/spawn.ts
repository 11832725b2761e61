// Runs one child process from spec to outcome: prepare, start in its own group, supervise, clean up, judge.
// Must never use a shell, never hand on the parent's env, and never reject for what a child or the machine does.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { causeOf, kindOf } from './exit.js'
import { findTools, wrap } from './limits.js'
import { bootId } from './procfs.js'
import { NONCE_ENV, type ParsedEnvelope, parseEnvelope } from './protocol.js'
import { checkDirectory, childEnv, findExecutable, openStdin, Refusal, refuseNul } from './resolve.js'
import { type Plan, type ProcessOutcome, type ProcessSpec, readSpec } from './spec.js'
import { type Ending, Supervision } from './supervise.js'
import { createWorkDir, removeWorkDir, sweepCores } from './sweep.js'

// A core file younger than this may still be being written by a crashing child.
const CORE_AGE_MS = 60_000

/**
 * Runs a child to its end and says how it ended, after it and what was left of its process group are really gone.
 * Resolves for whatever the child does and for a failed start (`kind: 'spawn-error'`); rejects with TypeError for a spec
 * that only a programmer can have got wrong.
 */
export async function runProcess(spec: ProcessSpec): Promise<ProcessOutcome> {
  return new Run(readSpec(spec)).outcome()
}

class Run {
  readonly #startedAt = Date.now()
  readonly #start = performance.now()
  readonly #nonce = randomBytes(16).toString('hex')
  readonly #plan: Plan
  #workDir: string | null = null
  #stdinFile: FileHandle | null = null
  #pid: number | null = null
  #cores = { files: 0, bytes: 0 }
  #sweeping: Promise<void> | null = null

  constructor(plan: Plan) {
    this.#plan = plan
  }

  async outcome(): Promise<ProcessOutcome> {
    let outcome: ProcessOutcome
    try {
      const ending = await this.#run()
      await this.#sweeping
      if (ending) await this.#sweep(this.#plan.sweepCores?.maxAgeMs ?? 0)
      outcome = this.#judge(ending)
    } catch (error) {
      outcome = this.#refused(error as NodeJS.ErrnoException)
    }
    const cleanupError = await this.#cleanUp()
    if (cleanupError) outcome.error ??= { code: 'cleanup-failed', message: cleanupError.message }
    return { ...outcome, coresSwept: this.#cores.files, coreBytesSwept: this.#cores.bytes, durationMs: this.#elapsed() }
  }

  async #run(): Promise<Ending | null> {
    const plan = this.#plan
    refuseNul(plan)
    if (plan.cwd !== undefined) await checkDirectory(plan.cwd)
    const env = childEnv(plan.env, plan.envelope ? { [NONCE_ENV]: this.#nonce } : {})
    const file = await findExecutable(plan.command, plan.cwd ?? process.cwd(), env.PATH ?? '')
    const tools = await findTools()
    if (isPath(plan.stdin)) this.#stdinFile = await openStdin(plan.stdin.path)
    const cwd = plan.cwd ?? (this.#workDir = await createWorkDir())
    if (plan.signal?.aborted) return null
    const line = wrap(file, plan.args, plan.memoryMb, tools)
    const child = spawn(line.file, line.args, {
      cwd,
      env,
      detached: true,
      shell: false,
      stdio: [this.#stdinFile?.fd ?? (hasBytes(plan.stdin) ? 'pipe' : 'ignore'), 'pipe', 'pipe', ...this.#fd3()],
    })
    // Before the first write: an EPIPE without a listener ends the parent.
    for (const stream of child.stdio) stream?.on('error', () => {})
    const failed = new Promise<Error>((resolve) => child.on('error', resolve))
    if (child.pid === undefined) throw await failed
    return this.#supervise(child, child.pid)
  }

  #supervise(child: ChildProcess, pid: number): Promise<Ending> {
    const { onSpawn, stdin, sweepCores: sweep } = this.#plan
    this.#pid = pid
    const supervision = new Supervision(child, this.#plan, () => {
      // One at a time, so that no file is counted twice and a slow disk collects no backlog.
      this.#sweeping ??= this.#sweep(sweep?.maxAgeMs ?? CORE_AGE_MS).finally(() => {
        this.#sweeping = null
      })
    })
    const { startTime } = supervision
    supervision.guard('onSpawn', () => onSpawn?.({ pid, startTime, pgid: pid, bootId: startTime && bootId() }))
    if (hasBytes(stdin)) child.stdin?.end(stdin)
    return supervision.ended
  }

  #fd3(): 'pipe'[] {
    return this.#plan.envelope ? ['pipe'] : []
  }

  async #sweep(maxAgeMs: number): Promise<void> {
    const dir = this.#plan.cwd ?? this.#workDir!
    const { files, bytes } = await sweepCores(dir, { maxAgeMs, trustNames: this.#workDir !== null })
    this.#cores.files += files
    this.#cores.bytes += bytes
  }

  async #cleanUp(): Promise<Error | null> {
    await this.#stdinFile?.close().catch(() => {})
    if (!this.#workDir) return null
    return removeWorkDir(this.#workDir).then(
      () => null,
      (error: Error) => error,
    )
  }

  #judge(ending: Ending | null): ProcessOutcome {
    const end = ending ?? { code: null, signal: null, stop: 'aborted' as const, held: null }
    const envelope = this.#parse(ending)
    const envelopeError = envelope && !envelope.ok ? envelope.error : null
    const kind = kindOf(end)
    const streams = ending ? [ending.stdout, ending.stderr, ending.envelope] : []
    return {
      ...this.#blank(),
      kind,
      ok: kind === 'exited' && end.code === 0 && envelopeError === null,
      code: end.code,
      signal: end.signal,
      cause: causeOf(end, envelopeError),
      stdout: ending?.stdout.bytes() ?? Buffer.alloc(0),
      stderr: ending?.stderr.bytes() ?? Buffer.alloc(0),
      truncated: streams.some((stream) => stream?.overflowed),
      envelope: envelope?.ok ? envelope.value : undefined,
      envelopeError,
      error: ending?.callbackError ?? null,
    }
  }

  #parse(ending: Ending | null): ParsedEnvelope | null {
    if (!this.#plan.envelope) return null
    return parseEnvelope(ending?.envelope?.bytes() ?? Buffer.alloc(0), this.#nonce)
  }

  #refused(error: NodeJS.ErrnoException): ProcessOutcome {
    const code = error.code ?? (error instanceof Refusal ? error.code : 'UNKNOWN')
    return { ...this.#blank(), cause: `spawn ${code}`, error: { code, message: error.message } }
  }

  #blank(): ProcessOutcome {
    return {
      kind: 'spawn-error',
      ok: false,
      code: null,
      signal: null,
      cause: '',
      stdout: Buffer.alloc(0),
      stderr: Buffer.alloc(0),
      truncated: false,
      envelope: undefined,
      envelopeError: this.#plan.envelope ? 'missing' : null,
      pid: this.#pid,
      startedAt: this.#startedAt,
      durationMs: this.#elapsed(),
      coresSwept: 0,
      coreBytesSwept: 0,
      error: null,
    }
  }

  #elapsed(): number {
    return performance.now() - this.#start
  }
}

function isPath(stdin: ProcessSpec['stdin']): stdin is { path: string } {
  return typeof stdin === 'object' && !(stdin instanceof Uint8Array)
}

function hasBytes(stdin: ProcessSpec['stdin']): stdin is string | Uint8Array {
  return stdin !== undefined && !isPath(stdin) && stdin.length > 0
}
