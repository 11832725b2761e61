/**
 * `untildone webhooks listen`: for development. Follows what happens on a server and sends it to a receiver on this
 * machine as a webhook of the server would, signed with a secret that is the same at every start. Registers nothing, and
 * sends nothing twice.
 */
import { join } from 'node:path'
import { formatDuration } from '../../core/duration.js'
import { ENDS } from '../../core/webhook.js'
import { signWebhook } from '../../core/webhook-signature.js'
import { DATA_DIR } from '../address.js'
import type { CommandSpec } from '../command.js'
import type { Context } from '../context.js'
import { CliError, EXIT, type Exit } from '../failure.js'
import { type Answer, deliver } from '../listen/receiver.js'
import { listenSecret } from '../listen/secret.js'
import { LISTENABLE, type ListenEvent, pollingSource } from '../listen/source.js'
import { clean, cleanLines, clockTime, count, shortId } from '../text.js'
import { eventsOf, FILTERS, PAYLOAD } from './webhooks.js'

/** Larger bodies go without the result of the job, as from the server. */
const FULL_BYTES = 256 * 1024

export const webhooksListen: CommandSpec = {
  usage: 'webhooks listen',
  summary: 'for development: send what happens to a receiver on this machine',
  details: `Nothing is registered at the server: it needs a key that may read jobs, and ends with Ctrl-C.
What is sent, headers and signature are those of a webhook; what is not received is not sent again.
Heard are ${LISTENABLE.slice(0, 6).join(', ')},
and with a key that may read approvals ${LISTENABLE.slice(6).join(', ')}.`,
  options: [
    { flags: '--forward-to <address>', text: 'your receiver, e.g. localhost:3000/hooks' },
    ...FILTERS,
    PAYLOAD,
    { flags: '--print', text: 'show what is sent; without --forward-to nothing is' },
  ],
  examples: [
    ['untildone webhooks listen --forward-to localhost:3000/hooks', 'how jobs end'],
    ['untildone webhooks listen --forward-to localhost:3000/hooks --events job.failed,job.blocked --print', 'trouble'],
    ['untildone webhooks listen --print --types "ocr.*" --payload full', 'look, and send nothing'],
  ],
  async run(context, _args, options) {
    const forwardTo = options.forwardTo === undefined ? null : receiverOf(options.forwardTo)
    if (forwardTo === null && !options.print)
      throw new CliError('usage', 'Where is your receiver?', {
        fix: 'Give --forward-to localhost:3000/hooks, or --print to look only.',
      })
    const events = eventsOf(options.events) ?? ENDS
    const deaf = events.find((type) => !LISTENABLE.includes(type))
    if (deaf)
      throw new CliError('usage', `${deaf} is sent to webhooks of a server, and cannot be heard here.`, {
        fix: `Try it with a webhook: untildone webhooks test. Here there are: ${LISTENABLE.join(', ')}`,
      })
    const { types, group: groupId, tags } = options
    const listener = new Listener(context, {
      forwardTo,
      print: options.print === true,
      full: options.payload === 'full',
    })
    return listener.run({ events, filter: { types, groupId, tags } })
  },
}

/** `localhost:3000/hooks` is enough. */
function receiverOf(text: string): URL {
  const whole = /^https?:\/\//i.test(text) ? text : `http://${text}`
  if (URL.canParse(whole) && new URL(whole).hostname !== '') return new URL(whole)
  throw new CliError('usage', `"${text}" is no address.`, { fix: 'Give one like localhost:3000/hooks.' })
}

interface Settings {
  forwardTo: URL | null
  print: boolean
  full: boolean
}

class Listener {
  private readonly key: ReturnType<typeof listenSecret>
  private connected = true
  private sent = 0
  private received = 0
  /** Said once, until something is received again. */
  private lastHint: string | null = null

  constructor(
    private readonly context: Context,
    private readonly settings: Settings,
  ) {
    this.key = listenSecret(join(context.io.cwd, DATA_DIR))
  }

  async run(wanted: Parameters<ReturnType<typeof pollingSource>['open']>[0]): Promise<Exit> {
    const { context } = this
    try {
      const events = await pollingSource(context).open(wanted, (connected) => this.heardOfServer(connected))
      this.ready(wanted.events)
      for await (const event of events) await this.take(event)
    } catch (error) {
      if (!context.interrupted.aborted) throw error
    }
    // Ctrl-C is how this ends.
    const missed = this.sent - this.received
    if (this.settings.forwardTo)
      context.say(`Stopped. ${count(this.sent, 'event')} sent${missed > 0 ? `, ${missed} not received` : ''}.`)
    return EXIT.ok
  }

  private ready(events: readonly string[]): void {
    const { context } = this
    const { secret, kept } = this.key
    const { forwardTo } = this.settings
    const from = context.address.url
    if (this.asJson) {
      const json = { event: 'ready', secret, from, forwardTo: forwardTo?.href ?? null, events }
      return void context.io.out(`${JSON.stringify(json)}\n`)
    }
    context.say(`Ready. Signing secret ${secret}`)
    if (!kept) context.say(`  It could not be kept in ${DATA_DIR}: the next start has another one.`)
    context.say(`  ${events.join(', ')}`)
    context.say(`  from ${clean(from)}${forwardTo ? ` to ${forwardTo.href}` : ', only shown'}`)
    if (forwardTo)
      context.say('  Nothing is sent twice here; a server tries again for about three days. Ctrl-C ends it.')
  }

  private async take(event: ListenEvent): Promise<void> {
    const { context, settings } = this
    const body = await this.bodyOf(event)
    const at = context.now()
    let answer: Answer | null = null
    if (settings.forwardTo) {
      const headers = {
        ...(await signWebhook({ id: event.id, sentAt: at, body }, [this.key.secret])),
        'content-type': 'application/json; charset=utf-8',
        'user-agent': 'Untildone-Webhooks',
      }
      this.sent++
      answer = await deliver(context, settings.forwardTo, { headers, body })
      if (isReceived(answer)) this.received++
    }
    this.show(event, at, body, answer)
  }

  /** As the server makes it: the event, with `full` and the job as it is now. */
  private async bodyOf(event: ListenEvent): Promise<string> {
    if (!this.settings.full) return JSON.stringify(event)
    const job = await this.context.client.get(event.data.jobId, { signal: this.context.interrupted })
    const whole = JSON.stringify({ ...event, data: { ...event.data, job } })
    if (Buffer.byteLength(whole) <= FULL_BYTES) return whole
    return JSON.stringify({ ...event, data: { ...event.data, job: { ...job, result: null } } })
  }

  private show(event: ListenEvent, at: number, body: string, answer: Answer | null): void {
    const { context, settings } = this
    const { type, id, data } = event
    if (this.asJson) {
      const status = answer?.status ?? null
      const json = { event: type, at: new Date(at).toISOString(), eventId: id, jobId: data.jobId, status }
      const more = { durationMs: answer?.durationMs ?? null, hint: answer?.hint ?? null }
      const shown = settings.print ? { body: JSON.parse(body) } : {}
      return void context.io.out(`${JSON.stringify({ ...json, ...more, ...shown })}\n`)
    }
    const { outStyle: style } = context
    const parts = [style.dim(clockTime(at)), clean(type).padEnd(18), style.dim(shortId(clean(data.jobId)))]
    if (answer) {
      const word = answer.status === null ? 'no answer' : String(answer.status)
      parts.push((isReceived(answer) ? style.green : style.yellow)(word), formatDuration(answer.durationMs))
    }
    context.print(parts.join('  '))
    if (settings.print) context.print(indented(cleanLines(JSON.stringify(JSON.parse(body), null, 2))))
    this.teach(answer)
  }

  private teach(answer: Answer | null): void {
    if (!answer || isReceived(answer)) this.lastHint = null
    else if (answer.hint !== null && answer.hint !== this.lastHint) {
      this.lastHint = answer.hint
      this.context.say(`  → ${answer.hint}`)
    }
  }

  private heardOfServer(connected: boolean): void {
    if (connected === this.connected) return
    this.connected = connected
    this.context.say(
      connected
        ? '  The server is back; what happened meanwhile follows.'
        : '  The server does not answer. Asking again until it does; Ctrl-C ends it.',
    )
  }

  private get asJson(): boolean {
    const { json, ndjson } = this.context.options
    return Boolean(json || ndjson)
  }
}

const isReceived = ({ status }: Answer): boolean => status !== null && status >= 200 && status < 300
const indented = (text: string): string => text.replace(/^/gm, '  ')
