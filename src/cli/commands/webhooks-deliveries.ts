/** `untildone webhooks deliveries`, `resend` and `test`: what was sent, and how it went. */
import { formatDuration } from '../../core/duration.js'
import { STATUSES } from '../../core/job.js'
import type { WireDelivery } from '../../core/wire-webhook.js'
import { type CommandSpec, duration, jobId, list, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { CliError, EXIT } from '../failure.js'
import { type Column, facts } from '../table.js'
import { ago, clean, paint } from '../text.js'
import { answerOf, deliveryLine, nextIn } from '../told.js'
import { printList } from './jobs-detail.js'

const PER_PAGE = 200
const LOOK_MS = 250

export const webhooksTest: CommandSpec = {
  usage: 'webhooks test <id>',
  summary: 'send a webhook.ping and say how it went',
  options: [
    { flags: '--timeout <duration>', text: 'wait at most so long for an answer (default: 25s)', parse: duration },
  ],
  examples: [['untildone webhooks test wh_7QmZ2xk4VbT9aLpE', 'exit code 0 when a 2xx came back, 1 otherwise']],
  async run(context, [id], { timeout = 25_000 }) {
    const { webhooks } = context.client
    let sent = await webhooks.test(id, { signal: context.interrupted })
    const until = context.now() + timeout
    // One try is enough to know; further ones come by themselves.
    while (!sent.done && !sent.lastError && context.now() < until) {
      await context.sleep(LOOK_MS, context.interrupted)
      sent = await webhooks.delivery(sent.id, { signal: context.interrupted })
    }
    if (context.options.json) context.printJson(sent)
    if (sent.status === 'completed') return void (context.options.json || context.print(deliveryLine(context, sent)))
    const waits = !sent.done && !sent.lastError
    throw new CliError(waits ? 'webhook-unanswered' : 'webhook-refused', sent.lastError ?? 'No answer came in time.', {
      fix: waits
        ? `It is still being tried. Look again: untildone webhooks deliveries ${clean(id)}`
        : `Is it the right address? untildone webhooks get ${clean(id)}`,
      exit: EXIT.found,
    })
  },
}

export const webhooksDeliveries: CommandSpec = {
  usage: 'webhooks deliveries [id]',
  summary: 'what was sent to a webhook, or about a job, newest first',
  options: [
    { flags: '--job <id>', text: 'about this job, to whomever' },
    { flags: '--delivery <id>', text: 'this one, with every try' },
    { flags: '--status <statuses>', text: `only these: ${STATUSES.join(', ')}`, parse: list },
    { flags: '--limit <n>', text: 'at most so many (default: 50)', parse: wholeNumber(1, 10_000) },
  ],
  examples: [
    ['untildone webhooks deliveries wh_7QmZ2xk4VbT9aLpE --status failed', 'what it never got'],
    ['untildone webhooks deliveries --job 7f3c91e2', 'who was told of a job'],
  ],
  async run(context, [id], options) {
    const given = [id, options.job, options.delivery].filter((one) => one !== undefined)
    if (given.length !== 1)
      throw new CliError('usage', 'Give either the id of a webhook, or --job, or --delivery.', {
        fix: 'List the webhooks: untildone webhooks list',
      })
    const { webhooks } = context.client
    if (options.delivery !== undefined)
      return showDelivery(context, await webhooks.delivery(options.delivery, { signal: context.interrupted }))
    const most: number = options.limit ?? 50
    const query = { status: options.status, limit: Math.min(most, PER_PAGE), signal: context.interrupted }
    const found: WireDelivery[] = []
    const pages =
      id === undefined
        ? webhooks.jobDeliveries(await jobId(context, options.job), query)
        : webhooks.deliveries(id, query)
    for await (const one of pages) {
      if (found.push(one) >= most) break
    }
    const columns: Column[] = [
      { title: 'DELIVERY', key: true },
      { title: 'STATUS' },
      { title: 'EVENT' },
      { title: id === undefined ? 'TO' : 'JOB', shrinkTo: 12 },
      { title: 'TRIES', align: 'right' },
      { title: 'WHEN' },
      { title: 'ANSWER', shrinkTo: 12 },
    ]
    const now = context.now()
    const rows = found.map((one) => [
      one.id,
      paint(context.outStyle, one.status),
      clean(one.eventType),
      clean(id === undefined ? one.url : (one.jobId ?? '')),
      String(one.attempts),
      ago(one.createdAt, now),
      answerOf(one, now),
    ])
    printList(context, found, columns, rows, 'Nothing was sent.')
  },
}

export const webhooksResend: CommandSpec = {
  usage: 'webhooks resend <delivery>',
  summary: 'send an event again, under the same webhook-id',
  details: 'While the delivery is still under way, its next try begins now instead.',
  examples: [['untildone webhooks resend 019a7c31-9e21-7d10-8a77-0c4b5d3e6f21', 'receivers know it by its id']],
  async run(context, [id]) {
    const sent = await context.client.webhooks.resend(id, { signal: context.interrupted })
    if (context.options.json) return context.printJson(sent)
    if (context.options.quiet) return context.print(sent.id)
    context.print(deliveryLine(context, sent))
    context.say(`How it goes: untildone webhooks deliveries --delivery ${sent.id}`)
  },
}

const OUTCOMES = {
  delivered: 'delivered',
  failed: 'did not work',
  lost: 'worker lost',
  released: 'given back',
} as const

function showDelivery(context: Context, one: WireDelivery): void {
  if (context.options.json) {
    context.printJson(one)
    return
  }
  const tries = (one.tries ?? []).map(({ attempt, at, durationMs, status, outcome, error }) => {
    const answer = outcome === 'delivered' ? String(status ?? '') : clean(error?.message ?? String(status ?? ''))
    return `${attempt}  ${at}  ${formatDuration(durationMs)}  ${[OUTCOMES[outcome], answer].filter(Boolean).join(': ')}`
  })
  const next = one.nextAttemptAt
  context.print(
    facts([
      ['delivery', one.id],
      ['status', paint(context.outStyle, one.status)],
      ['event', `${clean(one.eventType)}  ${clean(one.eventId)}`],
      ['to', clean(one.url)],
      ['webhook', clean(one.webhookId)],
      ['job', one.jobId],
      ['repeats', one.resendOf],
      ['made', `${one.createdAt}  (${ago(one.createdAt, context.now())})`],
      ['tries', tries.join('\n')],
      ['next try', next && `${next}  ${nextIn(Date.parse(next) - context.now())}`],
    ]),
  )
  if (one.status === 'failed') context.say(`Send it again: untildone webhooks resend ${one.id}`)
}
