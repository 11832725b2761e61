/** Deliveries in one line each, and who was told of a job: nothing where nobody was, or this key may not see it. */
import { UntildoneApiError } from '../client/index.js'
import { formatDuration } from '../core/duration.js'
import type { WireDelivery } from '../core/wire-webhook.js'
import type { Context } from './context.js'
import { clean, paint } from './text.js'

/** Lines of one job; the rest is a command away. */
const MOST = 10

export async function toldLines(context: Context, jobId: string): Promise<string[]> {
  const { client, interrupted: signal } = context
  try {
    const { items, nextCursor } = await client.webhooks.jobDeliveries(jobId, { limit: MOST, signal }).page()
    const lines = items.map((one) => deliveryLine(context, one))
    return nextCursor === null ? lines : [...lines, `more: untildone webhooks deliveries --job ${jobId}`]
  } catch (error) {
    // A note at the side: the job itself is what was asked for.
    if (error instanceof UntildoneApiError && error.status < 500) return []
    throw error
  }
}

/** `completed  job.failed  https://…  200`, in one line. */
export function deliveryLine(context: Context, one: WireDelivery): string {
  const parts = [
    paint(context.outStyle, one.status),
    clean(one.eventType),
    clean(one.url),
    answerOf(one, context.now()),
  ]
  return parts.filter(Boolean).join('  ')
}

/** The answer, or why there is none and what comes next. */
export function answerOf(
  { status, lastStatus, lastError, nextAttemptAt, attempts }: WireDelivery,
  now: number,
): string {
  if (status === 'completed') return String(lastStatus ?? '')
  const next = nextAttemptAt === null || attempts === 0 ? '' : nextIn(Date.parse(nextAttemptAt) - now)
  return [lastError === null ? '' : clean(lastError), next].filter(Boolean).join(' ')
}

export const nextIn = (ms: number): string => (ms <= 0 ? 'Next try now.' : `Next try in ${formatDuration(ms)}.`)
