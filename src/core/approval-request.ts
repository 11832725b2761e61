/**
 * Reads what a handler hands to `job.approve`. A request without summary, reason, writes, evidence, impact or way back
 * does not exist: everything that is wrong with it is said at once, each with what to do. Pure; never throws.
 */
import { type ApprovalBody, ON_REJECT, type OnReject } from './approval.js'
import type { FieldError } from './errors.js'
import type { Person } from './job.js'
import { canonicalJson, type Json, utf8Length } from './json.js'
import { type Evidence, type Impact, type ProposedWrite, type Rollback, TOUCHES } from './proposal.js'
import { escaped, isRecord, Reader } from './reader.js'
import { type GroupNeed, ON_EXPIRE, type OnExpire, RISKS, type Risk } from './risk.js'

/** Longest texts in characters, most entries, largest values. */
export const APPROVAL_LIMITS = {
  ...{ summary: 280, because: 1000, impact: 1000, rollback: 1000, note: 500, notes: 20, name: 200, quote: 200 },
  ...{ writes: 100, fields: 200, evidence: 50, groups: 20, need: 20, tools: 100, rounds: 20, bytes: 262_144 },
} as const
const LIMITS = APPROVAL_LIMITS
const VISIBILITIES = ['internal', 'customers', 'public'] as const

const MEMBERS = {
  request: [
    ...[
      'summary',
      'because',
      'writes',
      'evidence',
      'impact',
      'rollback',
      'risk',
      'requester',
      'actor',
      'data',
      'allow',
    ],
    ...['need', 'assign', 'escalateTo', 'due', 'onExpire', 'onReject', 'maxRounds', 'confidenceNotes'],
  ],
  write: ['target', 'operation', 'object', 'href', 'irreversible', 'touches', 'change'],
  field: ['now', 'after', 'from'],
  evidence: ['label', 'quote', 'href', 'version', 'asOf'],
  impact: ['description', 'affects', 'people', 'money', 'visibility'],
  money: ['amount', 'currency'],
  rollback: ['plan', 'within', 'by'],
  person: ['id', 'name'],
  actor: ['model', 'version', 'tools'],
  allow: ['edit', 'changes'],
  need: ['group', 'n'],
} as const

export function checkRequest(request: unknown): { ok: true; body: ApprovalBody } | { ok: false; errors: FieldError[] } {
  const read = new Reader()
  const at = read.object(
    '',
    request,
    MEMBERS.request,
    'Give an object with summary, because, writes, evidence, impact and rollback.',
  )
  if (!at) return { ok: false, errors: read.errors }
  const data = read.json('/data', at.data ?? null)
  const body: ApprovalBody = {
    summary: read.text(
      '/summary',
      at.summary,
      LIMITS.summary,
      'Say in one sentence what is to be done: verb, object, amount or recipient.',
    ),
    because: read.text('/because', at.because, LIMITS.because, 'Say in a sentence or two why it should be done.'),
    writes: writesOf(read, at.writes, data),
    evidence: evidenceOf(read, at.evidence),
    impact: impactOf(read, at.impact),
    rollback: rollbackOf(read, at.rollback),
    data,
    confidenceNotes: notesOf(read, at.confidenceNotes),
    actor: actorOf(read, at.actor),
    requester: requesterOf(read, at.requester),
    risk: read.oneOf<Risk>('/risk', at.risk, RISKS) ?? null,
    need: needOf(read, at.need),
    assign: read.names('/assign', at.assign, LIMITS.groups),
    escalateTo: read.names('/escalateTo', at.escalateTo, LIMITS.groups),
    dueMs: read.duration('/due', at.due),
    onExpire: read.oneOf<OnExpire>('/onExpire', at.onExpire, ON_EXPIRE) ?? null,
    onReject: read.oneOf<OnReject>('/onReject', at.onReject, ON_REJECT) ?? 'cancel',
    allow: { edit: [], changes: true },
    maxRounds: read.count('/maxRounds', at.maxRounds, LIMITS.rounds) ?? 3,
  }
  body.allow = allowOf(read, at.allow, body)
  if (read.errors.length === 0 && utf8Length(canonicalJson(body)) > LIMITS.bytes)
    read.fail(
      '',
      'too-large',
      `The request is larger than ${LIMITS.bytes} bytes. Link to what is long instead of quoting it.`,
    )
  return read.errors.length > 0 ? { ok: false, errors: read.errors } : { ok: true, body }
}

function writesOf(read: Reader, value: unknown, data: Json): ProposedWrite[] {
  const fix = 'List each external write: { target, operation, change: { field: [now, after] } }.'
  return read.list('/writes', value, LIMITS.writes, fix).map((item, i) => {
    const pointer = `/writes/${i}`
    const at = read.object(pointer, item, MEMBERS.write, fix) ?? {}
    return {
      target: read.text(`${pointer}/target`, at.target, LIMITS.name, 'Name the system that is written to.'),
      operation: read.name(`${pointer}/operation`, at.operation) ?? 'write',
      object: read.name(`${pointer}/object`, at.object),
      href: read.link(`${pointer}/href`, at.href),
      irreversible: read.flag(`${pointer}/irreversible`, at.irreversible) ?? false,
      touches: read.choices(`${pointer}/touches`, at.touches, TOUCHES),
      fields: fieldsOf(read, `${pointer}/change`, at.change, data),
    }
  })
}

function fieldsOf(read: Reader, pointer: string, value: unknown, data: Json): ProposedWrite['fields'] {
  const fix = 'Give every field that changes: { field: [now, after] }; null means that it is not there.'
  const change = read.object(pointer, value, null, fix)
  // JSON would leave them out as well.
  const names = Object.keys(change ?? {}).filter((name) => change![name] !== undefined)
  if (change && (names.length === 0 || names.length > LIMITS.fields))
    read.fail(pointer, 'size', `${fix} At least 1, at most ${LIMITS.fields}.`)
  return names.map((field) => {
    const place = `${pointer}/${escaped(field)}`
    const item = change![field]
    const pair = Array.isArray(item) && item.length === 2 ? { now: item[0], after: item[1] } : null
    const at: Record<string, unknown> | null =
      pair ?? read.object(place, item, MEMBERS.field, 'Give [now, after] or { now, after, from }.')
    const after = read.json(`${place}/after`, at?.after ?? null)
    const from = read.name(`${place}/from`, at?.from)
    if (from !== null && !same(member(data, from), after)) {
      const message = `from: "${from}" must be a member of data that holds the value of after, so that both change together.`
      read.fail(`${place}/from`, 'mismatch', message)
    }
    return { field, now: read.json(`${place}/now`, at?.now ?? null), after, from }
  })
}

function evidenceOf(read: Reader, value: unknown): Evidence[] {
  if (value === 'none') return []
  const fix = `List what it rests on: { label, quote, href }. If there is nothing, write evidence: 'none'; that raises the risk.`
  return read.list('/evidence', value, LIMITS.evidence, fix).map((item, i) => {
    const pointer = `/evidence/${i}`
    const at = read.object(pointer, item, MEMBERS.evidence, fix) ?? {}
    const evidence = {
      label: read.text(`${pointer}/label`, at.label, LIMITS.name, 'Say what this is.'),
      quote: read.optional(`${pointer}/quote`, at.quote, LIMITS.quote, 'Quote the words that matter.'),
      href: read.link(`${pointer}/href`, at.href),
      version: read.name(`${pointer}/version`, at.version),
      asOf: read.instant(`${pointer}/asOf`, at.asOf),
    }
    if (at.quote === undefined && at.href === undefined)
      read.fail(pointer, 'required', 'Give a quote, a link or both, so that it can be checked.')
    return evidence
  })
}

function impactOf(read: Reader, value: unknown): Impact {
  const fix = 'Say who and how many are affected, how much money moves and who sees it.'
  if (typeof value === 'string' || value === undefined) {
    const description = read.text('/impact', value, LIMITS.impact, fix)
    return { description, affects: [], people: null, money: null, visibility: null }
  }
  const at = read.object('/impact', value, MEMBERS.impact, fix) ?? {}
  const money =
    at.money == null ? null : read.object('/impact/money', at.money, MEMBERS.money, 'Give { amount, currency }.')
  return {
    description: read.text('/impact/description', at.description, LIMITS.impact, fix),
    affects: read.names('/impact/affects', at.affects, LIMITS.groups),
    people: at.people == null ? null : (read.count('/impact/people', at.people, Number.MAX_SAFE_INTEGER, 0) ?? null),
    money: money && {
      amount: read.number('/impact/money/amount', money.amount),
      currency: read.text('/impact/money/currency', money.currency, LIMITS.name, 'Name the currency, e.g. EUR.'),
    },
    visibility: at.visibility == null ? null : (read.oneOf('/impact/visibility', at.visibility, VISIBILITIES) ?? null),
  }
}

function rollbackOf(read: Reader, value: unknown): Rollback {
  if (value === 'none') return { available: false, plan: 'This cannot be undone.', withinMs: null, by: null }
  const fix = `Say how it is undone, until when and by whom. If it cannot be, write rollback: 'none'; that is high risk.`
  if (typeof value === 'string' || value === undefined)
    return { available: true, plan: read.text('/rollback', value, LIMITS.rollback, fix), withinMs: null, by: null }
  const at = read.object('/rollback', value, MEMBERS.rollback, fix) ?? {}
  return {
    available: true,
    plan: read.text('/rollback/plan', at.plan, LIMITS.rollback, fix),
    withinMs: read.duration('/rollback/within', at.within),
    by: read.name('/rollback/by', at.by),
  }
}

function notesOf(read: Reader, value: unknown): string[] {
  if (value === undefined) return []
  const fix = 'Give a sentence or a list of sentences.'
  return read
    .list('/confidenceNotes', typeof value === 'string' ? [value] : value, LIMITS.notes, fix, 0)
    .map((note, i) => read.text(`/confidenceNotes/${i}`, note, LIMITS.note, fix))
}

function actorOf(read: Reader, value: unknown): ApprovalBody['actor'] {
  const at =
    value === undefined ? {} : (read.object('/actor', value, MEMBERS.actor, 'Give { model, version, tools }.') ?? {})
  return {
    model: read.name('/actor/model', at.model),
    version: read.name('/actor/version', at.version),
    tools: read.names('/actor/tools', at.tools, LIMITS.tools),
  }
}

function requesterOf(read: Reader, value: unknown): Person | null {
  if (value === undefined || value === null) return null
  const at = read.object('/requester', value, MEMBERS.person, 'Give { id, name } of the person.') ?? {}
  const id = read.text('/requester/id', at.id, LIMITS.name, 'Give the id of the person, not of a key.')
  return { id, name: read.name('/requester/name', at.name ?? undefined) }
}

function needOf(read: Reader, value: unknown): GroupNeed[] {
  if (value === undefined) return []
  const fix = 'List whose approvals are needed: { group, n }.'
  return read.list('/need', value, LIMITS.groups, fix, 0).map((item, i) => {
    const at = read.object(`/need/${i}`, item, MEMBERS.need, fix) ?? {}
    const group = read.text(`/need/${i}/group`, at.group, LIMITS.name, fix)
    return { group, n: read.count(`/need/${i}/n`, at.n ?? 0, LIMITS.need) ?? 1 }
  })
}

/** Members that may be edited must be shown by a write: nobody may change what the next approver does not see. */
function allowOf(read: Reader, value: unknown, { data, writes }: ApprovalBody): ApprovalBody['allow'] {
  const at = value === undefined ? {} : (read.object('/allow', value, MEMBERS.allow, 'Give { edit, changes }.') ?? {})
  const changes = read.flag('/allow/changes', at.changes) ?? true
  if (at.edit === undefined || at.edit === false) return { edit: [], changes }
  const members = isRecord(data) ? Object.keys(data) : []
  const edit = at.edit === true ? members : read.names('/allow/edit', at.edit, LIMITS.fields)
  if (members.length === 0)
    read.fail('/allow/edit', 'mismatch', 'Only members of data can be edited: give data as an object.')
  for (const name of edit) {
    if (!members.includes(name)) read.fail('/allow/edit', 'unknown', `data has no member "${name}".`)
    else if (!writes.some(({ fields }) => fields.some(({ from }) => from === name))) {
      const fix = `Show it: change: { field: { now, after, from: '${name}' } }.`
      read.fail('/allow/edit', 'mismatch', `"${name}" may be edited, but no write shows it. ${fix}`)
    }
  }
  return { edit, changes }
}

const member = (data: Json, name: string): Json | undefined =>
  isRecord(data) && Object.hasOwn(data, name) ? (data[name] as Json) : undefined
const same = (a: Json | undefined, b: Json): boolean => a !== undefined && canonicalJson(a) === canonicalJson(b)
