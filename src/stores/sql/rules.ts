/** Taught rules as rows. They are never removed: attempts name them, and their story must be found. */

import type { AuditDraft } from '../../core/history.js'
import { canonicalJson } from '../../core/json.js'
import type { TaughtRule } from '../../core/taught.js'
import type { NewRule, RuleStore } from '../failures.js'
import { audited } from './audit.js'
import { all, one, type Plan, run } from './plan.js'
import type { Lent, Tx } from './tx.js'

type Kept = Omit<TaughtRule, 'tenant' | 'id' | 'used' | 'lastUsedAt'>

function ruleOf(row: Record<string, any>): TaughtRule {
  const kept: Kept = JSON.parse(row.body)
  return { ...kept, tenant: row.tenant, id: row.id, used: row.used, lastUsedAt: row.last_used_at }
}

function* teachPlan(rule: NewRule, audit: (id: number) => AuditDraft, tx: Tx): Plan<TaughtRule> {
  const { tenant, type, when, is, reason, by } = rule
  const kept: Kept = { type, when, is, reason, by, at: tx.now, forgotten: null }
  for (;;) {
    const last = yield* one<{ id: number }>('select coalesce(max(id), 0) as id from rules where tenant = ?1', tenant)
    const id = Number(last!.id) + 1
    const [written] = yield* run(
      'insert into rules (tenant, id, type, in_force, used, body) values (?1, ?2, ?3, 1, 0, ?4) on conflict do nothing',
      [[tenant, id, type, JSON.stringify(kept)]],
    )
    // Somebody else has taken the number (a database with several writers).
    if (written !== 1) continue
    yield* replaceSame(id, rule, tx)
    audited(audit(id), tx)
    return { ...kept, tenant, id, used: 0, lastUsedAt: null }
  }
}

/** Else forgetting the new one would bring the old one back unseen. */
function* replaceSame(id: number, { tenant, type, when, by }: NewRule, tx: Tx): Plan<void> {
  const rows = yield* all(
    'select * from rules where tenant = ?1 and type = ?2 and in_force = 1 and id <> ?3',
    tenant,
    type,
    id,
  )
  const same = rows.map(ruleOf).filter((rule) => canonicalJson(rule.when as never) === canonicalJson(when as never))
  for (const rule of same) yield* write({ ...rule, forgotten: { at: tx.now, by, reason: `taught anew as rule ${id}` } })
}

function write(rule: TaughtRule): Plan<number[]> {
  const { tenant, id, used: _, lastUsedAt: __, ...kept } = rule
  return run('update rules set body = ?3, in_force = 0 where tenant = ?1 and id = ?2 and in_force = 1', [
    [tenant, id, JSON.stringify(kept)],
  ])
}

function* forgetPlan(
  { tenant, id, by, reason }: Pick<TaughtRule, 'tenant' | 'id' | 'by' | 'reason'>,
  audit: AuditDraft,
  tx: Tx,
): Plan<TaughtRule | null> {
  const row = yield* one('select * from rules where tenant = ?1 and id = ?2', tenant, id)
  const rule = row ? ruleOf(row) : null
  if (rule === null || rule.forgotten) return rule
  const next = { ...rule, forgotten: { at: tx.now, by, reason } }
  const [written] = yield* write(next)
  if (written === 1) audited(audit, tx)
  return next
}

function* listPlan(tenant: string, every: boolean): Plan<TaughtRule[]> {
  const only = every ? '' : 'and in_force = 1'
  return (yield* all(`select * from rules where tenant = ?1 ${only} order by id desc`, tenant)).map(ruleOf)
}

function* inForcePlan(): Plan<TaughtRule[]> {
  return (yield* all('select * from rules where in_force = 1 order by tenant, id desc')).map(ruleOf)
}

export function rulesOf({ read, write: change }: Lent): RuleStore {
  return {
    teach: (rule, audit) => change((tx) => teachPlan(rule, audit, tx)),
    forget: (rule, audit) => change((tx) => forgetPlan(rule, audit, tx)),
    list: (tenant, every) => read(() => listPlan(tenant, every)),
    inForce: () => read(inForcePlan),
  }
}
