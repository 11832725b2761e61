/**
 * Many jobs under way, one line for each, for a terminal and for logs. Pure. Shows what needs a look first when there is
 * no room for all, and counts the rest; never invents a percentage or an end.
 */
import { formatDuration } from '../core/duration.js'
import { STATUSES, type Status } from '../core/job.js'
import type { WireJob } from '../core/wire.js'
import { clean, cutTo, glyphOf, padTo, paint, type Style, shortId, widthOf } from './text.js'

const SPIN = ['◐', '◓', '◑', '◒']
/** Lines of jobs; what is above and below must fit a terminal of 24 rows. */
const MOST_LINES = 20
/** Blocked ones wait for somebody; those that have ended are read last. */
const ORDER: Record<Status, number> = { blocked: 0, failed: 1, processing: 2, accepted: 3, cancelled: 4, completed: 5 }

export interface JobsView {
  /** In the order in which they came. */
  jobs: readonly WireJob[]
  /** When the watch began. */
  since: number
  lost: boolean
}

export type Counts = Record<Status, number>

export function countsOf(jobs: Iterable<WireJob>): Counts {
  const counts = Object.fromEntries(STATUSES.map((status) => [status, 0])) as Counts
  for (const { status } of jobs) counts[status]++
  return counts
}

/** `completed 4, failed 1`: no word for what there is none of. */
export function countsText(counts: Counts): string {
  const order: readonly Status[] = ['completed', 'failed', 'cancelled', 'blocked', 'processing', 'accepted']
  return order
    .filter((status) => counts[status] > 0)
    .map((status) => `${status} ${counts[status]}`)
    .join(', ')
}

/** The frame for a terminal of `width` columns; below 60 it is one line. */
export function jobsFrame(view: JobsView, style: Style, width: number, now: number, tick: number): string[] {
  const { jobs, lost } = view
  const counts = countsOf(jobs)
  const done = jobs.filter((job) => job.done).length
  const elapsed = formatDuration(now - view.since)
  const sum = `${done} of ${jobs.length} done  ${countsText(counts)}`
  const last = cutTo(width < 60 ? sum : `${sum}  ${elapsed}`, width - 1)
  const trouble = cutTo('Connection lost - the jobs carry on. Trying again…', width - 1)
  if (width < 60) return [lost && done < jobs.length ? style.yellow(trouble) : last]
  const shown = shownOf(jobs)
  const typeWidth = Math.min(24, Math.max(...shown.map((job) => widthOf(clean(job.type))), 1))
  const spinner = SPIN[tick % SPIN.length]!
  const lines = shown.map((job) => jobRow(job, style, { typeWidth, width, now, spinner }))
  if (shown.length < jobs.length) {
    const hidden = countsOf(jobs.filter((job) => !shown.includes(job)))
    lines.push(style.dim(cutTo(`… and ${jobs.length - shown.length} more: ${countsText(hidden)}`, width - 1)))
  }
  lines.push(last)
  if (lost && done < jobs.length) lines.push(style.yellow(trouble))
  return lines
}

/** The jobs there is room for, in the order in which they came. */
function shownOf(jobs: readonly WireJob[]): WireJob[] {
  if (jobs.length <= MOST_LINES) return [...jobs]
  const urgent = [...jobs].sort((a, b) => ORDER[a.status] - ORDER[b.status]).slice(0, MOST_LINES)
  const chosen = new Set(urgent)
  return jobs.filter((job) => chosen.has(job))
}

interface Row {
  typeWidth: number
  width: number
  now: number
  spinner: string
}

function jobRow(job: WireJob, style: Style, { typeWidth, width, now, spinner }: Row): string {
  const glyph = job.status === 'processing' ? spinner : glyphOf(job.status)
  const type = padTo(cutTo(clean(job.type), typeWidth), typeWidth)
  const text = `${glyph} ${shortId(job.id)}  ${type}  ${what(job, amountOf(job))}  ${timeOf(job, now)}`
  const line = cutTo(text, width - 1)
  return job.late && !job.done ? style.yellow(line) : paint(style, job.status, line)
}

/** One job as a line of a log, without what only moves: printed when it changes. The id stands whole, to be copied. */
export function jobsLine(job: WireJob): string {
  const time = job.done ? `  ${timeOf(job, Date.parse(job.updatedAt))}` : ''
  return `${job.id}  ${clean(job.type)}  ${what(job, '')}${time}`
}

function what(job: WireJob, amount: string): string {
  const { status, progress, error, blockedOn } = job
  if (status === 'failed' || status === 'cancelled') return `${status}  ${clean(error?.message ?? job.statusText)}`
  if (status === 'completed') return status
  if (status === 'blocked') return `blocked  ${clean(blockedOn[0]?.title ?? job.statusText)}`
  const stopping = job.cancelRequestedAt ? '  stopping on request' : job.late ? '  taking longer than usual' : ''
  const at = progress?.stages?.findIndex((stage) => stage.state === 'active') ?? -1
  const stage = at < 0 ? '' : `  ${at + 1}/${progress!.stages.length} ${clean(progress!.stages[at]!.label)}`
  return `${status}${stage}${amount}${stopping}`
}

function amountOf({ progress }: WireJob): string {
  const { completed, total, unit } = progress ?? {}
  if (typeof completed !== 'number') return ''
  const of = total == null ? `${completed}` : `${completed}/${total}`
  return `  ${of}${unit ? ` ${clean(unit)}${(total ?? completed) === 1 ? '' : 's'}` : ''}`
}

function timeOf(job: WireJob, now: number): string {
  const from = Math.max(Date.parse(job.createdAt), job.runAt ? Date.parse(job.runAt) : 0)
  if (from > now) return 'not yet due'
  return formatDuration((job.finishedAt ? Date.parse(job.finishedAt) : now) - from)
}
