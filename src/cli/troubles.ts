/**
 * What `serve` writes of errors that nobody else can report. While the database is away every process meets the same
 * error every few seconds: it is said once, and then that it is over. Whatever differs is said.
 */
import { formatDuration } from '../core/duration.js'
import { isUntildoneError } from '../core/errors.js'
import { PROBLEMS } from '../core/problems.js'
import type { ErrorReport } from '../server/index.js'
import type { Context } from './context.js'
import { clean, count } from './text.js'

/** With these nothing can be read either, so that a look tells when they are over. */
const AWAY = new Set(['unreachable', 'refused', 'no-database', 'too-many-connections'])
/** Other states of the database, a full disk for example, are said again after this time. */
const REMIND_MS = 60_000
const LOOK_EVERY_MS = 1000
/** Errors of before may still arrive after the first look that works. */
const QUIET_MS = 3000

interface Options {
  say(json: Record<string, unknown>, text: string): void
  clock: Pick<Context, 'now' | 'sleep'>
  /** Whether the database answers; asked only while it is said not to. */
  works(): Promise<boolean>
}

interface Outage {
  since: number
  lastAt: number
  /** Code and reason of what was said. */
  said: Set<string>
  leftOut: number
}

export class Troubles {
  private outage: Outage | null = null
  /** When other states were said last. */
  private readonly states = new Map<string, number>()
  private readonly stop = new AbortController()
  constructor(private readonly options: Options) {}

  met(error: unknown, about?: ErrorReport): void {
    if (this.stop.signal.aborted) return
    const now = this.options.clock.now()
    const { code, params } = isUntildoneError(error) ? error : { code: null, params: {} }
    // Without a reason it is no state of the database, and each has something else to say.
    const reason = code === 'store-unavailable' && typeof params.reason === 'string' ? params.reason : undefined
    const message = error instanceof Error ? error.message : String(error)
    if (reason !== undefined && (AWAY.has(reason) ? this.lasts(reason, now) : this.recent(message, now))) return
    this.options.say(...said(error, { at: new Date(now).toISOString(), message, ...(reason ? { reason } : {}) }, about))
  }

  /** From now on nothing is said. */
  close(): void {
    this.stop.abort()
  }

  private recent(message: string, now: number): boolean {
    for (const [text, saidAt] of this.states) if (now - saidAt >= REMIND_MS) this.states.delete(text)
    if (this.states.has(message)) return true
    this.states.set(message, now)
    return false
  }

  private lasts(reason: string, now: number): boolean {
    if (!this.outage) {
      this.outage = { since: now, lastAt: now, said: new Set(), leftOut: 0 }
      // Rejects when it is closed: nobody wants to know any more.
      this.untilBack(this.outage).catch(() => {})
    }
    this.outage.lastAt = now
    if (this.outage.said.has(reason)) {
      this.outage.leftOut++
      return true
    }
    this.outage.said.add(reason)
    return false
  }

  private async untilBack(outage: Outage): Promise<void> {
    const { clock, works, say } = this.options
    let backAt: number | null = null
    while (backAt === null || clock.now() - backAt < QUIET_MS) {
      await clock.sleep(LOOK_EVERY_MS, this.stop.signal)
      if (!(await works())) backAt = null
      else if (backAt === null || outage.lastAt > backAt) backAt = clock.now()
    }
    this.stop.signal.throwIfAborted()
    this.outage = null
    const { leftOut } = outage
    const afterMs = backAt - outage.since
    const at = new Date(backAt).toISOString()
    say(
      { event: 'back', at, afterMs, leftOut },
      `back  ${at}  after ${formatDuration(afterMs)}${leftOut === 0 ? '' : `, ${count(leftOut, 'more such error')} left out`}`,
    )
  }
}

/** One event, and for people a line with what to do below it. */
function said(
  error: unknown,
  known: { at: string; message: string; reason?: string },
  about: ErrorReport | undefined,
): [json: Record<string, unknown>, text: string] {
  const { code, fix } = isUntildoneError(error) ? error : { code: null, fix: null }
  // What its kind says to callers is nothing for whoever runs the server.
  const toDo = code === null || fix === PROBLEMS[code].fix ? null : fix
  const where = about ? `  (${about.method} ${about.path}, request ${about.requestId})` : ''
  return [
    {
      event: 'trouble',
      ...known,
      ...(code === null ? {} : { code }),
      ...(toDo === null ? {} : { fix: toDo }),
      ...about,
    },
    `trouble  ${known.at}  ${clean(known.message)}${where}${toDo === null ? '' : `\n  → ${clean(toDo)}`}`,
  ]
}
