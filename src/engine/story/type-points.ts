/**
 * The points of a job's life at which somebody hears something, as rows that the state machine makes, so that the story
 * of a type shows the very sentences its jobs will have.
 */
import type { ErrorInfo, JobRecord, LiveJob } from '../../core/job.js'
import { type Event, newLive, transition } from '../../core/lifecycle.js'
import type { Voice, WireStory } from '../../core/wire-story.js'
import type { WireTypeStory } from '../../core/wire-type-story.js'
import type { HandlerSettings, JobDefinition } from '../../define/define-job.js'
import type { ProgressRow, StoredJob } from '../../stores/store.js'
import { factsOf, type TypeView } from './facts.js'
import { stageName } from './type-check.js'
import type { RecordedRun } from './type-run.js'
import { say } from './voices.js'

const AT = Date.UTC(2026, 0, 5, 9, 0)
const WORKER = { kind: 'worker', id: 'w-1' } as const
const SUBMITTER = { kind: 'apiKey', id: 'key', name: 'the submitter' } as const

/** Stands for the message of an error. */
const WHAT_IT_SAYS = '…'

interface Type {
  definition: JobDefinition<any, any, any>
  settings: HandlerSettings
}

export function pointsOf(type: Type, run: RecordedRun | null): WireTypeStory['voices'] {
  const points = new Points(type, run)
  return points.all()
}

class Points {
  private readonly view: TypeView
  private readonly record: JobRecord

  constructor(
    private readonly type: Type,
    private readonly run: RecordedRun | null,
  ) {
    const { definition, settings } = type
    this.view = {
      stages: definition.stages,
      maxAttempts: settings.retry.attempts,
      expected: { p50Ms: null, p95Ms: null, samples: 0 },
      retry: settings.retry,
      targetMs: settings.targetMs,
      say: settings.say,
    }
    this.record = {
      ...{
        id: '00000000-0000-7000-8000-000000000000',
        tenant: 'default',
        type: definition.name,
        typeVersion: settings.version,
      },
      ...{ queue: settings.queue, priority: 0, input: 'null', groupId: null, operationKey: null, parentId: null },
      ...{ replayOf: null, options: {}, createdBy: SUBMITTER, createdAt: AT, runAt: null, deadlineAt: null },
    }
  }

  all(): WireTypeStory['voices'] {
    const { definition, settings } = this.type
    const undoes = this.run?.steps.some(({ declared }) => declared?.undo) ?? false
    const rules = settings.errors
    return [
      this.point('stored', this.queued()),
      ...definition.stages.map(({ name, label }) =>
        this.point(`in stage ${label}`, this.running(name), { stage: name }),
      ),
      ...(definition.stages.length === 0 ? [this.point('running', this.running())] : []),
      this.point('between tries', this.failed(this.error('handler-error', WHAT_IT_SAYS, 'transient'))),
      ...(settings.targetMs === null ? [] : [this.point('late', this.late())]),
      ...Object.keys(definition.approvals).map((gate) =>
        this.point(`waiting at the gate ${gate}`, this.waiting('approval', gate)),
      ),
      ...Object.keys(definition.signals).map((signal) =>
        this.point(`waiting for the signal ${signal}`, this.waiting('signal', signal)),
      ),
      ...(this.mayBeReviewed()
        ? [this.point('needs review', this.failed(this.error('review', WHAT_IT_SAYS, 'review')))]
        : []),
      this.point('completed', this.on(this.running(), { type: 'succeeded', actor: WORKER, warnings: 0 })),
      ...(rules.some(({ is }) => is === 'harmless')
        ? [
            this.point(
              'completed with notes',
              this.on(this.running(), { type: 'succeeded', actor: WORKER, warnings: 1 }),
            ),
          ]
        : []),
      ...this.permanentCodes().map((code) =>
        this.point(`failed: ${code}`, this.failed(this.error(code, WHAT_IT_SAYS, 'permanent'))),
      ),
      ...(settings.retry.onExhausted === 'fail' ? [this.point('gave up', this.gaveUp())] : []),
      ...(undoes ? [this.point('undone', this.undone())] : []),
      this.point(
        'cancelled',
        this.on(this.queued(), {
          type: 'cancelRequested',
          actor: SUBMITTER,
          by: 'caller',
          reason: null,
          mode: 'graceful',
        }),
      ),
    ]
  }

  /** Codes that the error table gives to what no further try can change. */
  private permanentCodes(): string[] {
    const { settings } = this.type
    const codes = settings.errors
      .filter(({ is }) => is === 'permanent')
      .map(({ as, code }) => as ?? code ?? 'handler-error')
    const said = Object.keys(settings.say?.error ?? {}).filter((code) => code !== 'exhausted')
    return [...new Set([...codes, ...said])]
  }

  private mayBeReviewed(): boolean {
    const { settings } = this.type
    if (settings.errors.some(({ is }) => is === 'review') || settings.retry.onExhausted === 'review') return true
    return this.run?.steps.some(({ effect }) => effect === 'once') ?? false
  }

  private point(point: string, job: Moved, progress: { stage: string } | null = null): WireTypeStory['voices'][number] {
    const message = progress && (this.run?.shown.get(progress.stage) ?? null)
    const row: ProgressRow | null = progress && {
      ...{
        stage: progress.stage,
        message,
        completed: null,
        total: null,
        unit: null,
        iterations: null,
        updatedAt: job.now,
      },
    }
    const stored: StoredJob = {
      ...{ record: this.record, live: job.live, outcome: job.outcome, progress: row, warnings: [] },
      ...{ supersededBy: null, compensatedBy: null, resolution: null },
    }
    const facts = factsOf(stored, job.now, this.view)
    const line = (voice: Voice): string => say(facts, voice)
    const voices: WireStory['voices'] = {
      ...{ caller: line('caller'), endUser: line('endUser'), support: line('support'), operator: line('operator') },
    }
    return { point, ...voices } as WireTypeStory['voices'][number]
  }

  private queued(): Moved {
    const { queue, type } = this.record
    const live = newLive(this.record.id, `${queue}/${type}/default`, 2, AT, {
      runAt: null,
      deadlineAt: null,
      escalateAt: null,
    })
    return { live, outcome: null, now: AT + 2000 }
  }

  private running(stage: string | null = null): Moved {
    const job = this.on(this.queued(), { type: 'claimed', actor: WORKER, worker: WORKER.id })
    const step = this.run?.steps.find((one) => one.kind === 'stage' && stageName(one) === stage)
    const queue = step?.declared?.queue ?? this.record.queue
    return { ...job, live: { ...job.live!, lane: `${queue}/${this.record.type}/default` }, now: job.now + 4000 }
  }

  private late(): Moved {
    const job = this.running()
    const now = AT + this.type.settings.targetMs! + 60_000
    return { ...job, now, live: { ...job.live!, lateAt: now - 60_000 } }
  }

  private failed(error: ErrorInfo, attempts = this.type.settings.retry.attempts): Moved {
    const { class: verdict } = error
    const { retry } = this.type.settings
    // With a single try there is no "between"; the point shows how it would look with another one.
    const more = verdict === 'transient' && attempts !== null ? { ...retry, attempts: attempts + 1 } : retry
    return this.on(this.running(), {
      ...{ type: 'errored', actor: WORKER, verdict: verdict ?? 'permanent', error, retry: more },
      ...{ jitter: 0, retryAfterMs: Math.max(1000, retry.fromMs) },
    })
  }

  private gaveUp(): Moved {
    const { retry } = this.type.settings
    const job = this.running()
    const now = AT + Math.min(retry.withinMs, 365 * 86_400_000) + 60_000
    const tried = retry.attempts === null ? 9 : retry.attempts
    const live = { ...job.live!, attempt: tried, errors: tried - 1 }
    const error = this.error('handler-error', WHAT_IT_SAYS, 'transient')
    return this.on(
      { ...job, live, now },
      { ...{ type: 'errored', actor: WORKER, verdict: 'transient', error, retry }, jitter: 0, retryAfterMs: 0 },
    )
  }

  private waiting(waitKind: 'approval' | 'signal', name: string): Moved {
    const title =
      waitKind === 'approval' ? `the summary of the request at ${name}` : `Waiting for the signal "${name}".`
    return this.on(this.running(), {
      type: 'suspended',
      actor: WORKER,
      waitKind,
      wakeAt: null,
      wait: { id: name, title, dueAt: null },
    })
  }

  private undone(): Moved {
    const job = this.running()
    const error = this.error('handler-error', WHAT_IT_SAYS, 'permanent')
    const { retry } = this.type.settings
    const steps = [...new Set(this.run?.steps.flatMap(({ key, declared }) => (declared?.undo ? [key] : [])))]
    const going = this.on(
      { ...job, live: { ...job.live!, undo: 1 } },
      { type: 'errored', actor: WORKER, verdict: 'permanent', error, retry, jitter: 0, retryAfterMs: 0 },
    )
    const claimed = this.on(going, { type: 'claimed', actor: WORKER, worker: WORKER.id })
    const end = this.on(claimed, { type: 'undone', actor: WORKER, steps, partial: [] })
    // Undoing is no try.
    return { ...end, outcome: end.outcome && { ...end.outcome, attempt: 1 } }
  }

  private on({ live, now }: Moved, event: Event): Moved {
    const decision = transition(live!, event, now)
    if (!decision.ok) throw new Error(`A job cannot be ${event.type} here: ${decision.reason}`)
    const { outcome } = decision
    const none = { result: null, resultBytes: 0, resultSha256: null, expiresAt: Number.MAX_SAFE_INTEGER }
    return { live: decision.live, outcome: outcome && { ...outcome, ...none }, now }
  }

  private error(code: string, message: string, kind: ErrorInfo['class']): ErrorInfo {
    return {
      ...{ code, class: kind, origin: 'system', message, messages: [message], step: null, rule: null },
      ...{ details: null, attempts: 1, occurredAt: AT },
    }
  }
}

interface Moved {
  live: LiveJob | null
  outcome: StoredJob['outcome']
  now: number
}
