/** Webhooks as rows, and the outbox that is emptied into deliveries. */
import { disabling, type Happened, type Webhook } from '../../core/webhook.js'
import type { Store, Telling, WebhookChange } from '../store.js'
import { audited } from './audit.js'
import { announce, type WebhookBook } from './outbox.js'
import { all, hold, one, type Plan, run } from './plan.js'
import { submitPlan } from './submit.js'
import type { Lent, Tx } from './tx.js'

type Body = { body: string }
const webhookOf = ({ body }: Body): Webhook => JSON.parse(body)

function* getPlan(tenant: string, id: string): Plan<Webhook | null> {
  const row = yield* one<Body>('select body from webhooks where tenant = ?1 and id = ?2', tenant, id)
  return row ? webhookOf(row) : null
}

function* listPlan(tenant: string): Plan<Webhook[]> {
  return (yield* all<Body>('select body from webhooks where tenant = ?1 order by id', tenant)).map(webhookOf)
}

/** `revision` guards the row where several processes write; it moves with every write, `version` with what people ask for. */
function* changePlan({ tenant, id, decide, audit }: WebhookChange, tx: Tx): Plan<Webhook | null> {
  for (;;) {
    const row = yield* one<Body & { revision: number }>(
      'select body, revision from webhooks where tenant = ?1 and id = ?2',
      ...[tenant, id],
    )
    const before = row ? webhookOf(row) : null
    // How many there may be is decided by how many there are.
    if (!row) yield* hold([`webhooks/${tenant}`], tx.dialect)
    const count = yield* one<{ n: number }>('select count(*) as n from webhooks where tenant = ?1', tenant)
    const next = decide(before, tx.now, Number(count!.n))
    if (next === undefined || (next === null && before === null)) return before
    const [written] = yield* write(tenant, id, row?.revision ?? null, next)
    // Somebody else was quicker (a database with several writers): read and decide anew.
    if (written !== 1) continue
    if (audit) audited(audit, tx)
    const said = next && disabling(before, next)
    if (said) announce({ id: `${id}:disabled:${tx.now}`, tenant, type: 'webhook.disabled', jobId: null }, tx, said)
    return next
  }
}

function write(tenant: string, id: string, revision: number | null, next: Webhook | null): Plan<number[]> {
  if (next === null)
    return run('delete from webhooks where tenant = ?1 and id = ?2 and revision = ?3', [[tenant, id, revision]])
  const body = JSON.stringify(next)
  const enabled = next.disabled === null ? 1 : 0
  return revision === null
    ? run(
        'insert into webhooks (tenant, id, revision, enabled, body) values (?1, ?2, 1, ?3, ?4) on conflict do nothing',
        [[tenant, id, enabled, body]],
      )
    : run(
        'update webhooks set revision = revision + 1, enabled = ?4, body = ?5 where tenant = ?1 and id = ?2 and revision = ?3',
        [[tenant, id, revision, enabled, body]],
      )
}

function* outboxPlan(limit: number): Plan<Happened[]> {
  return (yield* all<Body>('select body from outbox order by at, id limit ?1', limit)).map(({ body }) =>
    JSON.parse(body),
  )
}

/** Of two relays the one that takes a row out of the outbox stores its deliveries. */
function* tellPlan({ happened, jobs }: Telling, tx: Tx): Plan<number> {
  const taken = yield* run(
    'delete from outbox where at = ?1 and id = ?2',
    happened.map(({ at, id }) => [at, id]),
  )
  const calls = happened.flatMap(({ id }, i) => (taken[i] === 1 ? (jobs.get(id) ?? []).map((job) => [job]) : []))
  const answers = calls.length === 0 ? [] : yield* submitPlan(calls, tx)
  return answers.filter(([answer]) => answer!.outcome === 'created').length
}

export function webhooksOf(
  { read, write }: Lent,
  book: WebhookBook,
  onHappened: Store['webhooks']['onHappened'],
): Store['webhooks'] {
  return {
    change: (change) =>
      write((tx) => {
        book.forget()
        return changePlan(change, tx)
      }),
    get: (tenant, id) => read(() => getPlan(tenant, id)),
    list: (tenant) => read(() => listPlan(tenant)),
    outbox: (limit) => read(() => outboxPlan(limit)),
    tell: (telling) => write((tx) => tellPlan(telling, tx)),
    onHappened,
  }
}
