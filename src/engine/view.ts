/**
 * From rows to the resource that people and programs read: status, sentence, pacing, progress, links. Pure: the same
 * rows, expectations and instant always give the same answer.
 */
import type { ErrorInfo, LiveJob, Status } from '../core/job.js'
import { partsOf } from '../core/job.js'
import { parseJson } from '../core/json.js'
import { isHeld, phaseOf, statusOf } from '../core/lifecycle.js'
import { questionOf } from '../core/question.js'
import type { WireError, WireJob, WireOps, WireProgress } from '../core/wire.js'
import type { StoredJob } from '../stores/store.js'
import type { Include } from './api.js'
import { factsOf, type TypeView } from './story/facts.js'
import { say } from './story/voices.js'

/** Results up to this many bytes are shown inside the job (rulings 18). */
export const INLINE_RESULT_BYTES = 256 * 1024

export function iso(at: number): string
export function iso(at: number | null): string | null
export function iso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}

export function viewOf(stored: StoredJob, now: number, type: TypeView, include: readonly Include[] = []): WireJob {
  const { record, live, outcome } = stored
  const facts = factsOf(stored, now, type)
  const { status, late } = facts
  const done = outcome !== null
  const startedAt = outcome ? outcome.startedAt : live!.startedAt
  const expectedDoneAt =
    done || type.expected.p50Ms === null ? null : Math.max(record.createdAt, record.runAt ?? 0) + type.expected.p50Ms
  const error = outcome
    ? outcome.error
    : live!.state === 'waiting' && live!.waitKind === 'review'
      ? (live!.why?.error ?? null)
      : null
  const self = `/v1/jobs/${record.id}`
  const progress = progressOf(stored, status, type)
  const job: WireJob = {
    id: record.id,
    type: record.type,
    typeVersion: record.typeVersion,
    tenant: record.tenant,
    status,
    done,
    statusText: say(facts, 'caller'),
    progress,
    blockedOn: live && status === 'blocked' ? blockedOn(live) : [],
    result: outcome?.result != null ? parseJson(outcome.result) : null,
    resultInfo: resultInfo(stored),
    error: error && errorOf(error),
    warnings: stored.warnings.map((w) => ({ code: w.code, message: w.message, step: w.step, at: iso(w.at) })),
    groupId: record.groupId,
    operationKey: record.operationKey,
    tags: record.options.tags ?? [],
    metadata: record.options.metadata ?? {},
    parentId: record.parentId,
    rootId: record.options.rootId ?? null,
    schedule: record.options.schedule ? { id: record.options.schedule.id, at: iso(record.options.schedule.at) } : null,
    replayOf: record.replayOf,
    supersededBy: stored.supersededBy,
    compensates: record.options.compensates ?? null,
    compensatedBy: stored.compensatedBy,
    resolution: stored.resolution && {
      kind: stored.resolution.kind,
      reason: stored.resolution.reason,
      by: stored.resolution.by,
      at: iso(stored.resolution.at),
      jobId: stored.resolution.otherId,
    },
    priority: record.priority,
    runAt: iso(record.runAt),
    deadlineAt: iso(record.deadlineAt),
    createdAt: iso(record.createdAt),
    startedAt: iso(startedAt),
    updatedAt: iso(outcome ? outcome.finishedAt : live!.changedAt),
    finishedAt: iso(outcome?.finishedAt ?? null),
    expectedDoneAt: iso(expectedDoneAt),
    late,
    cancelRequestedAt: iso(live?.cancelAt ?? null),
    expiresAt: outcome && outcome.expiresAt < 8.64e15 ? iso(outcome.expiresAt) : null,
    version: outcome ? outcome.version : live!.version,
    revision: outcome ? outcome.revision : live!.revision,
    pollAfterMs: done ? null : pollAfterMs(record.createdAt, live!, status, expectedDoneAt, now),
    createdBy: record.createdBy,
    onBehalfOf: record.options.onBehalfOf ?? null,
    traceparent: record.options.traceparent ?? null,
    links: { self, result: `${self}/result`, stream: `${self}/events/stream`, history: `${self}/history` },
  }
  if (include.includes('input')) job.input = parseJson(record.input)
  if (include.includes('ops')) job.ops = opsOf(stored, type, now)
  return job
}

export function errorOf(error: ErrorInfo): WireError {
  return {
    code: error.code,
    class: error.class,
    origin: error.origin ?? null,
    message: error.message,
    messages: error.messages,
    step: error.step,
    attempts: error.attempts,
    details: error.details,
    occurredAt: iso(error.occurredAt),
    helpUrl: null,
  }
}

function resultInfo({ outcome }: StoredJob): WireJob['resultInfo'] {
  if (!outcome || outcome.status !== 'completed')
    return { state: 'none', bytes: null, contentType: null, sha256: null, expiresAt: null }
  const state = outcome.result === null && outcome.resultBytes > 0 ? 'external' : 'inline'
  return {
    state,
    bytes: outcome.resultBytes,
    contentType: 'application/json',
    sha256: outcome.resultSha256,
    expiresAt: outcome.expiresAt < 8.64e15 ? iso(outcome.expiresAt) : null,
  }
}

type Blocker = WireJob['blockedOn'][number]

/** A pause first, since nothing moves before it is over; then what is waited for from people and from outside. */
function blockedOn(live: LiveJob): Blocker[] {
  return [live.waitKind, live.why?.behind?.waitKind]
    .filter((kind) => kind === 'pause' || kind === 'approval' || kind === 'signal' || kind === 'review')
    .map((kind) => blocker(live, kind))
}

function blocker(live: LiveJob, kind: 'approval' | 'review' | 'signal' | 'pause'): Blocker {
  const { error, pause, ...why } = live.why ?? {}
  const wait = kind === 'approval' || kind === 'signal' ? why.wait : undefined
  const title =
    kind === 'review'
      ? (error?.message ?? 'A person must decide how to go on.')
      : kind === 'pause'
        ? `Paused by ${pause?.by.name ?? pause?.by.id ?? 'an operator'}${pause?.reason ? `: ${pause.reason}` : '.'}`
        : (wait?.title ?? 'Waiting for somebody outside.')
  const question = questionOf(live)
  return {
    kind,
    id: wait ? wait.id : `${live.id}:${live.version}`,
    title,
    since: iso(sinceOf(live, kind)),
    dueAt: iso(wait?.dueAt ?? live.deadlineAt),
    href: kind === 'approval' && wait ? `/v1/approvals/${wait.id}` : `/v1/jobs/${live.id}`,
    quorum: (kind === 'approval' && wait?.quorum) || null,
    question: question && { step: question.step, text: title, answers: question.answers },
  }
}

/** Readers see the row change meanwhile, when it becomes late; its wait began before. */
function sinceOf({ why, changedAt }: LiveJob, kind: Blocker['kind']): number {
  if (kind === 'review' || why?.since === undefined) return changedAt
  return kind === 'pause' ? Math.max(why.since, why.pause?.at ?? 0) : why.since
}

function progressOf({ progress, live, outcome }: StoredJob, status: Status, type: TypeView): WireProgress | null {
  if (progress === null && type.stages.length === 0) return null
  const current = progress ? type.stages.findIndex((stage) => stage.name === progress.stage) : -1
  const stages = type.stages.map((stage, i) => ({
    ...stage,
    state:
      status === 'completed'
        ? ('done' as const)
        : i < current
          ? ('done' as const)
          : i === current
            ? ('active' as const)
            : outcome
              ? ('skipped' as const)
              : ('pending' as const),
  }))
  const { completed = null, total = null, iterations = null } = progress ?? {}
  return {
    stage: progress?.stage ?? null,
    stageLabel: type.stages[current]?.label ?? progress?.stage ?? null,
    message: progress?.message ?? null,
    completed,
    total,
    unit: progress?.unit ?? null,
    iterations,
    percent: percentOf(completed, total) ?? percentOf(iterations?.completed ?? null, iterations?.total ?? null),
    stages,
    updatedAt: iso(progress?.updatedAt ?? live?.changedAt ?? outcome?.finishedAt ?? 0),
  }
}

function percentOf(completed: number | null, total: number | null): number | null {
  return total !== null && total > 0 && completed !== null ? Math.min(100, Math.floor((completed / total) * 100)) : null
}

function opsOf(stored: StoredJob, type: TypeView, now: number): WireOps {
  const { record, live, outcome, heldBy = null } = stored
  const error = live ? live.why?.error : outcome!.error
  return {
    phase: outcome ? outcome.phase : pausedNow(live!, type, now) ? 'paused' : phaseOf(live!, now),
    heldBy: live && isHeld(live, now) ? heldBy : null,
    attempt: outcome ? outcome.attempt : live!.attempt,
    maxAttempts: type.maxAttempts,
    nextAttemptAt: live?.state === 'queued' ? iso(live.runAt) : null,
    lastError: error ? { class: error.class, code: error.code, message: error.message, rule: error.rule } : null,
    queue: live ? partsOf(live.lane).queue : record.queue,
    workerId: live?.worker ?? null,
    leaseExpiresAt: null,
  }
}

/** It would start now if its type and queue were not paused. */
function pausedNow(live: LiveJob, { pause }: TypeView, now: number): boolean {
  return pause != null && statusOf(live) === 'accepted' && (live.runAt <= now || isHeld(live, now))
}

/** Server-paced polling (http-contract, Retry-After table), in milliseconds. */
export function pollAfterMs(
  createdAt: number,
  live: LiveJob,
  status: Status,
  expectedDoneAt: number | null,
  now: number,
): number {
  const clamp = (seconds: number, low: number, high: number) => Math.min(high, Math.max(low, Math.ceil(seconds))) * 1000
  if (status === 'blocked') return live.deadlineAt === null ? 30_000 : clamp((live.deadlineAt - now) / 10_000, 15, 60)
  if (live.state === 'queued' && live.runAt > now)
    return live.startedAt === null
      ? clamp((live.runAt - now) / 1000, 1, 300)
      : clamp((live.runAt - now) / 1000 + 1, 1, 60)
  if (live.state === 'running' && expectedDoneAt !== null && expectedDoneAt > now)
    return clamp((expectedDoneAt - now) / 4000, 1, 30)
  return clamp((now - createdAt) / 10_000, 1, 15)
}
