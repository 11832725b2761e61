/**
 * What a handler does, in order: made from the records of a job that ran, or by a dry run of the testing kit. The story
 * of a type is told from it; what a record cannot say is null and told as unknown.
 */
import type { DecisionRow, LogRow, StepKind, StepRow, StoredHistory } from '../../stores/store.js'

/** What a call declares besides its name; what is absent was not declared. */
export interface Declared {
  before?: true
  confirm?: true
  undo?: true
  retry?: true
  timeoutMs?: number
  /** Of a stage: the queue that does it. */
  queue?: string
}

export interface RunStep {
  key: string
  kind: StepKind | 'read'
  effect: 'read' | 'idempotent' | 'once' | null
  /** Null: not known from where this was taken. */
  declared: Declared | null
  /** Of a wait: true when it cannot last for ever; null when that is not known. */
  bounded?: boolean | null
  /** Of a choice of engines: their names, in order; null when only the one that did it is known. */
  engines?: readonly string[] | null
  /** Of a child job: its type. Of a decision: the model. Of an approval: the gate. */
  of?: string
  approval?: RunApproval
}

/** What a handler asked at a gate. */
export interface RunApproval {
  risk: string | null
  /** Whether the request itself names a time to decide; null when that is not known. */
  due: string | null
  onExpire: string | null
  onReject: string | null
  writes: readonly string[]
}

export interface RecordedRun {
  source: { kind: 'dry-run' } | { kind: 'job'; jobId: string; version: string | null; complete: boolean }
  steps: readonly RunStep[]
  /** Stages that progress was shown under, with the first words of each. */
  shown: ReadonlyMap<string, string | null>
  /** Why it came to no end; null when it did. */
  stoppedBy: string | null
  /** Calls whose value was made up, so that what follows may differ. */
  madeUp: readonly string[]
}

/** Rows of a job that ran. */
export interface JobRecords {
  jobId: string
  version: string | null
  complete: boolean
  steps: readonly StepRow[]
  decisions: readonly DecisionRow[]
  history: readonly StoredHistory[]
  logs: readonly LogRow[]
}

export function runOfJob({ jobId, version, complete, steps, decisions, history, logs }: JobRecords): RecordedRun {
  const due = waitsIn(history)
  const found = [
    ...steps.filter(tells).map((row) => ({ at: row.startedAt, step: stepOf(row, due) })),
    ...decisions.map(({ at, key, model }) => ({ at, step: { ...plain(key, 'decision'), of: model } })),
    ...readsIn(logs).map(({ at, name }) => ({ at, step: plain(name, 'read') })),
  ]
  found.sort(
    (a, b) =>
      a.at - b.at || (b.step.key.startsWith(`${a.step.key}/`) ? -1 : a.step.key.startsWith(`${b.step.key}/`) ? 1 : 0),
  )
  return {
    source: { kind: 'job', jobId, version, complete },
    steps: found.map(({ step }) => step),
    shown: new Map(),
    stoppedBy: complete ? null : 'the job has not completed',
    madeUp: [],
  }
}

/** The URL of a callback and what an engine rejected are notes, not calls of their own. */
function tells({ key, kind, info }: StepRow): boolean {
  return !key.endsWith('#url') && !(kind === 'first' && infoOf(info).engine === undefined)
}

function plain(key: string, kind: RunStep['kind']): RunStep {
  return { key, kind, effect: null, declared: {} }
}

const WAITS: ReadonlySet<string> = new Set(['signal', 'callback', 'child', 'approval', 'timer'])

function stepOf({ key, kind, effect, undo, info }: StepRow, due: Map<string, boolean>): RunStep {
  const { declared, engine } = infoOf(info)
  const step: RunStep = {
    key,
    kind,
    effect: effect ?? null,
    declared: { ...(undo && undo !== 'reused' ? { undo: true } : {}), ...declared },
  }
  if (kind === 'first') step.engines = engine === undefined ? null : [engine]
  // A callback and a child always have a limit; a sleep is one.
  if (WAITS.has(kind)) step.bounded = kind === 'signal' || kind === 'approval' ? (due.get(key) ?? null) : true
  return step
}

function infoOf(info: string | null): { declared?: Declared; engine?: string } {
  try {
    return info === null ? {} : (JSON.parse(info) as { declared?: Declared; engine?: string })
  } catch {
    return {}
  }
}

/** Whether a wait had an end of its own, as its suspension said. */
function waitsIn(history: readonly StoredHistory[]): Map<string, boolean> {
  const found = new Map<string, boolean>()
  for (const { event, details } of history) {
    const { id, dueAt } = (details ?? {}) as { id?: unknown; dueAt?: unknown }
    if (event === 'suspended' && typeof id === 'string') found.set(id, dueAt != null)
  }
  return found
}

/** Reads are not recorded; the log names them, once per attempt. */
function readsIn(logs: readonly LogRow[]): { at: number; name: string }[] {
  const seen = new Set<string>()
  return logs.flatMap(({ at, level, message }) => {
    const name = level === 'debug' ? /^Read (.+)$/.exec(message)?.[1] : undefined
    if (name === undefined || seen.has(name)) return []
    seen.add(name)
    return [{ at, name }]
  })
}
