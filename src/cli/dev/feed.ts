/**
 * Changes of jobs as lines of the dev console. Says each thing once: a job that is read again unchanged gives nothing.
 * A try that did not work is never called failed; that word is kept for the end.
 */
import { formatDuration } from '../../core/duration.js'
import type { WireJob } from '../../core/wire.js'
import { clean, clockTime, count, padTo, paint, type Style, shortId, shortTime } from '../text.js'

export interface FeedEntry {
  at: number
  job: WireJob
  text: string
  /** Lines below, indented. */
  more: string[]
}

const KEEP = 500
const FRESH_MS = 10_000

export class JobFeed {
  private readonly said = new Map<string, string>()
  /** Jobs of which a try did not work, for the note after the first completed one. */
  private readonly hurt = new Set<string>()

  /** What there is to say about this job now. @param tries so far, the one under way among them */
  take(job: WireJob, now: number, url: string, tries = 0): FeedEntry[] {
    if (job.ops?.phase === 'retrying' || tries > 1) this.hurt.add(job.id)
    const mark = `${job.status} ${job.ops?.phase} ${job.ops?.attempt} ${job.progress?.stage}`
    const before = this.said.get(job.id)
    if (before === mark) return []
    this.said.delete(job.id)
    this.said.set(job.id, mark)
    if (this.said.size > KEEP) this.forget(this.said.keys().next().value!)
    const entries: FeedEntry[] = [{ at: now, job, ...sentence(job, now, url, tries) }]
    // Stored and claimed in one commit: that it was stored is said all the same.
    const at = Date.parse(job.createdAt)
    if (before === undefined && job.status !== 'accepted' && now - at < FRESH_MS) {
      entries.unshift({
        at,
        job: { ...job, status: 'accepted', done: false, ops: undefined, error: null },
        text: 'stored',
        more: [],
      })
    }
    return entries
  }

  wasHurt(id: string): boolean {
    return this.hurt.has(id)
  }

  private forget(id: string): void {
    this.said.delete(id)
    this.hurt.delete(id)
  }
}

function sentence(job: WireJob, now: number, url: string, tries: number): Pick<FeedEntry, 'text' | 'more'> {
  const { ops } = job
  if (job.status === 'accepted') {
    const at = job.runAt ? Date.parse(job.runAt) : 0
    return { text: at > now ? `stored, starts ${shortTime(at, now)}` : 'stored', more: [] }
  }
  if (job.status === 'blocked')
    return { text: `action required: ${clean(job.blockedOn[0]?.title ?? job.statusText)}`, more: [url] }
  if (job.status === 'processing') {
    if (ops?.phase === 'cancelling') return { text: 'stopping on request', more: [] }
    if (ops?.phase === 'compensating') return { text: 'undoing what was done', more: [] }
    if (ops?.phase === 'retrying') return notWorked(job, now, tries)
    if (ops?.phase === 'waiting') return { text: clean(job.statusText), more: [] }
    return { text: `${stageOf(job)}${tries > 1 ? `, try ${tries}` : ''}`, more: [] }
  }
  const from = Math.max(Date.parse(job.createdAt), job.runAt ? Date.parse(job.runAt) : 0)
  const took = job.finishedAt ? formatDuration(Date.parse(job.finishedAt) - from) : ''
  const many = tries > 1 ? `, ${tries} tries` : ''
  if (job.status === 'completed')
    return {
      text: `${took}${many}${notes(job)}`,
      more: [url],
    }
  return {
    text: `${clean(job.error?.message ?? job.statusText)}`,
    more: [`${clean(job.error?.code ?? '')}${many}`, url],
  }
}

const notes = ({ warnings }: WireJob): string => (warnings.length > 0 ? `, ${count(warnings.length, 'note')}` : '')

function notWorked(job: WireJob, now: number, tries: number): Pick<FeedEntry, 'text' | 'more'> {
  const { lastError, nextAttemptAt } = job.ops ?? {}
  const inMs = nextAttemptAt ? Math.max(0, Date.parse(nextAttemptAt) - now) : 0
  const next = inMs < 100 ? 'next try now' : `next try in ${formatDuration(inMs)}`
  const why = clean(lastError?.message ?? 'the worker was lost')
  return {
    text: `${stageOf(job)}, try ${tries} did not work`,
    more: [why, lastError?.class ? `${lastError.class}, ${next}` : next],
  }
}

function stageOf(job: WireJob): string {
  const stages = job.progress?.stages ?? []
  const at = stages.findIndex((stage) => stage.state === 'active')
  if (at >= 0) return `${at + 1}/${stages.length} ${clean(stages[at]!.label)}`
  return job.progress?.message ? clean(job.progress.message) : 'working'
}

/** The entry as lines; below 60 columns the text stands under its job. */
export function renderEntry(
  { at, job, text, more }: FeedEntry,
  style: Style,
  typeWidth: number,
  width: number,
): string {
  const narrow = width < 60
  const shade = job.ops?.phase === 'retrying' ? style.yellow : (line: string) => line
  const head = `  ${style.dim(clockTime(at))}  ${padTo(clean(job.type), typeWidth)}  ${style.dim(shortId(job.id))}`
  const status = paint(style, job.status, narrow ? job.status : padTo(job.status, 10))
  const below = (narrow ? [shade(text), ...more] : more)
    .filter(Boolean)
    .map((line) => `${' '.repeat(narrow ? 4 : 12)}${shade(line)}`)
  return [narrow ? `${head}  ${status}` : `${head}  ${status}  ${shade(text)}`, ...below].join('\n')
}

/** The entry as one line of JSON. */
export function entryJson({ at, job, text }: FeedEntry): Record<string, unknown> {
  const { ops } = job
  return {
    event: 'job',
    at: new Date(at).toISOString(),
    id: job.id,
    type: job.type,
    status: job.status,
    done: job.done,
    phase: ops?.phase ?? null,
    attempt: ops?.attempt ?? null,
    nextAttemptAt: job.done ? null : (ops?.nextAttemptAt ?? null),
    error: job.error ?? ops?.lastError ?? null,
    text,
  }
}
