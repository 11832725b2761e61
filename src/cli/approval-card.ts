/**
 * The card of an approval for terminals: everything a person decides by, in the order in which it matters. What will be
 * written has text signs besides colours. All foreign text is cleaned. Pure.
 */
import { formatDuration } from '../core/duration.js'
import type { Person } from '../core/job.js'
import { canonicalJson, type Json } from '../core/json.js'
import type { WireApproval, WireApprovalItem, WireChanged } from '../core/wire-approval.js'
import { facts } from './table.js'
import { ago, clean, count, oneUnit, type Style } from './text.js'

export function approvalCard(card: WireApproval, now: number, style: Style): string {
  const { quorum, state } = card
  const parts = [
    `${style.bold(clean(card.summary))}\n${clean(card.because)}`,
    facts([
      ['id', card.id],
      ['state', state === 'pending' ? null : stateOf(card)],
      ['risk', `${riskTag(card, style)}  ${clean(card.rule)}\n${clean(card.riskWhy)} (rule ${clean(card.riskRule)})`],
      ['approvals', `${quorum.filled} of ${quorum.needed}${openOf(card)}`],
      ['due', state === 'pending' ? `${card.dueAt}  (${whenDue(card, now)})\n${clean(card.atExpiry)}` : null],
      ['asked by', askedBy(card)],
      ['version', card.round > 1 || card.proposal > 1 ? `round ${card.round}, proposal ${card.proposal}` : null],
      ['may edit', card.allow.edit.map(clean).join(', ')],
      ['job', `${card.jobId}  ${clean(card.jobType)}${card.jobStatus ? `, ${card.jobStatus}` : ''}`],
    ]),
    section('What will be written', writesOf(card, style)),
    section('Evidence', evidenceOf(card, now)),
    facts([
      ['impact', impactOf(card)],
      ['if it turns out wrong', rollbackOf(card)],
      ['not sure about', card.confidenceNotes.map(clean).join('\n')],
    ]),
    section('Decisions', decisionsOf(card, now)),
    ...card.earlier.map((earlier) => {
      const who = earlier.by ? ` by ${nameOf(earlier.by)}` : ''
      const title = `${WHY[earlier.why]}${who}, ${ago(earlier.at, now)}${earlier.reason ? `: ${clean(earlier.reason)}` : ''}`
      const wishes = earlier.changes.map(({ about, text }) => `  · ${about ? `${clean(about)}: ` : ''}${clean(text)}`)
      return section(title, [...wishes, ...earlier.changed.flatMap((changed) => changedLines(changed, style))])
    }),
    `hash  ${card.digest}`,
  ]
  return parts.filter(Boolean).join('\n\n')
}

const WHY = {
  edited: 'Changed: edited',
  'changes-requested': 'Changed: changes were asked for',
  'asked-again': 'Changed: asked again, because something else would be written now',
} as const

/** `in 2 d`, `over`. */
export function whenDue({ dueAt, state }: Pick<WireApprovalItem, 'dueAt' | 'state'>, now: number): string {
  if (state !== 'pending') return state
  const left = Date.parse(dueAt) - now
  return left <= 0 ? 'over' : `in ${oneUnit(left)}`
}

export function nameOf({ id, name }: Person): string {
  return clean(name ? `${name} (${id})` : id)
}

export function riskTag({ risk }: Pick<WireApprovalItem, 'risk'>, style: Style): string {
  return risk === 'high' ? style.red(risk) : risk === 'medium' ? style.yellow(risk) : risk
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : [title, ...lines].join('\n')
}

function stateOf({ state, decidedAt, withdrawnBecause }: WireApproval): string {
  return [state, decidedAt, withdrawnBecause && clean(withdrawnBecause)].filter(Boolean).join('  ')
}

function openOf({ quorum, state }: WireApproval): string {
  if (state !== 'pending' || quorum.open.length === 0) return ''
  return `; open: ${quorum.open.map(({ group, n }) => `${n} of ${clean(group)}`).join(', ')}`
}

function askedBy({ requesters, actor }: WireApproval): string {
  const model = [actor.model, actor.version].filter(Boolean).join(' ')
  const tools = actor.tools.length > 0 ? ` with ${actor.tools.join(', ')}` : ''
  return [...requesters.map(nameOf), ...(model ? [clean(`model ${model}${tools}`)] : [])].join(' · ')
}

/** Grouped by write; a line that is taken away and one that is added, with their signs. */
function writesOf({ writes, diff }: WireApproval, style: Style): string[] {
  const width = Math.max(0, ...diff.map(({ field }) => field.length))
  return writes.flatMap((write) => {
    const name = [write.operation, write.target, write.object].filter(Boolean).join(' ')
    const head = `  ${clean(name)}${write.href ? `  ${clean(write.href)}` : ''}`
    const lines = write.fields.flatMap(({ field, now, after }) => {
      const label = clean(field).padEnd(width)
      if (canonicalJson(now) === canonicalJson(after)) return [`      ${label}  ${shown(now)}`]
      return [
        ...(now === null ? [] : [style.red(`    − ${label}  ${shown(now)}`)]),
        ...(after === null ? [] : [style.green(`    + ${label}  ${shown(after)}`)]),
      ]
    })
    return [write.irreversible ? `${head}  ${style.red('cannot be undone')}` : head, ...lines]
  })
}

function shown(value: Json): string {
  return clean(typeof value === 'string' ? value : JSON.stringify(value))
}

function evidenceOf({ evidence }: WireApproval, now: number): string[] {
  if (evidence.length === 0) return ['  none: the job says that there is none, which raises the risk']
  return evidence.flatMap(({ label, quote, href, version, asOf }) => [
    `  ${clean(label)}${version ? ` (${clean(version)})` : ''}${asOf ? `  read ${ago(asOf, now)}` : ''}`,
    ...(quote ? [`    “${clean(quote)}”`] : []),
    ...(href ? [`    ${clean(href)}`] : []),
  ])
}

function impactOf({ impact }: WireApproval): string {
  const { description, affects, people, money, visibility } = impact
  const more = [
    ...(affects.length > 0 ? [affects.join(', ')] : []),
    ...(people === null ? [] : [count(people, 'person', 'people')]),
    ...(money ? [`${money.amount} ${money.currency}`] : []),
    ...(visibility ? [`seen by ${visibility}`] : []),
  ]
  return clean([description, ...more].join(' · '))
}

function rollbackOf({ rollback: { plan, withinMs, by } }: WireApproval): string {
  const more = [...(withinMs === null ? [] : [`within ${formatDuration(withinMs)}`]), ...(by ? [`by ${by}`] : [])]
  return clean([plan, ...more].join(' · '))
}

function decisionsOf({ decisions, proposal }: WireApproval, now: number): string[] {
  return decisions.map((made) => {
    const counts = made.decision === 'approve' && made.proposal !== proposal ? '  (for what was shown then)' : ''
    const edits = made.data ? `  edited ${Object.keys(made.data).map(clean).join(', ')}` : ''
    const why = made.reason ? `: ${clean(made.reason)}` : ''
    return `  ${nameOf(made.by)}  ${SAID[made.decision]} ${ago(made.at, now)}${counts}${edits}${why}`
  })
}
const SAID = { approve: 'approved', reject: 'rejected', requestChanges: 'asked for changes' } as const

function changedLines({ of, field, side, before, after }: WireChanged, style: Style): string[] {
  const name = clean([of, field, side === 'now' ? '(as it is now)' : ''].filter(Boolean).join(' '))
  return [
    ...(before === null ? [] : [style.red(`  − ${name}  ${shown(before)}`)]),
    ...(after === null ? [] : [style.green(`  + ${name}  ${shown(after)}`)]),
  ]
}
