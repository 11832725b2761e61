/**
 * One job under way, as lines for a terminal. Pure. Never invents a percentage, an end or a movement: a bar only with a
 * known total, "usually" only from twenty runs, and nothing that goes backwards but by the job's own word.
 */
import { formatDuration } from '../core/duration.js'
import type { WireAttempt, WireJob } from '../core/wire.js'
import { clean, cutTo, glyphOf, padTo, paint, type Style, shortTime, widthOf } from './text.js'

export interface JobView {
  job: WireJob
  /** Tries that did not work, newest first; empty when we may not see them. */
  tries: readonly WireAttempt[]
  /** Median of this type once it is known from enough runs; null before. */
  usualMs: number | null
  givesUpAt: number | null
  /** True while the server cannot be reached. */
  lost: boolean
}

const SPIN = ['◐', '◓', '◑', '◒']
const BAR = 20
const MAX_TRIES = 3

/** The frame for a terminal of `width` columns; below 60 it is one line. `tick` moves the spinner. */
export function jobFrame(view: JobView, style: Style, width: number, now: number, tick: number): string[] {
  const { job, lost } = view
  const spinner = SPIN[tick % SPIN.length]!
  if (width < 60) return [paintStatus(job, style, cutTo(narrowLine(view, now, spinner), width - 1))]
  const status = statusLine(view, now, spinner, width - 1)
  const lines: string[] = []
  const stages = job.progress?.stages ?? []
  const nameWidth = Math.min(28, Math.max(12, ...stages.map((stage) => widthOf(clean(stage.label)))))
  for (const [i, stage] of stages.entries()) {
    const name = `${i + 1} ${cutTo(clean(stage.label), nameWidth)}`
    if (stage.state === 'done') lines.push(`${style.green('✓')} ${name}`)
    else if (stage.state === 'active' && !job.done) {
      lines.push(
        `${style.blue(spinner)} ${padTo(name, nameWidth + 2)}  ${measure(job, width - nameWidth - 8)}`.trimEnd(),
      )
      lines.push(...tryLines(view, style, width))
    } else lines.push(style.dim(`${stage.state === 'skipped' ? '·' : '○'} ${name}`))
  }
  const active = stages.some((stage) => stage.state === 'active')
  if (!active || job.done) {
    const amount = stages.length === 0 ? measure(job, width - 2) : ''
    if (amount) lines.push(`  ${amount}`)
    lines.push(...tryLines(view, style, width))
  }
  lines.push(paintStatus(job, style, cutTo(status, width - 1)))
  if (lost && !job.done)
    lines.push(style.yellow(cutTo('Connection lost - your job carries on. Trying again…', width - 1)))
  return lines
}

/** The same as one line without anything that only moves: for logs, printed when it changes. */
export function jobLine(view: JobView): string {
  const { job, tries } = view
  if (job.done) {
    const all = tries.length + (job.status === 'completed' ? 1 : 0)
    const many = all > 1 ? `, ${all} tries` : ''
    return `${job.status}  ${formatDuration(Date.parse(job.finishedAt ?? job.updatedAt) - begun(job))}${many}`
  }
  const now = underWay(view) ? `, try ${tries.length + 1}` : ''
  const { message, stage } = job.progress ?? {}
  const text = job.status === 'processing' && stage && !job.late ? (message ?? '') : job.statusText
  return `${job.status}${current(job)}${now}${text ? `  ${clean(text)}` : ''}${view.lost ? '  (connection lost, trying again)' : ''}`
}

/** There is a further try, and this is it. After a permanent error comes the end, or first what must be undone. */
function underWay({ tries: [latest] }: JobView): boolean {
  return latest !== undefined && latest.verdict !== 'permanent'
}

/** How a try ended that did not work: `try 1  58 s  engine crashed (exit 139), transient`. */
export function tryText(attempt: WireAttempt, n: number): string {
  const reason = attempt.outcome === 'lost' ? 'the worker was lost' : clean(attempt.error?.message ?? 'did not work')
  const kind = attempt.verdict && attempt.outcome !== 'lost' ? `, ${clean(attempt.verdict)}` : ''
  return `try ${n}  ${formatDuration(attempt.durationMs)}  ${reason}${kind}`
}

/** When its time counts from. */
function begun(job: WireJob): number {
  return Math.max(Date.parse(job.createdAt), job.runAt ? Date.parse(job.runAt) : 0)
}

function paintStatus(job: WireJob, style: Style, line: string): string {
  return job.late && !job.done ? style.yellow(line) : paint(style, job.status, line)
}

function statusLine(view: JobView, now: number, spinner: string, room: number): string {
  const { job } = view
  const from = begun(job)
  const elapsed = formatDuration((job.finishedAt ? Date.parse(job.finishedAt) : now) - from)
  if (job.done) return `${glyphOf(job.status)} ${word(job)}  ${elapsed}`
  const glyph = job.status === 'processing' ? spinner : glyphOf(job.status)
  const parts = [`${glyph} ${word(job)}`]
  if (job.status === 'blocked') parts.push(clean(job.blockedOn[0]?.title ?? ''))
  if (from <= now) parts.push(elapsed)
  else parts.push(`starts ${shortTime(from, now)}`)
  if (view.usualMs !== null) parts.push(`(usually ${formatDuration(view.usualMs)})`)
  if (view.givesUpAt !== null && (job.late || view.tries.length > 0))
    parts.push(`gives up ${shortTime(view.givesUpAt, now)}`)
  const line = parts.filter(Boolean).join('  ')
  // What is usual is the first thing to leave out where there is no room for all.
  if (view.usualMs === null || widthOf(line) <= room) return line
  return statusLine({ ...view, usualMs: null }, now, spinner, room)
}

/** What moves comes first: there is room for little. */
function narrowLine(view: JobView, now: number, spinner: string): string {
  const { job, lost, tries } = view
  if (lost && !job.done) return 'Connection lost - your job carries on.'
  if (job.done || job.status === 'blocked') return statusLine(view, now, spinner, Infinity)
  const glyph = job.status === 'processing' ? spinner : glyphOf(job.status)
  const where = current(job).trim() || word(job)
  return `${glyph} ${where}${underWay(view) ? `  try ${tries.length + 1}` : ''}  ${formatDuration(now - begun(job))}`
}

function word(job: WireJob): string {
  if (job.status === 'blocked') return 'Action required'
  const name = job.status.charAt(0).toUpperCase() + job.status.slice(1)
  if (job.cancelRequestedAt && !job.done) return `${name} - stopping on request`
  return job.late && !job.done ? `${name} - taking longer than usual` : name
}

function current(job: WireJob): string {
  const { progress } = job
  if (!progress || job.done) return ''
  const at = progress.stages.findIndex((stage) => stage.state === 'active')
  const stage = at < 0 ? '' : `  ${at + 1}/${progress.stages.length} ${clean(progress.stages[at]!.label)}`
  return `${stage}${amount(job)}`
}

function amount(job: WireJob): string {
  const { completed, total, unit, iterations } = job.progress ?? {}
  const rounds = iterations ? counted(iterations.completed, iterations.total, 'round') : ''
  return typeof completed === 'number' ? counted(completed, total, clean(unit ?? '')) + rounds : rounds
}

function counted(completed: number, total: number | null | undefined, unit: string): string {
  const units = unit === '' ? '' : ` ${unit}${(total ?? completed) === 1 ? '' : 's'}`
  return total == null ? `  ${completed}${units}` : `  ${completed}/${total}${units}`
}

/** Bar and numbers when the total is known, numbers alone when it is not, else the message. */
function measure(job: WireJob, room: number): string {
  const { completed, total, message } = job.progress ?? {}
  if (job.done) return ''
  if (typeof completed === 'number' && typeof total === 'number' && total > 0) {
    const filled = Math.min(BAR, Math.max(0, Math.floor((completed / total) * BAR)))
    return cutTo(`${'█'.repeat(filled)}${'░'.repeat(BAR - filled)}${amount(job)}`, room)
  }
  return cutTo(amount(job).trim() || clean(message ?? ''), room)
}

function tryLines(view: JobView, style: Style, width: number): string[] {
  const all = view.tries.length
  const lines = view.tries
    .slice(0, MAX_TRIES)
    .map((one, i) => style.yellow(cutTo(`    ↻ ${tryText(one, all - i)}`, width - 1)))
  if (all > MAX_TRIES) lines.push(style.dim(`      and ${all - MAX_TRIES} before`))
  return lines
}
