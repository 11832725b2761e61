/** A receiver of webhooks for fetch requests, and what it does with an event; docs/guide/webhooks.md. */
import { isNewer, verifyWebhook, type WebhookEvent, WebhookVerificationError } from 'untildone/client'

// #region fetch
export async function receive(request: Request): Promise<Response> {
  let event: WebhookEvent
  try {
    event = await verifyWebhook(request.headers, await request.text(), process.env.WEBHOOK_SECRET!)
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error
    console.warn(`${error.code}: ${error.message} ${error.fix}`)
    return new Response(null, { status: error.status })
  }
  await take(event)
  return new Response(null, { status: 204 })
}
// #endregion

// #region take
export async function take({ id, type, data }: WebhookEvent): Promise<void> {
  await database.transaction((rows) => {
    if (rows.seen.has(id)) return // this delivery came before, and its answer was lost
    rows.seen.add(id)
    if (!isNewer({ data }, rows.versions.get(data.jobId))) return // a later event was faster
    rows.versions.set(data.jobId, data.version)
    rows.statuses.set(data.jobId, data.status)
    if (type === 'job.completed') rows.outbox.push(`tell the customer: ${data.operationKey} is done`)
  })
}
// #endregion

const rows = {
  seen: new Set<string>(),
  versions: new Map<string, number>(),
  statuses: new Map<string, string>(),
  outbox: [] as string[],
}

/** Stands for your database. */
export const database = {
  rows,
  async transaction(change: (all: typeof rows) => void): Promise<void> {
    change(rows)
  },
}
