/**
 * The explanation of a job and of a type: reads everything that its story is told from, and decides which voices the caller may hear.
 * Changes nothing.
 */
import type { ApprovalRow } from '../core/approval.js'
import { UntildoneError } from '../core/errors.js'
import { partsOf } from '../core/job.js'
import type { Voice, WireStory } from '../core/wire-story.js'
import type { WireTypeStory } from '../core/wire-type-story.js'
import type { StepRow, StoredHistory, StoredJob } from '../stores/store.js'
import type { Caller } from './api.js'
import type { EngineParts } from './parts.js'
import { demand, holds, mayUseType } from './rights.js'
import { type Detail, factsOf } from './story/facts.js'
import { storyOf } from './story/story.js'
import { type RecordedRun, runOfJob } from './story/type-run.js'
import { typeStoryOf } from './story/type-story.js'

/** Of a longer history the beginning and the end are told. */
const FIRST = 100
const LAST = 400
/** Reads are found in the log; what is beyond these lines is not. */
const LOGS = 2000

export class Stories {
  constructor(
    private readonly parts: EngineParts,
    /** The approvals of a job, where there are any. */
    private readonly approvalsOf: (jobId: string) => Promise<readonly ApprovalRow[]> = async () => [],
  ) {}

  /** @param voice @default the one that hears most of those this caller may hear */
  async story(caller: Caller, id: string, voice?: Voice): Promise<WireStory> {
    const { parts } = this
    const stored = await parts.load(caller, id, 0)
    if (voice === 'operator') demand(caller, 'jobs:operate')
    if (voice === 'support') demand(caller, 'jobs:read')
    const hears: Voice[] = ['caller', 'endUser']
    if (holds(caller, 'jobs:read')) hears.push('support')
    if (holds(caller, 'jobs:operate')) hears.push('operator')
    const detail = await this.detailOf(stored)
    const type = { ...parts.typeView(stored), pause: await this.pauseOf(stored) }
    return storyOf(factsOf(stored, parts.store.now(), type, detail), voice ?? hears.at(-1)!, hears)
  }

  /**
   * The story of a type, told from a job of it: the given one, or the latest that completed and that this caller may see.
   * @throws UntildoneError `not-found`, `job-not-found`, `forbidden`
   */
  async typeStory(caller: Caller, name: string, from?: string): Promise<WireTypeStory> {
    const type = this.parts.registry.get(name)
    if (!type || !mayUseType(caller, name)) throw noType(name)
    const job = from === undefined ? await this.latest(caller, name) : await this.parts.load(caller, from, 0)
    if (from !== undefined) demand(caller, 'jobs:read')
    if (job && job.record.type !== name)
      throw new UntildoneError('not-found', `Job ${from} is of type "${job.record.type}", not "${name}".`, {
        params: { type: name, jobId: from },
      })
    return typeStoryOf(type.handler, job && (await this.runOf(job)))
  }

  private async latest(caller: Caller, type: string): Promise<StoredJob | null> {
    if (!holds(caller, 'jobs:read')) return null
    const { tenant } = caller
    const [found] = await this.parts.store.list({
      ...{ tenant, types: [type], statuses: ['completed'], order: '-finishedAt', limit: 1 },
    })
    return found ?? null
  }

  private async runOf({ record, outcome }: StoredJob): Promise<RecordedRun> {
    const { store } = this.parts
    const { id, typeVersion } = record
    const [steps, decisions, { entries }, logs] = await Promise.all([
      store.steps(id),
      store.decisions(id),
      store.history(id, 0, FIRST + LAST),
      store.logs(id, 0, LOGS),
    ])
    return runOfJob({
      ...{ jobId: id, version: typeVersion, complete: outcome?.status === 'completed', steps, decisions },
      ...{ history: entries, logs: logs.map(({ row }) => row) },
    })
  }

  private async detailOf({ record, live, outcome }: StoredJob): Promise<Detail> {
    const { store } = this.parts
    const { id } = record
    const version = outcome?.version ?? live!.version
    const [history, attempts, steps, waits, decisions, effects, approvals] = await Promise.all([
      this.historyOf(id, version),
      store.attempts(id),
      store.steps(id),
      store.waits(id),
      store.decisions(id),
      store.effects(id),
      this.approvalsOf(id),
    ])
    return { ...history, attempts, steps: inOrder(steps), waits, decisions, effects, approvals }
  }

  private async historyOf(id: string, version: number): Promise<Pick<Detail, 'history' | 'leftOut'>> {
    const { store } = this.parts
    const { entries: first } = await store.history(id, 0, FIRST)
    if (first.length < FIRST) return { history: first, leftOut: null }
    const after = Math.max(FIRST, version - LAST)
    const { entries: last } = await store.history(id, after, LAST)
    const history: StoredHistory[] = [...first, ...last]
    return { history, leftOut: after > FIRST ? { after: FIRST, entries: after - FIRST } : null }
  }

  /** The pause of its type or queue that keeps it from being started. */
  private async pauseOf({ record, live }: StoredJob) {
    if (live?.state !== 'queued') return null
    const { queue } = partsOf(live.lane)
    const rows = await this.parts.store.pauses.list()
    const of = (kind: string, name: string) =>
      rows.find((row) => row.tenant === record.tenant && row.kind === kind && row.name === name)
    return of('type', record.type) ?? of('queue', queue) ?? null
  }
}

/** The same words whether it does not exist or may not be used. */
export function noType(name: string): UntildoneError {
  return new UntildoneError('not-found', `There is no job type "${name}".`, { params: { type: name } })
}

/** A stage is recorded after what is inside it, also within one millisecond. */
function inOrder(steps: StepRow[]): StepRow[] {
  const within = (a: StepRow, b: StepRow) => a.key.startsWith(`${b.key}/`)
  return steps.sort((a, b) => a.endedAt - b.endedAt || (within(a, b) ? -1 : within(b, a) ? 1 : 0))
}
