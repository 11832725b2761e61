/**
 * What somebody is asked to approve: the writes, their evidence, impact and way back, and the data the handler goes on
 * with. One list, coveredBy(), says what an approval covers; the digest and "what changed" are both made from it, so
 * they cannot disagree. Pure; knows no tiers and no decisions.
 */
import { canonicalJson, type Json } from './json.js'

/** One member of the object that is written: what it is now, and what it will be. `null` = not there. */
export interface WriteField {
  field: string
  now: Json
  after: Json
  /** The member of `data` whose value `after` shows, so that an edit of the data changes what is shown. */
  from: string | null
}

/** What a write touches, declared by the handler. It can only raise the risk. */
export const TOUCHES = ['money', 'access', 'deletion', 'legal', 'customers', 'public'] as const
export type Touch = (typeof TOUCHES)[number]

export interface ProposedWrite {
  /** The system that is written to, e.g. `payments`. */
  target: string
  /** What is done there, e.g. `refund`, `delete`. */
  operation: string
  /** What it is done to, e.g. `order 77`, or null. */
  object: string | null
  /** Where a reviewer can look at the object, or null. */
  href: string | null
  irreversible: boolean
  touches: Touch[]
  fields: WriteField[]
}

export interface Evidence {
  label: string
  /** At most 200 characters, or null when there is a link. */
  quote: string | null
  href: string | null
  /** Version, ETag or hash of the source; part of the digest. */
  version: string | null
  /** When the source was read, in milliseconds since the epoch. Not part of the digest: reading it again is no change. */
  asOf: number | null
}

export interface Impact {
  description: string
  /** Groups of people or systems, e.g. `customers`. */
  affects: string[]
  people: number | null
  money: { amount: number; currency: string } | null
  visibility: 'internal' | 'customers' | 'public' | null
}

export interface Rollback {
  /** False: it cannot be undone. */
  available: boolean
  /** How it is undone, or what to say instead. */
  plan: string
  withinMs: number | null
  /** Who can undo it. */
  by: string | null
}

export interface Proposal {
  writes: ProposedWrite[]
  /** Empty: the handler said that there is none. */
  evidence: Evidence[]
  impact: Impact
  rollback: Rollback
  /** What the handler goes on with after the approval; may be edited as far as the request allows. */
  data: Json
}

/** One row of the table "what will be written". */
export interface DiffRow {
  target: string
  operation: string
  object: string | null
  href: string | null
  irreversible: boolean
  field: string
  now: Json
  after: Json
  change: 'added' | 'removed' | 'changed' | 'unchanged'
}

/** One difference between two proposals. */
export interface Changed {
  part: 'write' | 'evidence' | 'impact' | 'rollback' | 'data'
  /** The write (`refund payments order 77`) or the label of the evidence; else empty, as for the order of entries. */
  of: string
  /** The member that differs; null = the entry as a whole, or the order of entries. */
  field: string | null
  /** For a field of a write: which of its two values differs. */
  side: 'now' | 'after' | null
  /** `undefined` = it was not there, or is not there any more. */
  before: Json | undefined
  after: Json | undefined
}

/** The writes as rows, in their order. */
export function diffOf(writes: readonly ProposedWrite[]): DiffRow[] {
  return writes.flatMap(({ target, operation, object, href, irreversible, fields }) =>
    fields.map(({ field, now, after }) => ({
      ...{ target, operation, object, href, irreversible, field, now, after },
      change: changeOf(now, after),
    })),
  )
}

function changeOf(now: Json, after: Json): DiffRow['change'] {
  if (canonicalJson(now) === canonicalJson(after)) return 'unchanged'
  if (now === null) return 'added'
  return after === null ? 'removed' : 'changed'
}

/**
 * What an approval signs, as `sha256-<hex>`: writes, evidence, impact, way back, data and the version of the policy that
 * judged them; no other prose.
 * The handler's request alone, whatever the policy, has `policyVersion` null.
 */
export function digestOf(proposal: Proposal, policyVersion: string | null, sha256: (text: string) => string): string {
  return `sha256-${sha256(canonicalJson({ v: 1, policyVersion, covers: coveredBy(proposal) }))}`
}

/** Field by field, what differs. Empty exactly when the digests are equal under one policy version. */
export function changedSince(before: Proposal, after: Proposal): Changed[] {
  const old = new Map(coveredBy(before).map((entry) => [keyOf(entry), entry]))
  const now = new Map(coveredBy(after).map((entry) => [keyOf(entry), entry]))
  const changes: Changed[] = []
  for (const [key, entry] of old) {
    const other = now.get(key)
    if (!other || canonicalJson(other.value) !== canonicalJson(entry.value))
      changes.push({ ...placeOf(entry), before: entry.value, after: other?.value })
  }
  for (const [key, entry] of now)
    if (!old.has(key)) changes.push({ ...placeOf(entry), before: undefined, after: entry.value })
  // Where entries came or went, the order differs as well, and that is no news.
  return changes.filter((change) => !isOrder(change) || sameMembers(change.before, change.after))
}

/** `proposal` with edited members of its data, and the fields that show them brought up to date. */
export function withData<P extends Proposal>(proposal: P, edits: Readonly<Record<string, Json>>): P {
  const data = { ...(proposal.data as Record<string, Json>), ...edits }
  const writes = proposal.writes.map((write) => ({
    ...write,
    fields: write.fields.map((field) =>
      field.from !== null && Object.hasOwn(edits, field.from) ? { ...field, after: edits[field.from]! } : field,
    ),
  }))
  return { ...proposal, data, writes }
}

interface Entry {
  part: Changed['part']
  of: string
  field: string | null
  side: Changed['side']
  value: Json
}

/** All that is covered, flat, each value under its own place. */
function coveredBy({ writes, evidence, impact, rollback, data }: Proposal): Entry[] {
  const entries: Entry[] = []
  const put = (part: Entry['part'], of: string, field: string | null, value: Json, side: Entry['side'] = null) =>
    entries.push({ part, of, field, side, value })

  const writeNames = numbered(writes.map(nameOf))
  put('write', '', null, writeNames)
  writes.forEach((write, i) => {
    const { target, operation, object, href, irreversible, touches } = write
    put('write', writeNames[i]!, null, { target, operation, object, href, irreversible, touches: [...touches].sort() })
    for (const { field, now, after } of [...write.fields].sort(byField)) {
      put('write', writeNames[i]!, field, now, 'now')
      put('write', writeNames[i]!, field, after, 'after')
    }
  })

  const labels = numbered(evidence.map(({ label }) => label))
  put('evidence', '', null, labels)
  evidence.forEach(({ label, quote, href, version }, i) => {
    put('evidence', labels[i]!, null, { label })
    put('evidence', labels[i]!, 'quote', quote)
    put('evidence', labels[i]!, 'href', href)
    put('evidence', labels[i]!, 'version', version)
  })

  for (const field of keys(impact)) put('impact', '', field, impact[field])
  for (const field of keys(rollback)) put('rollback', '', field, rollback[field])

  const members = typeof data === 'object' && data !== null && !Array.isArray(data) ? Object.keys(data).sort() : []
  if (members.length === 0) put('data', '', null, data)
  else for (const member of members) put('data', '', member, (data as Record<string, Json>)[member]!)
  return entries
}

/** What a write is called, e.g. `refund payments order 77`. */
export function nameOf({ operation, target, object }: ProposedWrite): string {
  return [operation, target, object].filter(Boolean).join(' ')
}

/** A name that occurs again gets `#2`, `#3` …, so that every entry has a place of its own. */
function numbered(names: readonly string[]): string[] {
  const given = new Set<string>()
  return names.map((name) => {
    let unique = name
    for (let n = 2; given.has(unique); n++) unique = `${name}#${n}`
    given.add(unique)
    return unique
  })
}

const keys = <T extends object>(object: T) => Object.keys(object).sort() as (keyof T & string)[]
const byField = (a: WriteField, b: WriteField): number => (a.field < b.field ? -1 : 1)
const keyOf = ({ part, of, field, side }: Entry): string => canonicalJson([part, of, field, side])
const placeOf = ({ part, of, field, side }: Entry) => ({ part, of, field, side })
const isOrder = ({ part, of, field }: Changed): boolean =>
  (part === 'write' || part === 'evidence') && of === '' && field === null

function sameMembers(before: Json | undefined, after: Json | undefined): boolean {
  const sorted = (value: Json | undefined) => canonicalJson([...(value as string[])].sort())
  return sorted(before) === sorted(after)
}
