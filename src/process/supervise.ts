// Watches one started child until it is gone: timeout, abort, output cap, defunct states, drain, end of its group.
// One settle function for every way to end. Must never take "signal sent" for "dead", never wait on a pipe that a
// grandchild holds, and never throw into the parent's event loop.
import type { ChildProcess } from 'node:child_process'
import type { Duplex } from 'node:stream'
import type { Cgroup } from './cgroup.js'
import type { RawEnd, StopReason } from './exit.js'
import { Output } from './output.js'
import { isRunning, readStat } from './procfs.js'
import { ENVELOPE_FD } from './protocol.js'
import { killOrphans, signalGroup, signalOrphans } from './reap.js'
import type { Plan, ProcessError } from './spec.js'
import type { Tree } from './tree.js'
import { Watch } from './watch.js'

// Exit events follow a death within milliseconds; a second without one is a state of its own.
const DEFUNCT_MS = 1_000
// The first looks come early, so that short runs are sampled as well; then the pause doubles up to `pollMs`.
const FIRST_LOOK_MS = 50

export interface Ending extends RawEnd {
  stdout: Output
  stderr: Output
  envelope: Output | null
  callbackError: ProcessError | null
  /** What had left the group: killed after the end, and still running in spite of that. */
  escaped: { killed: number; running: number }
}

/** What surrounds a child, made before or with it. */
export interface Surroundings {
  /** Null where there is no procfs. */
  tree: Tree | null
  cgroup: Cgroup | null
  onPoll: () => void
}

export class Supervision {
  readonly ended: Promise<Ending>
  readonly #pid: number
  readonly #startTime: string | null
  readonly #stdout: Output
  readonly #stderr: Output
  readonly #envelope: Output | null
  readonly #abort = () => this.#onAbort()
  #resolve!: (ending: Ending) => void
  #exit: { code: number | null; signal: NodeJS.Signals | null } | null = null
  #stop: StopReason | null = null
  #killed = false
  #suspectSince: number | null = null
  #callbackError: ProcessError | null = null
  #settled = false
  // Ladder and drain follow each other, so one slot serves both.
  #next: NodeJS.Timeout | undefined
  readonly #timeout: NodeJS.Timeout
  #poll: NodeJS.Timeout | undefined
  readonly watch: Watch

  /** To be called in the same tick as the spawn: later the exit may already have been told. */
  constructor(
    private readonly child: ChildProcess,
    private readonly plan: Plan,
    private readonly around: Surroundings,
  ) {
    this.watch = new Watch(around.tree, plan.limits)
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#pid = child.pid!
    this.#startTime = readStat(this.#pid)?.startTime ?? null
    this.#stdout = this.#collect(child.stdout as Duplex, (chunk) => plan.onOutput?.('stdout', chunk))
    this.#stderr = this.#collect(child.stderr as Duplex, (chunk) => plan.onOutput?.('stderr', chunk))
    const pipe = child.stdio[ENVELOPE_FD] as Duplex | null | undefined
    this.#envelope = pipe && !plan.onChannel ? this.#collect(pipe, () => {}) : null
    child.on('exit', (code, signal) => this.#onExit(code, signal))
    child.on('close', () => this.#settle(null))
    this.#timeout = setTimeout(() => afterPendingEvents(() => this.#stopFor('timeout')), plan.timeoutMs)
    this.#poll = this.#lookIn(Math.min(FIRST_LOOK_MS, plan.pollMs))
    plan.signal?.addEventListener('abort', this.#abort)
  }

  get startTime(): string | null {
    return this.#startTime
  }

  /** Ends the child for a limit that is watched elsewhere; KILL at once, because it would only take more. */
  exceed(reason: StopReason): void {
    this.#fault(reason, true)
  }

  /** Runs a callback of the caller; when it fails the child is killed rather than the parent. */
  guard(name: string, callback: () => unknown): void {
    const failed = (error: unknown) => {
      this.#callbackError ??= { code: 'callback-failed', message: `${name} failed: ${String(error)}` }
      this.#fault('aborted', true)
    }
    try {
      const result = callback()
      if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function')
        Promise.resolve(result).catch(failed)
    } catch (error) {
      failed(error)
    }
  }

  #collect(stream: Duplex, callback: (chunk: Buffer) => unknown): Output {
    const onChunk = (chunk: Buffer) => {
      if (!this.#callbackError) this.guard('onOutput', () => callback(chunk))
    }
    const onOverflow = this.plan.keep === 'end' ? null : () => this.#fault('output-limit')
    return new Output(stream, this.plan.maxOutputBytes, onChunk, onOverflow)
  }

  /** Output is often read only after the exit; what went wrong with it must not be forgiven for that. */
  #fault(reason: StopReason, force = false): void {
    if (this.#exit) this.#stop ??= reason
    else this.#stopFor(reason, force)
  }

  #onAbort(): void {
    const force = (this.plan.signal?.reason as { force?: unknown } | undefined)?.force === true
    // After the exit there is nobody left to stop but the rest of its group, which is swept in any case.
    if (this.#exit) signalOrphans(this.#pid, force ? 'SIGKILL' : 'SIGTERM')
    else this.#stopFor('aborted', force)
  }

  #stopFor(reason: StopReason, force = false): void {
    if (this.#settled || this.#exit) return
    const begun = this.#stop !== null
    this.#stop ??= reason
    if (force) this.#kill()
    else if (!begun) this.#terminate()
  }

  #terminate(): void {
    signalGroup(this.#pid, 'SIGTERM')
    // A stopped process does not see its TERM before it continues.
    signalGroup(this.#pid, 'SIGCONT')
    this.around.tree?.signalEscaped('SIGTERM')
    this.#arm(this.plan.graceMs, () => this.#kill())
  }

  #kill(): void {
    if (this.#killed || this.#exit || this.#settled) return
    this.#killed = true
    signalGroup(this.#pid, 'SIGKILL')
    this.around.cgroup?.kill()
    this.around.tree?.signalEscaped('SIGKILL')
    // Uninterruptible sleep outlives even KILL. The caller gets a word about it instead of waiting for ever.
    this.#arm(Math.max(2 * this.plan.graceMs, 3_000), () => this.#settle('unkillable'))
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#settled) return
    this.#exit = { code, signal }
    clearTimeout(this.#timeout)
    clearTimeout(this.#poll)
    this.#arm(this.plan.drainMs, () => this.#settle(null))
  }

  #lookIn(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      afterPendingEvents(() => {
        if (this.#settled || this.#exit) return
        this.#poll = this.#lookIn(Math.min(2 * ms, this.plan.pollMs))
        this.#look()
      })
    }, ms)
  }

  #look(): void {
    this.around.onPoll()
    const outputs = [this.#stdout, this.#stderr, this.#envelope]
    const over = this.watch.look(Math.max(...outputs.map((output) => output?.lastAt ?? 0)))
    if (over) this.#stopFor(over.reason, over.force)
    if (!this.#startTime) return
    const stat = readStat(this.#pid)
    if (isRunning(stat) && stat!.startTime === this.#startTime) {
      this.#suspectSince = null
      return
    }
    // hidepid can hide a child that changed its user: only ESRCH says that it is gone.
    const zombie = stat?.startTime === this.#startTime
    if (!zombie && !stat && !isUnknown(this.#pid)) return
    const now = performance.now()
    this.#suspectSince ??= now
    const waited = now - this.#suspectSince
    if (waited < DEFUNCT_MS) return
    if (!zombie) this.#settle('vanished')
    else if (waited >= 2 * DEFUNCT_MS) this.#settle('defunct')
    // A tracer in the same group can be what holds the zombie: with it dead the exit is told after all.
    else this.#stopFor('defunct', true)
  }

  #arm(ms: number, then: () => void): void {
    clearTimeout(this.#next)
    this.#next = setTimeout(() => afterPendingEvents(then), ms)
  }

  /** The one end of a run. `held` says what is known when no exit was told. */
  #settle(held: RawEnd['held']): void {
    if (this.#settled || (held && this.#exit) || (!held && !this.#exit)) return
    this.#settled = true
    clearTimeout(this.#next)
    clearTimeout(this.#timeout)
    clearTimeout(this.#poll)
    this.plan.signal?.removeEventListener('abort', this.#abort)
    for (const stream of this.child.stdio) stream?.destroy()
    const swept = held ? this.#abandon(held) : killOrphans(this.#pid)
    const { code, signal } = this.#exit ?? { code: null, signal: null }
    this.#sweepEscaped(swept).then((escaped) =>
      this.#resolve({
        code,
        signal,
        stop: this.#stop,
        held,
        stdout: this.#stdout,
        stderr: this.#stderr,
        envelope: this.#envelope,
        callbackError: this.#callbackError,
        escaped,
      }),
    )
  }

  async #sweepEscaped(group: Promise<unknown>): Promise<Ending['escaped']> {
    // The leader of a cgroup is dead by now: whoever is left in it is to go.
    this.around.cgroup?.kill()
    const whole = await group
    const { found = 0, left = 0 } = (await this.around.tree?.killEscaped()) ?? {}
    return { killed: found, running: left + (whole === false ? 1 : 0) }
  }

  async #abandon(held: NonNullable<RawEnd['held']>): Promise<void> {
    if (held === 'vanished') await killOrphans(this.#pid)
    else signalGroup(this.#pid, 'SIGKILL')
    // The handle of a child whose exit never comes would keep the parent alive for ever.
    this.child.unref()
  }
}

/**
 * After a blocked event loop timers run before the exits and output that are already waiting. One turn later those have
 * been told, and a deadline decides on facts.
 */
function afterPendingEvents(then: () => void): void {
  setImmediate(then)
}

function isUnknown(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
