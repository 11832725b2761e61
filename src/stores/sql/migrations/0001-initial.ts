/**
 * Schema 1: record / live / outcome and what belongs to a job. `{{suffix}}` and `{{serial}}` are the dialect's words.
 * Never edit a released migration; add the next one.
 */
import { APPROVAL_STATES } from '../../../core/approval.js'
import { FINAL_STATES, LIVE_STATES } from '../../../core/job.js'

/** A job that a worker may take once its time has come. Queries must say it in these very words, so that the index serves them. */
export const CLAIMABLE = `state in ('queued', 'compensating') and worker is null and (held is null or held = 'granted')`
/** A job that a limit keeps from being claimed. */
export const BEHIND = `held <> 'granted'`

const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(', ')

export const initial = `
create table meta (key text primary key, value text not null) {{suffix}};

create table jobs (
  id text primary key, tenant text not null, type text not null, type_version text, queue text not null, priority integer not null,
  input text, group_id text, operation_key text, parent_id text, replay_of text, options text,
  created_by text not null, created_at bigint not null, run_at bigint, deadline_at bigint
) {{suffix}};
create index jobs_group on jobs (tenant, group_id, id) where group_id is not null;
create index jobs_operation on jobs (tenant, operation_key, id) where operation_key is not null;
create index jobs_parent on jobs (parent_id) where parent_id is not null;
create index jobs_replay on jobs (replay_of) where replay_of is not null;

create table live (
  id text primary key, lane text not null, level integer not null, state text not null check (state in (${quoted(LIVE_STATES)})),
  wait_kind text, run_at bigint not null, wake_at bigint, escalate_at bigint, late_at bigint, deadline_at bigint,
  version bigint not null, revision bigint not null, epoch bigint not null, attempt bigint not null, errors bigint not null, losses bigint not null,
  budget_from bigint not null, worker text, started_at bigint, attempt_at bigint, cancel_at bigint, held text, ties integer not null, undo integer not null,
  why text, changed_at bigint not null,
  check ((state = 'waiting') = (wait_kind is not null)),
  check (state = 'compensating' or (state in ('running', 'cancelling')) = (worker is not null)),
  check (held is null or state in ('queued', 'compensating'))
) {{suffix}};
create index live_ready on live (lane, level, run_at, id) where ${CLAIMABLE};
create index live_behind on live (lane, run_at) where ${BEHIND};
create index live_worker on live (worker) where worker is not null;
create index live_wake on live (wake_at) where wake_at is not null;
create index live_deadline on live (deadline_at) where deadline_at is not null;
create index live_escalate on live (escalate_at) where escalate_at is not null;

create table outcomes (
  job_id text primary key, status text not null check (status in (${quoted(FINAL_STATES)})), phase text not null, error text,
  result text, result_bytes bigint not null, result_sha256 text, attempt bigint not null, epoch bigint not null, version bigint not null, revision bigint not null,
  started_at bigint, finished_at bigint not null, expires_at bigint not null
) {{suffix}};
create index outcomes_expiry on outcomes (expires_at);
create index outcomes_finished on outcomes (finished_at, job_id);
create index outcomes_unhappy on outcomes (status, job_id) where status <> 'completed';

create table attempts (
  job_id text not null, epoch bigint not null, attempt bigint not null, worker text, outcome text not null,
  started_at bigint not null, ended_at bigint not null, error text, verdict text, origin text, retry_in_ms bigint, primary key (job_id, epoch)
) {{suffix}};
create index attempts_origin on attempts (origin, job_id) where origin is not null;

create table history (
  job_id text not null, seq bigint not null, at bigint not null, event text not null, state text not null, phase text not null,
  epoch bigint not null, attempt bigint not null, actor text not null, reason text, error text, details text, primary key (job_id, seq)
) {{suffix}};

create table steps (
  job_id text not null, key text not null, kind text not null, attempt bigint not null, seq bigint not null, started_at bigint not null, ended_at bigint not null,
  result text, bytes bigint not null, info text, effect text, undo text, primary key (job_id, key)
) {{suffix}};

create table effects (
  tenant text not null, key text not null, job_id text not null, step text not null, state text not null check (state in ('started', 'happened', 'absent')),
  result text, at bigint not null, primary key (tenant, key)
) {{suffix}};
create index effects_job on effects (job_id);

create table decisions (
  job_id text not null, key text not null, at bigint not null, attempt bigint not null, seq bigint not null, path text, model text, model_version text, tools text, fields text,
  primary key (job_id, key)
) {{suffix}};
create index decisions_model on decisions (model, model_version, job_id);

create table waits (
  job_id text not null, key text not null, kind text not null, name text not null, due_at bigint, child_id text, created_at bigint not null, primary key (job_id, key)
) {{suffix}};
create index waits_due on waits (due_at) where due_at is not null;
create index waits_child on waits (child_id) where child_id is not null;

create table mailbox (
  job_id text not null, seq bigint not null, signal_id text not null, name text not null, payload text not null, actor text not null, at bigint not null,
  taken_by text, primary key (job_id, seq)
) {{suffix}};
create unique index mailbox_signal on mailbox (job_id, signal_id);
create index mailbox_name on mailbox (job_id, name, seq) where taken_by is null;

create table callbacks (
  hash text primary key, tenant text not null, job_id text not null, key text not null, expires_at bigint not null, used_at bigint, answer_hash text
) {{suffix}};
create index callbacks_job on callbacks (job_id);

create table approvals (
  id text primary key, tenant text not null, job_id text not null, job_type text not null, key text not null, gate text not null, risk text not null,
  state text not null check (state in (${quoted(APPROVAL_STATES)})), due_at bigint not null, requested_at bigint not null, assignees text not null,
  version bigint not null, body text not null
) {{suffix}};
create unique index approvals_job on approvals (job_id, key);
create index approvals_due on approvals (tenant, state, due_at, id);
create index approvals_requested on approvals (tenant, requested_at, id);

create table resolutions (
  job_id text not null, at bigint not null, kind text not null, reason text not null, evidence text, actor text not null, other_id text,
  primary key (job_id, at, kind)
) {{suffix}};

create table links (job_id text not null, kind text not null, other_id text not null, primary key (job_id, kind, other_id)) {{suffix}};

create table duties (job_id text not null, duty text not null, body text, primary key (job_id, duty)) {{suffix}};

create table pauses (tenant text not null, kind text not null, name text not null, actor text not null, reason text, at bigint not null, primary key (tenant, kind, name)) {{suffix}};

create table slots (name text not null, job_id text not null, primary key (name, job_id)) {{suffix}};
create index slots_job on slots (job_id);
create table held (
  name text not null, granted integer not null, level integer not null, run_at bigint not null, job_id text not null, since bigint not null,
  primary key (name, granted, level, run_at, job_id)
) {{suffix}};
create index held_job on held (job_id);
create table turns (name text not null, job_id text not null, has integer not null, primary key (name, job_id)) {{suffix}};
create unique index turns_has on turns (name) where has = 1;
create index turns_job on turns (job_id);
create table buckets (name text primary key, due bigint not null) {{suffix}};
create index buckets_due on buckets (due);
create table uniques (name text primary key, job_id text not null, expires_at bigint) {{suffix}};
create index uniques_job on uniques (job_id);
create index uniques_expiry on uniques (expires_at) where expires_at is not null;

create table progress (
  job_id text primary key, stage text, message text, completed double precision, total double precision, unit text,
  iterations_completed double precision, iterations_total double precision, updated_at bigint not null
) {{suffix}};

create table warnings (
  job_id text not null, code text not null, step text not null, message text not null, at bigint not null, rule text, primary key (job_id, code, step, message)
) {{suffix}};

create table logs (
  id {{serial}}, job_id text not null, at bigint not null, attempt bigint not null, level text not null, message text not null, data text
);
create index logs_job on logs (job_id, id);

create table blobs (job_id text not null, name text not null, data text not null, primary key (job_id, name)) {{suffix}};

create table tags (tenant text not null, tag text not null, job_id text not null, primary key (tenant, tag, job_id)) {{suffix}};
create index tags_job on tags (job_id);

create table files (
  id text primary key, tenant text not null, bytes bigint not null, sha256 text not null, content_type text not null, name text,
  created_by text not null, created_at bigint not null, expires_at bigint
) {{suffix}};
create index files_expiry on files (expires_at) where expires_at is not null;
create table file_refs (file_id text not null, job_id text not null, primary key (file_id, job_id)) {{suffix}};
create index file_refs_job on file_refs (job_id);

create table idempotency (
  tenant text not null, operation text not null, key text not null, job_id text not null, fingerprint text not null, primary key (tenant, operation, key)
) {{suffix}};
create index idempotency_job on idempotency (job_id);

create table operations (tenant text not null, op_id text not null, at bigint not null, primary key (tenant, op_id)) {{suffix}};
create index operations_at on operations (at);

create table tombstones (
  job_id text primary key, tenant text not null, type text not null, status text not null, finished_at bigint not null, expired_at bigint not null
) {{suffix}};
create index tombstones_expired on tombstones (expired_at);

create table workers (
  id text primary key, boot text not null, host text not null, pid bigint not null, started_at bigint not null, lease_until bigint not null, state text not null, serves text
) {{suffix}};
create table leases (name text primary key, holder text not null, until bigint not null) {{suffix}};
create table processes (
  job_id text not null, pgid bigint not null, start_time text not null, boot_id text not null, worker text not null, primary key (job_id, pgid)
) {{suffix}};

create table api_keys (
  id text primary key, tenant text not null, name text not null, hash text not null, scopes text not null, types text, person text, groups text, max_risk text,
  created_at bigint not null, expires_at bigint, revoked_at bigint, last_used_at bigint
) {{suffix}};

create table schedules (
  tenant text not null, id text not null, type text not null, definition text not null, input text not null, declared integer not null, paused text,
  next_at bigint, decided_at bigint not null, previous_at bigint, last_job_id text, last_problem text,
  fired_count bigint not null, missed_count bigint not null, skipped_count bigint not null, problem_count bigint not null,
  created_by text not null, created_at bigint not null, updated_at bigint not null, version bigint not null, revision bigint not null,
  primary key (tenant, id)
) {{suffix}};
create index schedules_due on schedules (next_at) where paused is null;
create index schedules_decided on schedules (decided_at) where paused is null;

create table firings (job_id text primary key, tenant text not null, schedule_id text not null, at bigint not null) {{suffix}};
create index firings_schedule on firings (tenant, schedule_id, job_id);

create table webhooks (tenant text not null, id text not null, revision bigint not null, enabled integer not null, body text not null, primary key (tenant, id)) {{suffix}};

create index webhooks_enabled on webhooks (tenant) where enabled = 1;

create table outbox (at bigint not null, id text not null, body text not null, primary key (at, id)) {{suffix}};

create table failures (
  tenant text not null, fingerprint text not null, type text not null, count bigint not null, jobs bigint not null, inputs bigint not null,
  first_at bigint not null, last_at bigint not null, job_id text not null, attempt bigint not null, facts text not null, primary key (tenant, fingerprint)
) {{suffix}};
create index failures_last on failures (tenant, last_at desc, fingerprint);
create index failures_type on failures (tenant, type, last_at desc, fingerprint);
create table failure_jobs (
  tenant text not null, fingerprint text not null, job_id text not null, input text not null, primary key (tenant, fingerprint, job_id)
) {{suffix}};
create index failure_jobs_input on failure_jobs (tenant, fingerprint, input);
create index failure_jobs_job on failure_jobs (job_id);

create table rules (
  tenant text not null, id bigint not null, type text not null, in_force integer not null, used bigint not null, last_used_at bigint,
  body text not null, primary key (tenant, id)
) {{suffix}};
create index rules_in_force on rules (tenant, type, id) where in_force = 1;

create table audit (
  tenant text not null, seq bigint not null, at bigint not null, actor text not null, action text not null, target text not null,
  reason text, details text, prev_hash text not null, hash text not null, job_id text, job_seq bigint, primary key (tenant, seq)
) {{suffix}};
create index audit_job on audit (job_id, job_seq) where job_id is not null;
`
