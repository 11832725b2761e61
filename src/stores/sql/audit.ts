/** The audit chain of a tenant: each entry carries the hash of the one before it. Entries are collected and written last. */
import { type AuditDraft, type AuditEntry, chain } from '../../core/history.js'
import { plainText } from '../../core/json.js'
import type { AuditFilter } from '../store.js'
import { all, each, hold, type Plan, put, type Value } from './plan.js'
import { actorOf, actorPrefix, actorText } from './rows.js'
import type { Tx } from './tx.js'

/** The name behind which one transaction at a time adds to a chain. */
const chainOf = (tenant: string): string => `audit/${tenant}`

/** An entry for the chain of its tenant, and the job that it is about. */
export interface Audited {
  draft: AuditDraft
  job: { jobId: string; seq: number } | null
}

/** The next entry of the tenant's audit chain; `writeAudits` writes it with the commit. */
export function audited(draft: AuditDraft, { audits }: Pick<Tx, 'audits'>, job: Audited['job'] = null): void {
  audits.push({ draft, job })
}

/** At the end of the transaction: whoever holds a chain waits for nothing that is held by others who wait for the chain. */
export function* writeAudits({ audits, now, sha256, dialect }: Tx): Plan<void> {
  if (audits.length === 0) return
  const tenants = [...new Set(audits.map(({ draft }) => draft.tenant))]
  yield* hold(tenants.map(chainOf), dialect)
  const ends = yield* each<Pick<AuditEntry, 'seq' | 'hash'>>(
    'select seq, hash from audit where tenant = ?1 order by seq desc limit 1',
    tenants.map((tenant) => [tenant]),
  )
  const last = new Map(tenants.map((tenant, i) => [tenant, ends[i] ?? null]))
  const rows = audits.map(({ draft, job }) => {
    // What is hashed must be what will be read again.
    const actor = actorOf(plainText(actorText(draft.actor)))
    const reason = draft.reason === null ? null : plainText(draft.reason)
    const entry = chain({ ...draft, actor, reason }, last.get(draft.tenant)!, now, sha256)
    last.set(draft.tenant, entry)
    return valuesOf(entry, job)
  })
  yield* put(
    'insert into audit (tenant, seq, at, actor, action, target, reason, details, prev_hash, hash, job_id, job_seq) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)',
    rows,
  )
}

function valuesOf(entry: AuditEntry, job: Audited['job']): Value[] {
  const { tenant, seq, at, actor, action, target, reason, details, prevHash, hash } = entry
  const about = [tenant, seq, at, actorText(actor), action, target, reason]
  const said = details === null ? null : JSON.stringify(details)
  return [...about, said, prevHash, hash, job?.jobId ?? null, job?.seq ?? null]
}

const KINDS = ['apiKey', 'user', 'worker', 'system'] as const

/** Entries of one tenant, by place in its chain. */
export function* auditListPlan(tenant: string, after: number, limit: number, filter: AuditFilter): Plan<AuditEntry[]> {
  const params: Value[] = []
  const bind = (value: Value) => `?${params.push(value)}`
  const newest = filter.order === 'newest'
  const where = [`tenant = ${bind(tenant)}`]
  if (!newest || after > 0) where.push(`seq ${newest ? '<' : '>'} ${bind(after)}`)
  if (filter.actor !== undefined) {
    const { actor } = filter
    const named = KINDS.some((kind) => actor.startsWith(`${kind}:`)) ? [actor] : KINDS.map((kind) => `${kind}:${actor}`)
    const ranges = named.map(actorPrefix).map((it) => `(actor >= ${bind(`${it}:`)} and actor < ${bind(`${it};`)})`)
    where.push(`(${ranges.join(' or ')})`)
  }
  for (const column of ['action', 'target'] as const) {
    const wanted = filter[column]
    if (wanted === undefined) continue
    const prefix = wanted.endsWith('*') ? wanted.slice(0, -1) : null
    where.push(
      prefix === null
        ? `${column} = ${bind(wanted)}`
        : `substr(${column}, 1, ${bind(prefix.length)}) = ${bind(prefix)}`,
    )
  }
  if (filter.since !== undefined) where.push(`at >= ${bind(filter.since)}`)
  if (filter.until !== undefined) where.push(`at < ${bind(filter.until)}`)
  const order = newest ? 'desc' : 'asc'
  const sql = `select * from audit where ${where.join(' and ')} order by seq ${order} limit ${bind(limit)}`
  return (yield* all(sql, ...params)).map((row) => ({
    seq: row.seq,
    at: row.at,
    tenant: row.tenant,
    actor: actorOf(row.actor),
    action: row.action,
    target: row.target,
    reason: row.reason,
    details: row.details === null ? null : JSON.parse(row.details),
    prevHash: row.prev_hash,
    hash: row.hash,
  }))
}
