// Runs one child process from spec to outcome: prepare, start in its own group, supervise, clean up, judge.
// Must never use a shell, never hand on the parent's env, and never reject for what a child or the machine does.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { type FileHandle, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { Cgroup } from './cgroup.js'
import { diskOf } from './disk.js'
import { causeOf, kernelLimit, kindOf, type RawEnd } from './exit.js'
import { launchError } from './launch-error.js'
import { findTools, wrap } from './limits.js'
import { killedForMemory, type OomCount, oomBaseline, oomCount } from './oom.js'
import { MARK_ENV, markOf } from './owner.js'
import { bootId, readStat } from './procfs.js'
import { ENVELOPE_FD, NONCE_ENV, type ParsedEnvelope, parseEnvelope, RESULT_ENV } from './protocol.js'
import { checkDirectory, childEnv, findExecutable, openStdin, Refusal, refuseNul } from './resolve.js'
import { type Scrubber, scrubberOf, secretsOf, tailOf } from './scrub.js'
import { type Collected, type Plan, type ProcessOutcome, type ProcessSpec, readSpec } from './spec.js'
import { type Ending, Supervision } from './supervise.js'
import { sweepCores } from './sweep.js'
import { totals } from './totals.js'
import { Tree } from './tree.js'
import { CollectError, collectFile, createWorkDir, openInside, removeWorkDir, sizeOf, workRoot } from './work.js'

// A core file younger than this may still be being written by a crashing child.
const CORE_AGE_MS = 60_000
// A sweep elsewhere takes a directory for abandoned that nobody touched for a day.
const TOUCH_MS = 60_000
const TAIL_BYTES = 4096
const RESULT_NAME = 'result'
const FULL = new Set(['disk-low', 'ENOSPC', 'EDQUOT'])

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
  #file = ''
  readonly #scrubber: Scrubber
  #cores = { files: 0, bytes: 0 }
  #sweeping: Promise<void> | null = null
  #touchedAt = performance.now()
  #tree: Tree | null = null
  #cgroup: Cgroup | null = null
  #held: readonly string[] = []
  #oomBefore: OomCount | null = null
  #result: { data: Buffer; overflowed: boolean } | null = null
  #collected: Collected[] = []

  constructor(plan: Plan) {
    this.#plan = plan
    this.#scrubber = scrubberOf([...plan.secrets, ...secretsOf(plan.env)])
  }

  async outcome(): Promise<ProcessOutcome> {
    let outcome: ProcessOutcome
    try {
      const ending = await this.#run()
      await this.#sweeping
      if (ending) await this.#sweep(this.#plan.sweepCores?.maxAgeMs ?? 0)
      if (ending && this.#plan.envelope === 'file') await this.#readResult()
      const unstarted = ending && launchError(ending.code, ending.stderr.bytes(), this.#file)
      outcome = unstarted ? this.#refused(Object.assign(new Error(unstarted.message), unstarted)) : this.#judge(ending)
      if (outcome.ok) outcome = await this.#collect(outcome)
    } catch (error) {
      outcome = this.#refused(error as NodeJS.ErrnoException)
    }
    const cleanupError = await this.#cleanUp()
    totals.runs += 1
    totals.escaped += outcome.escaped.killed
    totals.left += outcome.escaped.running + (cleanupError ? 1 : 0)
    if (outcome.cause === 'disk-low') totals.refusedForDisk += 1
    if (cleanupError) outcome.error ??= { code: 'cleanup-failed', message: cleanupError.message }
    if (outcome.error) outcome.error.message = this.#scrubber.scrub(outcome.error.message)
    return { ...outcome, coresSwept: this.#cores.files, coreBytesSwept: this.#cores.bytes, durationMs: this.#elapsed() }
  }

  async #run(): Promise<Ending | null> {
    const plan = this.#plan
    refuseNul(plan)
    if (plan.cwd !== undefined) await checkDirectory(plan.cwd)
    const disk = await diskOf(plan.cwd ?? workRoot(), plan.minFreeBytes)
    if (disk.low) throw new Refusal('disk-low', `too little room in ${disk.dir}: ${disk.freeBytes} bytes free`)
    if (plan.cwd === undefined || plan.inputs || plan.envelope === 'file') {
      this.#workDir = await createWorkDir({ inputs: plan.inputs, output: plan.collect.length > 0 })
    }
    const cwd = plan.cwd ?? this.#workDir!
    const env = childEnv(plan.env, this.#ownEnv(), plan.cwd === undefined ? join(cwd, 'tmp') : null)
    this.#file = await findExecutable(plan.command, plan.cwd ?? process.cwd(), env.PATH ?? '')
    const tools = await findTools()
    if (isPath(plan.stdin)) this.#stdinFile = await openStdin(plan.stdin.path)
    if (plan.signal?.aborted) return null
    const line = wrap(this.#file, plan.args, { ...plan.limits, memoryMb: plan.memoryMb, strong: plan.strong }, tools)
    this.#held = line.held
    this.#cgroup = Cgroup.make(this.#nonce, plan.limits)
    this.#oomBefore = oomBaseline()
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

  #ownEnv(): Record<string, string> {
    const env: Record<string, string> = { [MARK_ENV]: markOf(this.#nonce) }
    if (this.#plan.envelope) env[NONCE_ENV] = this.#nonce
    if (this.#workDir) env.UNTILDONE_WORK = this.#workDir
    if (this.#plan.envelope === 'file') env[RESULT_ENV] = join(this.#workDir!, RESULT_NAME)
    return env
  }

  #supervise(child: ChildProcess, pid: number): Promise<Ending> {
    const { onSpawn, onChannel, stdin } = this.#plan
    this.#pid = pid
    if (this.#cgroup && !this.#cgroup.take(pid)) this.#cgroup = null
    const born = readStat(pid)?.startTime
    if (born) this.#tree = new Tree(pid, born, markOf(this.#nonce))
    const supervision = new Supervision(child, this.#plan, {
      tree: this.#tree,
      cgroup: this.#cgroup,
      onPoll: () => this.#onPoll(supervision),
    })
    const { startTime, watch } = supervision
    this.#held = [
      'timeout',
      'output',
      ...this.#held,
      ...watch.held,
      ...(this.#cgroup ? ['cgroup'] : []),
      ...(this.#workDir && this.#plan.limits.workBytes !== undefined ? ['work-size'] : []),
    ]
    const control = { beat: () => watch.beat() }
    supervision.guard('onSpawn', () => onSpawn?.({ pid, startTime, pgid: pid, bootId: startTime && bootId() }, control))
    if (onChannel) supervision.guard('onChannel', () => onChannel(child.stdio[ENVELOPE_FD] as Duplex))
    if (hasBytes(stdin)) child.stdin?.end(stdin)
    return supervision.ended
  }

  #onPoll(supervision: Supervision): void {
    // One at a time, so that no file is counted twice and a slow disk collects no backlog.
    this.#sweeping ??= this.#lookAtFiles(supervision).finally(() => {
      this.#sweeping = null
    })
  }

  async #lookAtFiles(supervision: Supervision): Promise<void> {
    const { sweepCores: sweep, limits } = this.#plan
    await this.#sweep(sweep?.maxAgeMs ?? CORE_AGE_MS)
    if (!this.#workDir) return
    if (limits.workBytes !== undefined && (await sizeOf(this.#workDir)) > limits.workBytes)
      supervision.exceed('disk-limit')
    if (performance.now() - this.#touchedAt < TOUCH_MS) return
    this.#touchedAt = performance.now()
    const now = new Date()
    await utimes(this.#workDir, now, now).catch(() => {})
  }

  #fd3(): 'pipe'[] {
    return this.#plan.envelope === true || this.#plan.onChannel ? ['pipe'] : []
  }

  async #sweep(maxAgeMs: number): Promise<void> {
    const dir = this.#plan.cwd ?? this.#workDir!
    const { files, bytes } = await sweepCores(dir, { maxAgeMs, trustNames: this.#plan.cwd === undefined })
    this.#cores.files += files
    this.#cores.bytes += bytes
  }

  async #cleanUp(): Promise<Error | null> {
    await this.#stdinFile?.close().catch(() => {})
    await this.#cgroup?.remove()
    if (!this.#workDir) return null
    return removeWorkDir(this.#workDir).then(
      () => null,
      (error: Error) => error,
    )
  }

  #judge(ending: Ending | null): ProcessOutcome {
    const end: RawEnd = { code: null, signal: null, stop: 'aborted', held: null, ...(ending && rawOf(ending)) }
    end.stop ??= kernelLimit(end, this.#plan.limits, this.#tree?.peak?.cpuMs ?? 0)
    if (this.#result?.overflowed) end.stop ??= 'output-limit'
    const oom = this.#oomOf(end)
    if (oom === 'yes' && this.#cgroup && this.#plan.limits.rssMb !== undefined) end.stop = 'memory-limit'
    const envelope = this.#parse(ending)
    const envelopeError = envelope && !envelope.ok ? envelope.error : null
    const kind = kindOf(end)
    const streams = ending ? [ending.stdout, ending.stderr, ending.envelope, this.#result] : []
    const running = ending?.escaped.running ?? 0
    return {
      ...this.#blank(),
      kind,
      ok: kind === 'exited' && end.code === 0 && envelopeError === null,
      code: end.code,
      signal: end.signal,
      cause: oom === 'yes' && !end.stop ? 'oom' : causeOf(end, envelopeError),
      oom,
      ...(ending ? this.#outputs(ending) : {}),
      truncated: streams.some((stream) => stream?.overflowed),
      envelope: envelope?.ok ? envelope.value : undefined,
      envelopeError,
      escaped: ending?.escaped ?? { killed: 0, running: 0 },
      error:
        ending?.callbackError ??
        (running > 0 ? { code: 'still-running', message: `${running} of its processes still run after KILL` } : null),
    }
  }

  #outputs(ending: Ending): Pick<ProcessOutcome, 'stdout' | 'stderr' | 'tail' | 'bytes'> {
    const stdout = ending.stdout.bytes()
    const stderr = ending.stderr.bytes()
    const { stdin } = this.#plan
    return {
      stdout,
      stderr,
      tail: {
        stdout: tailOf(stdout, TAIL_BYTES, this.#scrubber),
        stderr: tailOf(stderr, TAIL_BYTES, this.#scrubber),
      },
      bytes: {
        stdin: hasBytes(stdin) ? Buffer.byteLength(stdin) : 0,
        stdout: ending.stdout.received,
        stderr: ending.stderr.received,
        envelope: this.#result?.data.length ?? ending.envelope?.received ?? 0,
      },
    }
  }

  /** Asked only about a KILL that was not ours. */
  #oomOf(end: RawEnd): ProcessOutcome['oom'] {
    if (end.stop || end.held || (end.signal !== 'SIGKILL' && end.code !== 137)) return null
    if (this.#cgroup) return this.#cgroup.killedForMemory ? 'yes' : 'no'
    return this.#oomBefore ? killedForMemory(this.#oomBefore, oomCount()) : 'unknown'
  }

  #parse(ending: Ending | null): ParsedEnvelope | null {
    if (!this.#plan.envelope) return null
    return parseEnvelope(this.#result?.data ?? ending?.envelope?.bytes() ?? Buffer.alloc(0), this.#nonce)
  }

  /** What is under the final name is whole or was never written; a link that was laid there is neither. */
  async #readResult(): Promise<void> {
    const most = this.#plan.maxOutputBytes
    const file = await openInside(this.#workDir!, RESULT_NAME).catch(() => null)
    if (!file) return
    try {
      const { size } = await file.stat()
      this.#result = { data: size > most ? Buffer.alloc(0) : await file.readFile(), overflowed: size > most }
    } finally {
      await file.close()
    }
  }

  async #collect(outcome: ProcessOutcome): Promise<ProcessOutcome> {
    try {
      for (const { from, to } of this.#plan.collect) {
        this.#collected.push(await collectFile(this.#plan.cwd ?? this.#workDir!, from, to))
      }
      return { ...outcome, collected: this.#collected }
    } catch (error) {
      if (!(error instanceof CollectError)) throw error
      const { code, message } = error
      return {
        ...outcome,
        ok: false,
        cause: code.replace('-', ' '),
        collected: this.#collected,
        error: { code, message },
      }
    }
  }

  #refused(error: NodeJS.ErrnoException): ProcessOutcome {
    const code = error.code ?? (error instanceof Refusal ? error.code : 'UNKNOWN')
    const full = FULL.has(code)
    return {
      ...this.#blank(),
      cause: full ? 'disk-low' : `spawn ${code}`,
      error: { code: full ? 'disk-low' : code, message: error.message },
    }
  }

  #blank(): ProcessOutcome {
    return {
      kind: 'spawn-error',
      ok: false,
      code: null,
      signal: null,
      cause: '',
      oom: null,
      stdout: Buffer.alloc(0),
      stderr: Buffer.alloc(0),
      truncated: false,
      envelope: undefined,
      envelopeError: this.#plan.envelope ? 'missing' : null,
      pid: this.#pid,
      startedAt: this.#startedAt,
      durationMs: this.#elapsed(),
      argv: [this.#plan.command, ...this.#plan.args].map((part) => this.#scrubber.scrub(part)),
      tail: { stdout: '', stderr: '' },
      protectedBy: this.#held,
      bytes: { stdin: 0, stdout: 0, stderr: 0, envelope: 0 },
      peak: this.#peak(),
      processesSeen: this.#pid === null ? 0 : (this.#tree?.seen ?? 1),
      escaped: { killed: 0, running: 0 },
      collected: [],
      coresSwept: 0,
      coreBytesSwept: 0,
      error: null,
    }
  }

  /** The kernel's own figure where there is one: samples miss what is short. */
  #peak(): ProcessOutcome['peak'] {
    const sampled = this.#tree?.peak ?? null
    const counted = this.#cgroup?.peakBytes ?? null
    return sampled && counted !== null ? { ...sampled, rssBytes: Math.max(sampled.rssBytes, counted) } : sampled
  }

  #elapsed(): number {
    return performance.now() - this.#start
  }
}

function rawOf({ code, signal, stop, held }: Ending): RawEnd {
  return { code, signal, stop, held }
}

function isPath(stdin: ProcessSpec['stdin']): stdin is { path: string } {
  return typeof stdin === 'object' && !(stdin instanceof Uint8Array)
}

function hasBytes(stdin: ProcessSpec['stdin']): stdin is string | Uint8Array {
  return stdin !== undefined && !isPath(stdin) && stdin.length > 0
}
