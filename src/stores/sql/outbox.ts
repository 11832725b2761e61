/**
 * What happened, written with the change itself, for whoever hears of it. Who that is, and what becomes of it, is found
 * out later (src/webhooks/relay.ts); here it costs nothing where nobody listens.
 */
import type { ApprovalRow } from '../../core/approval.js'
import { partsOf, TIES } from '../../core/job.js'
import { type Decision, statusOf } from '../../core/lifecycle.js'
import type { Happened } from '../../core/webhook.js'
import type { NewJob } from '../store.js'
import { all, answerTo, ask, type Plan, put, type Row } from './plan.js'
import type { Tx } from './tx.js'

/** Something that happened, and whether its job was told to tell of it: else those hear it who hear all of the tenant. */
export interface Event {
  tenant: string
  asked: boolean
  /** Put into words only where somebody hears it. */
  what: () => Happened
}

/** Tenants with a webhook that is enabled. Asked within each commit, and remembered where nobody else can change it. */
export class WebhookBook {
  /** What is known; where others may change it, what a commit of this process has last been told. */
  private known: ReadonlySet<string> | null = null

  /** @param sole whether every change passes through this process */
  constructor(private readonly sole: boolean) {}

  /** Something changed, or a transaction that may have changed something was rolled back. */
  forget(): void {
    this.known = null
  }

  /** At the beginning of a transaction, so that the answer is there at its end. */
  *ask(tx: Tx): Plan<void> {
    if (this.sole) yield* this.heard(tx)
    else tx.heard = yield* ask(HEARD)
  }

  *heard({ heard }: Tx): Plan<ReadonlySet<string>> {
    if (heard === null && this.sole && this.known) return this.known
    return this.learn(heard ? yield* answerTo(heard) : yield* all(HEARD))
  }

  private learn(rows: readonly Row[]): ReadonlySet<string> {
    this.known = new Set(rows.map(({ tenant }) => tenant as string))
    return this.known
  }

  /**
   * Whether it is worth more not to wait for the answer: nothing else has been waited for, so that the commit leaves with
   * all it carries, and most likely nobody hears of so little.
   */
  guesses({ heard, events }: Tx): boolean {
    const { known } = this
    if (heard === null || heard.answered || known === null || events.length > GUESSED) return false
    return !events.some(({ tenant, asked }) => asked || known.has(tenant))
  }

  /** After a commit that has guessed. @returns whether somebody does hear of it */
  async guessedWrong({ heard, events }: Tx): Promise<boolean> {
    const known = this.learn(await heard!.rows)
    return events.some(({ tenant }) => known.has(tenant))
  }
}

const HEARD = 'select distinct tenant from webhooks where enabled = 1'
/** Of more events the answer is waited for: each that is sent on a guess is put into words. */
const GUESSED = 8

const isAsked = (ties: number): boolean => (ties & TIES.told) !== 0

/** A move that changed the public status. */
export function announceMove({ from, live, outcome, history }: Decision, tx: Tx): void {
  const status = outcome?.status ?? statusOf(live!)
  if (status === statusOf(from)) return
  const { tenant } = partsOf(from.lane)
  const { now: at } = tx
  const what = (): Happened => {
    const { seq } = history
    return { id: `${from.id}:${seq}`, tenant, type: `job.${status}`, jobId: from.id, at, seq }
  }
  tx.events.push({ tenant, asked: isAsked(from.ties), what })
}

export function announceSubmit({ record, live }: NewJob, tx: Tx): void {
  const { id, tenant } = record
  const { now: at } = tx
  const what = (): Happened => ({ id: `${id}:1`, tenant, type: 'job.accepted', jobId: id, at, seq: 1 })
  tx.events.push({ tenant, asked: isAsked(live.ties), what })
}

/** An approval as it is now. */
export function announceApproval(row: ApprovalRow, type: Happened['type'], tx: Tx): void {
  const { id, tenant, jobId, jobType, gate, risk, state, version } = row
  announce({ id: `${id}:${version}`, tenant, type, jobId }, tx, { approvalId: id, jobType, gate, risk, state })
}

/** Anything else that tenants' webhooks can hear. */
export function announce(
  what: Pick<Happened, 'id' | 'tenant' | 'type' | 'jobId'>,
  tx: Tx,
  details?: Happened['details'],
): void {
  const whole: Happened = { ...what, at: tx.now, seq: null, ...(details ? { details } : {}) }
  tx.events.push({ tenant: what.tenant, asked: false, what: () => whole })
}

const INSERT_OUTBOX = 'insert into outbox (at, id, body)'
/** The database looks itself whether somebody hears of it. */
const INSERT_IF_HEARD = `${INSERT_OUTBOX} select ?1, ?2, ?3 where exists (select 1 from webhooks where tenant = ?4 and enabled = 1) on conflict do nothing`

/** With the commit of what happened. */
export function* writeOutbox(tx: Tx, webhooks: WebhookBook): Plan<void> {
  tx.guessed = webhooks.guesses(tx)
  if (tx.guessed) {
    const events = tx.events.map(({ tenant, what }) => ({ tenant, what: what() }))
    yield* put(
      INSERT_IF_HEARD,
      events.map(({ tenant, what }) => [what.at, what.id, JSON.stringify(what), tenant]),
    )
    return
  }
  const heard = yield* webhooks.heard(tx)
  const told = tx.events.filter(({ tenant, asked }) => asked || heard.has(tenant)).map(({ what }) => what())
  tx.toOutbox = told.length > 0
  yield* put(
    `${INSERT_OUTBOX} values (?1, ?2, ?3) on conflict do nothing`,
    told.map((what) => [what.at, what.id, JSON.stringify(what)]),
  )
}
