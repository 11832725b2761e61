/**
 * From what happened to deliveries: who hears of it is looked up, and its deliveries are stored while it is taken out of
 * the outbox, in one transaction. Sends nothing (deliver.ts does). A hint only says when to look.
 */
import type { Clock, Timer } from '../core/clock.js'
import type { Json } from '../core/json.js'
import { ENDS, type EventType, type Happened, hears, type Notify, SIGNER, type Webhook } from '../core/webhook.js'
import type { Deliveries, WebhookEvent } from '../engine/deliveries.js'
import { eventOf } from '../engine/event.js'
import type { EngineParts } from '../engine/parts.js'
import { isTombstone, type NewJob, type StoredJob } from '../stores/store.js'

const CHUNK = 100
/** Besides hints: what a lost one would have said. */
const LOOK_MS = 1000
const TRY_AGAIN_MS = 1000

export interface RelayOptions {
  parts: EngineParts
  deliveries: Deliveries
  clock: Clock
  /** Called before the first delivery is stored. */
  onWork: () => void
  onError: (error: unknown) => void
}

export class Relay {
  private timer: Timer | null = null
  private unsubscribe: (() => void) | null = null
  private running: Promise<void> | null = null
  private rung = false
  private stopped = true

  constructor(private readonly options: RelayOptions) {}

  start(): void {
    this.stopped = false
    this.unsubscribe ??= this.options.parts.store.webhooks.onHappened(() => this.ring())
    this.ring()
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.unsubscribe?.()
    this.unsubscribe = null
    this.timer?.cancel()
    await this.running
  }

  private ring(): void {
    this.rung = true
    if (this.stopped || this.running) return
    this.timer?.cancel()
    this.running = this.run().finally(() => {
      this.running = null
    })
  }

  private async run(): Promise<void> {
    let wait = LOOK_MS
    while (this.rung && !this.stopped) {
      this.rung = false
      try {
        while (!this.stopped && (await this.pass()) === CHUNK);
      } catch (error) {
        this.options.onError(error)
        wait = TRY_AGAIN_MS
      }
    }
    if (this.stopped) return
    this.timer = this.options.clock.after(wait, () => this.ring())
  }

  /** @returns how much of what happened was looked at */
  private async pass(): Promise<number> {
    const { store } = this.options.parts
    const happened = await store.webhooks.outbox(CHUNK)
    if (happened.length === 0) return 0
    this.options.onWork()
    const webhooks = new Map<string, Webhook[]>()
    for (const tenant of new Set(happened.map((one) => one.tenant)))
      webhooks.set(tenant, await store.webhooks.list(tenant))
    const jobs = new Map<string, readonly NewJob[]>()
    for (const one of happened) jobs.set(one.id, await this.deliveriesOf(one, webhooks.get(one.tenant)!))
    const stored = await store.webhooks.tell({ happened, jobs })
    if (stored > 0)
      for (const { live } of [...jobs.values()].flat()) this.options.parts.onSubmitting(live.lane, live.runAt)
    return happened.length
  }

  private async deliveriesOf(happened: Happened, webhooks: readonly Webhook[]): Promise<NewJob[]> {
    const { store } = this.options.parts
    const found = happened.jobId === null ? null : await store.find(happened.jobId, 0)
    const job = found && !isTombstone(found) ? found : null
    const event = await this.eventOf(happened, job)
    const prepared: NewJob[] = []
    for (const target of targetsOf(happened.type, job, webhooks))
      prepared.push(await this.options.deliveries.prepare({ ...target, event }))
    return prepared
  }

  /** The event as it was at that time: a job that has gone on since does not change what happened. */
  private async eventOf({ id, type, jobId, at, seq, details }: Happened, job: StoredJob | null): Promise<WebhookEvent> {
    const time = new Date(at).toISOString()
    return {
      specversion: '1.0',
      ...{ id, source: '/v1', type },
      subject: jobId === null ? `webhook/${details?.webhookId ?? ''}` : `job/${jobId}`,
      ...{ time, timestamp: time },
      datacontenttype: 'application/json',
      data: {
        ...(jobId === null ? {} : await this.aboutJob(jobId, seq, job)),
        ...details,
      },
    }
  }

  private async aboutJob(
    jobId: string,
    seq: number | null,
    job: StoredJob | null,
  ): Promise<{ [member: string]: Json }> {
    const { parts } = this.options
    // Removed before anybody was told: its id is what is left to say.
    if (!job) return { jobId }
    const { type, groupId, operationKey } = job.record
    const fixed = { jobId, jobType: type, groupId, operationKey }
    if (seq === null) {
      const { status, done, version } = parts.view(job)
      return { ...fixed, status, done, version, previousStatus: null }
    }
    const { entries, before } = await parts.store.history(jobId, seq - 1, 1)
    // A history is written with the change that it tells of, and goes with its job.
    const { status, done, version, previousStatus } = eventOf(job, entries[0]!, before)!.event.data
    return { ...fixed, status, done, version, previousStatus }
  }
}

interface Target {
  webhook: Webhook
  url: string | null
}

/** Subscriptions that hear of it, and whom the job itself names; each address once. */
function targetsOf(type: EventType, job: StoredJob | null, webhooks: readonly Webhook[]): Target[] {
  const about = job && {
    ...{ type: job.record.type, groupId: job.record.groupId },
    tags: job.record.options.tags ?? [],
  }
  const targets: Target[] = webhooks
    .filter((webhook) => webhook.url !== null && hears(webhook, type, about))
    .map((webhook) => ({ webhook, url: null }))
  for (const { webhookId, url, events = ENDS } of job?.record.options.notify ?? ([] as Notify[])) {
    if (!events.includes(type)) continue
    const webhook = webhooks.find(({ id, disabled }) => id === (webhookId ?? SIGNER) && !disabled)
    if (webhook && !targets.some((one) => one.webhook.id === webhook.id && one.url === (url ?? null)))
      targets.push({ webhook, url: url ?? null })
  }
  return targets
}
