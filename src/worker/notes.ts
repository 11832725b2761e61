/**
 * What an attempt says while it works: progress (the last value wins, stored at most once a second), warnings, log lines,
 * and errors that nobody has a rule for. Collected here and written with the next step, the end, or by themselves a second later.
 */
import type { Clock, Timer } from '../core/clock.js'
import { clip, plainText } from '../core/json.js'
import type { ProgressUpdate } from '../define/context.js'
import type { AttemptRecord, DecisionRow, FailureSeen, LogRow, ProgressRow, WarningRow } from '../stores/store.js'

const EVERY_MS = 1000
const MESSAGE_MAX = 1024
const NAME_MAX = 200
const WARNINGS_MAX = 100
const LOGS_MAX = 1000

export class Notes {
  private progress: ProgressRow | null = null
  private warnings: WarningRow[] | null = null
  private logs: LogRow[] | null = null
  private decisions: DecisionRow[] | null = null
  private failures: FailureSeen[] | null = null
  private timer: Timer | null = null
  private logged = 0
  private stage: string | null | undefined
  warned = 0
  /** The last entry of the decision log in this attempt. */
  lastDecision: DecisionRow | null = null

  constructor(
    private readonly clock: Clock,
    private readonly attempt: number,
    private readonly write: (record: Omit<AttemptRecord, 'jobId' | 'epoch'>) => Promise<unknown>,
  ) {}

  setProgress(stage: string | null, { message, completed, total, unit, iterations }: ProgressUpdate): void {
    const name = optional(stage, NAME_MAX)
    this.progress = {
      stage: name,
      message: optional(message, MESSAGE_MAX),
      completed: number(completed),
      total: number(total),
      unit: optional(unit, NAME_MAX),
      iterations: rounds(iterations),
      updatedAt: this.clock.now(),
    }
    // A new stage is news, and rare; counting within one is told at most once a second.
    this.arm(name === this.stage ? EVERY_MS : 0)
    this.stage = name
  }

  /** A stage that says nothing of itself shows at least that it has begun. */
  enterStage(name: string): void {
    if (this.stage !== name) this.setProgress(name, {})
  }

  decide(row: DecisionRow): void {
    this.lastDecision = row
    ;(this.decisions ??= []).push(row)
    this.arm()
  }

  /** @param rule what was taught, where that made it a warning */
  warn(code: string, message: string, step: string | null, rule: string | null = null): void {
    this.warned++
    if (this.warned > WARNINGS_MAX) return
    const row: WarningRow = { code: text(code, 64), message: text(message, MESSAGE_MAX), step, at: this.clock.now() }
    ;(this.warnings ??= []).push(rule === null ? row : { ...row, rule })
    this.arm()
  }

  /** Counted with the record of the step that went on, or with the end of the attempt. */
  met(failure: FailureSeen): void {
    ;(this.failures ??= []).push(failure)
  }

  log(level: LogRow['level'], message: string, data: unknown): void {
    this.logged++
    if (this.logged > LOGS_MAX) return
    const last = this.logged === LOGS_MAX
    let json: string | null = null
    try {
      json = data === undefined ? null : clip(JSON.stringify(data), 8192)
      if (json !== null) JSON.parse(json)
    } catch {
      json = JSON.stringify({ note: 'the data of this line was too large or could not be written as JSON' })
    }
    ;(this.logs ??= []).push({
      at: this.clock.now(),
      attempt: this.attempt,
      level: last ? 'warn' : level,
      message: last ? `More than ${LOGS_MAX} log lines in one attempt; the rest is not kept.` : text(message, 4096),
      data: last ? null : json,
    })
    this.arm()
  }

  /** Everything collected so far, to be written with something else. */
  take(): Pick<AttemptRecord, 'progress' | 'warnings' | 'logs' | 'decisions' | 'failures'> | null {
    this.timer?.cancel()
    this.timer = null
    if (!(this.progress || this.warnings || this.logs || this.decisions || this.failures)) return null
    const taken = {
      ...(this.progress ? { progress: this.progress } : {}),
      ...(this.warnings ? { warnings: this.warnings } : {}),
      ...(this.logs ? { logs: this.logs } : {}),
      ...(this.decisions ? { decisions: this.decisions } : {}),
      ...(this.failures ? { failures: this.failures } : {}),
    }
    this.progress = null
    this.warnings = null
    this.logs = null
    this.decisions = null
    this.failures = null
    return taken
  }

  private arm(ms = EVERY_MS): void {
    if (ms === 0) {
      this.timer?.cancel()
      this.timer = null
    }
    this.timer ??= this.clock.after(ms, () => {
      this.timer = null
      const taken = this.take()
      // A note that cannot be written must not end the attempt; the next fenced write says whether the lease is lost.
      if (taken) this.write(taken).catch(() => undefined)
    })
  }

  stop(): void {
    this.timer?.cancel()
    this.timer = null
  }
}

/** What a handler written in JavaScript may hand over is not always a string. */
function text(value: string, max: number): string {
  return clip(plainText(String(value)), max)
}

function optional(value: string | null | undefined, max: number): string | null {
  return value === undefined || value === null ? null : text(value, max)
}

function number(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : value
}

function rounds(given: ProgressUpdate['iterations']): ProgressRow['iterations'] {
  const completed = number(given?.completed)
  return completed === null ? null : { completed, total: number(given?.total) }
}
