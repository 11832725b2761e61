/** `untildone webhooks`: who is told of events, and what became of it. A secret goes to stdout once and nowhere else. */
import type { UpdateWebhookOptions } from '../../client/index.js'
import { EVENT_TYPES, type EventType } from '../../core/webhook.js'
import type { WireWebhook } from '../../core/wire-webhook.js'
import { type CommandOption, type CommandSpec, duration, list, oneOf, REASON, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { CliError } from '../failure.js'
import { type Column, facts } from '../table.js'
import { ago, clean, oneUnit } from '../text.js'
import { printList } from './jobs-detail.js'

/** What is heard, and of which jobs: shared with `webhooks listen`. */
export const FILTERS: readonly CommandOption[] = [
  {
    flags: '--events <events>',
    text: 'what it hears, e.g. job.failed,job.blocked (default: how jobs end)',
    parse: list,
  },
  { flags: '--types <types>', text: 'only of these job types, e.g. "ocr.*" (default: all)', parse: list },
  { flags: '--group <id>', text: 'only of this group' },
  { flags: '--tags <tags>', text: 'only of jobs that have one of these', parse: list },
]
export const PAYLOAD: CommandOption = {
  flags: '--payload <what>',
  text: 'thin: what happened; full: the job with it, result included (default: thin)',
  parse: oneOf(['thin', 'full']),
}
const IF_VERSION: CommandOption = {
  flags: '--if-version <n>',
  text: 'only if the webhook still has this version',
  parse: wholeNumber(1, 2 ** 31),
}

export const webhooksList: CommandSpec = {
  usage: 'webhooks list',
  summary: 'webhooks, and how each answers',
  examples: [['untildone webhooks list', 'which of them fail']],
  async run(context) {
    const webhooks = await context.client.webhooks.list({ signal: context.interrupted })
    const columns: Column[] = [
      { title: 'ID', key: true },
      { title: 'URL', shrinkTo: 16 },
      { title: 'HEARS', shrinkTo: 12 },
      { title: 'STATE', shrinkTo: 12 },
    ]
    const now = context.now()
    const rows = webhooks.map((one) => [clean(one.id), addressOf(one), hearsOf(one), stateOf(one, now)])
    printList(context, webhooks, columns, rows, 'No webhooks. Make one: untildone webhooks add https://…')
  },
}

export const webhooksAdd: CommandSpec = {
  usage: 'webhooks add <url>',
  summary: 'make a webhook; its secret is shown once',
  details: `Events: ${EVENT_TYPES.join(' ')}`,
  options: [
    ...FILTERS,
    PAYLOAD,
    { flags: '--description <text>', text: 'for people' },
    {
      flags: '--format <format>',
      text: 'standard or cloudevents (default: standard)',
      parse: oneOf(['standard', 'cloudevents']),
    },
    {
      flags: '--signing <kind>',
      text: 'hmac: a shared secret; ed25519: a public key (default: hmac)',
      parse: oneOf(['hmac', 'ed25519']),
    },
    { flags: '--disabled', text: 'make it disabled' },
    REASON,
  ],
  examples: [
    ['untildone webhooks add https://app.example/hooks', 'how every job ends'],
    ['untildone webhooks add https://app.example/ocr --types "ocr.*" --events job.failed,job.blocked', 'only trouble'],
  ],
  async run(context, [url], options) {
    const { payload, description, format, signing, reason } = options
    const made = await context.client.webhooks.create({
      ...{ url, payload, description, format, signing, reason, events: eventsOf(options.events) },
      ...{ filter: filterOf(options), enabled: options.disabled ? false : undefined, signal: context.interrupted },
    })
    showSecret(context, made)
  },
}

export const webhooksGet: CommandSpec = {
  usage: 'webhooks get <id>',
  summary: 'one webhook: what it hears and how its receiver answers',
  examples: [['untildone webhooks get wh_7QmZ2xk4VbT9aLpE', 'since when it fails, and why']],
  async run(context, [id]) {
    const webhook = await context.client.webhooks.get(id, { signal: context.interrupted })
    if (context.options.json) return context.printJson(webhook)
    context.print(describe(context, webhook))
  },
}

export const webhooksRemove: CommandSpec = {
  usage: 'webhooks remove <id>',
  summary: 'send nothing more there, for good',
  options: [REASON],
  examples: [['untildone webhooks remove wh_7QmZ2xk4VbT9aLpE --reason "replaced"', 'deliveries under way end']],
  async run(context, [id], { reason }) {
    await context.client.webhooks.remove(id, { reason, signal: context.interrupted })
    if (context.options.json) context.printJson({ id, removed: true })
    else context.say(`Webhook ${clean(id)} is removed.`)
  },
}

export const webhooksEnable: CommandSpec = {
  usage: 'webhooks enable <id>',
  summary: 'send to it again; its failures are forgotten',
  options: [REASON, IF_VERSION],
  examples: [['untildone webhooks enable wh_7QmZ2xk4VbT9aLpE', 'then try it: untildone webhooks test']],
  async run(context, [id], options) {
    const webhook = await change(context, id, options, { enabled: true })
    if (!webhook) return
    context.say(`Webhook ${clean(id)} is enabled. Try it: untildone webhooks test ${clean(id)}`)
    context.say(`What it never got: untildone webhooks deliveries ${clean(id)} --status failed`)
  },
}

export const webhooksDisable: CommandSpec = {
  usage: 'webhooks disable <id>',
  summary: 'send nothing to it until it is enabled',
  options: [REASON, IF_VERSION],
  examples: [
    ['untildone webhooks disable wh_7QmZ2xk4VbT9aLpE --reason "receiver is moving"', 'nothing is kept for it'],
  ],
  async run(context, [id], options) {
    const webhook = await change(context, id, options, { enabled: false })
    if (webhook) context.say(`Webhook ${clean(id)} is disabled: it hears nothing until it is enabled.`)
  },
}

export const webhooksRotate: CommandSpec = {
  usage: 'webhooks rotate <id>',
  summary: 'a new secret; the old one signs as well a while longer',
  options: [
    {
      flags: '--overlap <duration>',
      text: 'how long the old one signs as well; 0s: no longer at all (default: 24h)',
      parse: duration,
    },
    REASON,
  ],
  examples: [['untildone webhooks rotate wh_7QmZ2xk4VbT9aLpE --overlap 7d', 'time to change the receiver']],
  async run(context, [id], { overlap, reason }) {
    showSecret(context, await context.client.webhooks.rotate(id, { overlap, reason, signal: context.interrupted }))
  },
}

/** Said before anything is sent, with all there are. */
export function eventsOf(given: string[] | undefined): EventType[] | undefined {
  const wrong = given?.find((word) => !EVENT_TYPES.includes(word as EventType))
  if (wrong === undefined) return given as EventType[] | undefined
  throw new CliError('usage', `"${wrong}" is no event.`, { fix: `There are: ${EVENT_TYPES.join(', ')}` })
}

function filterOf({ types, group, tags }: Record<string, any>): UpdateWebhookOptions['filter'] {
  return types || group !== undefined || tags ? { types, group, tags } : undefined
}

async function change(
  context: Context,
  id: string,
  { reason, ifVersion }: Record<string, any>,
  changes: UpdateWebhookOptions,
): Promise<WireWebhook | null> {
  const request = { ...changes, reason, ifVersion, signal: context.interrupted }
  const webhook = await context.client.webhooks.update(id, request)
  if (!context.options.json) return webhook
  context.printJson(webhook)
  return null
}

function showSecret(context: Context, webhook: WireWebhook): void {
  if (context.options.json) {
    context.printJson(webhook)
    return
  }
  context.print(webhook.secret ?? '')
  const { id, url, publicKey } = webhook
  const about = url === null ? 'signs what goes to addresses named by jobs' : clean(url)
  context.say(`Webhook ${clean(id)}: ${about}. The secret is shown only now: it belongs to the receiver.`)
  if (publicKey) context.say(`Receivers verify with the public key: ${clean(publicKey)}`)
  if (url !== null) context.say(`Try it: untildone webhooks test ${clean(id)}`)
}

function addressOf({ url }: WireWebhook): string {
  return url === null ? '(addresses that jobs name)' : clean(url)
}

function hearsOf({ url, events, filter }: WireWebhook): string {
  if (url === null || events.length === 0) return 'what jobs name it for'
  const narrowed = [...(filter.types ?? []), filter.groupId && `group ${filter.groupId}`, ...(filter.tags ?? [])]
  return clean([events.join(' '), ...narrowed.filter(Boolean)].join(', '))
}

function stateOf({ enabled, disabled, health }: WireWebhook, now: number): string {
  if (!enabled) return `disabled${disabled && disabled.why !== 'operator' ? `: ${clean(disabled.message)}` : ''}`
  const { failingSince, lastSuccessAt } = health
  if (failingSince) return `failing for ${oneUnit(now - Date.parse(failingSince))}`
  return lastSuccessAt ? `answered ${ago(lastSuccessAt, now)}` : 'not tried yet'
}

function describe(context: Context, webhook: WireWebhook): string {
  const now = context.now()
  const { disabled, health, filter, secrets } = webhook
  const when = (at: string | null) => at && `${at}  (${ago(at, now)})`
  const until = (at: string | null) => (at === null ? '' : `  signs until ${at}`)
  return facts([
    ['webhook', clean(webhook.id)],
    ['url', addressOf(webhook)],
    ['what', webhook.description && clean(webhook.description)],
    ['state', stateOf(webhook, now)],
    ['hears', webhook.events.length === 0 ? 'only jobs that name it' : webhook.events.join(' ')],
    ['of types', clean((filter.types ?? []).join(' '))],
    ['of group', filter.groupId && clean(filter.groupId)],
    ['with tag', clean((filter.tags ?? []).join(' '))],
    ['payload', webhook.payload],
    ['format', webhook.format],
    ['signed by', secrets.map(({ hint, until: end }) => clean(hint) + until(end)).join('\n')],
    ['public key', webhook.publicKey && clean(webhook.publicKey)],
    ['disabled', disabled && `${when(disabled.at)}  ${clean(disabled.message)}`],
    ['failing since', when(health.failingSince)],
    ['is disabled', disabled ? null : health.disablesAt && `at ${health.disablesAt} if that goes on`],
    ['last answer', when(health.lastSuccessAt)],
    ['last failure', health.lastFailureAt && `${when(health.lastFailureAt)}  ${clean(health.lastFailure ?? '')}`],
    ['made by', clean(webhook.createdBy.name ?? webhook.createdBy.id)],
    ['version', String(webhook.version)],
  ])
}
