/** What `doctor` says of webhooks: how many, which do not get through, since when, and what waits for them. */
import { UntildoneApiError } from '../client/index.js'
import type { WireWebhook } from '../core/wire-webhook.js'
import { bad, type Check, note, ok } from './checks.js'
import type { Context } from './context.js'
import { clean, count, oneUnit } from './text.js'

const WHAT = 'webhooks'
/** Counted up to so many per webhook. */
const MANY = 200

/** Nothing where the server has none, or this key may not see them. */
export async function webhookCheck(context: Context): Promise<Check[]> {
  const { client, interrupted } = context
  try {
    const webhooks = await client.webhooks.list({ signal: interrupted })
    if (webhooks.length === 0) return [ok(WHAT, 'none')]
    const waiting = await Promise.all(webhooks.map((one) => waitingFor(context, one)))
    return [judge(webhooks, waiting, context.now())]
  } catch (error) {
    if (interrupted.aborted) throw error
    const status = error instanceof UntildoneApiError ? error.status : null
    if (status === 404) return []
    const fix = status === 403 ? 'A key with webhooks:manage sees them.' : null
    return [note(WHAT, (error as Error).message, fix)]
  }
}

async function waitingFor({ client, interrupted: signal }: Context, { id }: WireWebhook): Promise<number> {
  const query = { status: ['accepted', 'processing'], limit: MANY, signal } as const
  return (await client.webhooks.deliveries(id, query).page()).items.length
}

function judge(webhooks: readonly WireWebhook[], waiting: readonly number[], now: number): Check {
  const all = `${count(webhooks.length, 'webhook')}`
  const events = (n: number) =>
    `${n >= MANY ? `${MANY} or more events wait` : `${count(n, 'event waits', 'events wait')}`}`
  const wrong = webhooks.flatMap((one, i) => {
    const trouble = troubleOf(one, now)
    return trouble === null ? [] : [{ id: clean(one.id), trouble, waits: waiting[i]!, off: !one.enabled }]
  })
  if (wrong.length === 0) {
    const total = waiting.reduce((sum, n) => sum + n, 0)
    return ok(WHAT, `${all}${total > 0 ? `, ${events(total)}` : ''}`)
  }
  const lines = wrong.map(({ id, trouble, waits }) => `${id} ${trouble}${waits > 0 ? ` (${events(waits)})` : ''}`)
  const [{ id, off }] = wrong as [(typeof wrong)[number]]
  return bad(
    WHAT,
    `${all}; ${lines.join('; ')}`,
    off
      ? `Put its receiver right, then: untildone webhooks enable ${id}`
      : `See what it answers: untildone webhooks deliveries ${id}. When it is put right: untildone webhooks test ${id}`,
  )
}

/** Null when it is well, or somebody wants it to hear nothing. */
function troubleOf({ disabled, health }: WireWebhook, now: number): string | null {
  const for_ = (at: string) => oneUnit(now - Date.parse(at))
  if (disabled?.why === 'operator') return null
  if (disabled) return `disabled ${for_(disabled.at)} ago: ${clean(disabled.message)}`
  if (!health.failingSince) return null
  return `fails since ${health.failingSince} (${for_(health.failingSince)}): ${clean(health.lastFailure ?? 'no answer')}`
}
