/**
 * What happened, written with the change itself, for whoever hears of it. Who that is, and what becomes of it, is found
 * out later (src/webhooks/relay.ts); here it costs nothing where nobody listens.
 */
import type { ApprovalRow } from '../../core/approval.js'
import { partsOf, TIES } from '../../core/job.js'
import { type Decision, statusOf } from '../../core/lifecycle.js'
import type { Happened } from '../../core/webhook.js'
import type { NewJob } from '../store.js'
import { type Asked, all, answerTo, ask, type Plan, put } from './plan.js'
import type { Tx } from './tx.js'

/** Something that happened, and whether its job was told to tell of it: else those hear it who hear all of the tenant. */
export interface Event {
  tenant: string
  asked: boolean
  /** Put into words only where somebody hears it. */
  what: () => Happened
}

/**
 * Tenants with a webhook that is enabled. Remembered where nobody else can change it; elsewhere asked within each commit, or,
 * where it carries little and nobody listened lately, left to a condition of what is written.
 */
export class WebhookBook {
  /** What is known; where others may change it, what a commit of this process has last been told. */
  private known: ReadonlySet<string> | null = null
  /** How many jobs the last claim has found: the next one finds about as many. */
  lately = 0

  /** @param sole whether every change passes through this process */
  constructor(private readonly sole: boolean) {}

  /** Something changed, or a transaction that may have changed something was rolled back. */
  forget(): void {
    this.known = null
  }

  /**
   * At the beginning of a transaction, so that the answer is there at its end. Not where it carries little and nobody
   * listened lately: then the database looks itself when it writes (`guesses`).
   * @param most about how many events it may have
   */
  *ask(tx: Tx, most: number): Plan<void> {
    if (this.sole) yield* this.heard(tx)
    else if (tx.heard === null && (most > GUESSED || this.known?.size !== 0)) tx.heard = yield* ask(HEARD)
  }

  *heard({ heard }: Tx): Plan<ReadonlySet<string>> {
    if (heard === null && this.sole && this.known) return this.known
    const names = new Set((heard ? yield* answerTo(heard) : yield* all(HEARD)).map(({ tenant }) => tenant as string))
    this.known = names
    return names
  }

  /** Whether most likely nobody hears of this little. */
  guesses({ heard, events }: Tx): boolean {
    return !this.sole && heard === null && events.length <= GUESSED && !events.some(({ asked }) => asked)
  }

  /**
   * After a commit that has guessed. Never rejects.
   * @returns whether somebody does hear of it, or may: of a commit that was looked up there are no other answers
   */
  async guessedWrong(guessed: readonly Asked[]): Promise<boolean> {
    const told = await Promise.all(guessed.map(({ rows }) => rows)).catch(() => null)
    if (told?.every((rows) => rows.length === 0)) return false
    this.forget()
    return true
  }
}

const HEARD = 'select distinct tenant from webhooks where enabled = 1'
/** Of more events the answer is asked for: each that is sent on a guess is put into words. */
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
const INSERT_IF_HEARD = `${INSERT_OUTBOX} select ?1, ?2, ?3 where exists (select 1 from webhooks where tenant = ?4 and enabled = 1) on conflict do nothing returning 1 as told`

/** With the commit of what happened. */
export function* writeOutbox(tx: Tx, webhooks: WebhookBook): Plan<void> {
  if (webhooks.guesses(tx)) {
    tx.guessed = []
    for (const { tenant, what } of tx.events) {
      const happened = what()
      tx.guessed.push(yield* ask(INSERT_IF_HEARD, happened.at, happened.id, JSON.stringify(happened), tenant))
    }
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
