/** The audit chain of a tenant: each entry carries the hash of the one before it. */
import { chain } from '../../core/history.js'
import { plainText } from '../../core/json.js'
import { one, type Plan, run } from './plan.js'
import { actorOf, actorText } from './rows.js'

type Sha256 = (text: string) => string

/** The next entry of the tenant's audit chain. */
export function* auditPlan(
  draft: Parameters<typeof chain>[0],
  now: number,
  sha256: Sha256,
  job: { jobId: string; seq: number } | null = null,
): Plan<void> {
  const last = yield* one<{ seq: number; hash: string }>(
    'select seq, hash from audit where tenant = ?1 order by seq desc limit 1',
    draft.tenant,
  )
  // What is hashed must be what will be read again.
  const actor = actorOf(plainText(actorText(draft.actor)))
  const reason = draft.reason === null ? null : plainText(draft.reason)
  const entry = chain({ ...draft, actor, reason }, last ?? null, now, sha256)
  yield* run(
    'insert into audit (tenant, seq, at, actor, action, target, reason, details, prev_hash, hash, job_id, job_seq) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)',
    [
      [
        entry.tenant,
        entry.seq,
        entry.at,
        actorText(entry.actor),
        entry.action,
        entry.target,
        entry.reason,
        entry.details === null ? null : JSON.stringify(entry.details),
        entry.prevHash,
        entry.hash,
        job?.jobId ?? null,
        job?.seq ?? null,
      ],
    ],
  )
}
