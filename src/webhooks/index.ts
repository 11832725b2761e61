/**
 * Webhooks of one process, put together: keys and addresses for the engine, the built-in type that delivers, the relay
 * that finds out who is told. Its worker starts with the first delivery, so that who has no webhooks pays nothing.
 */
import type { Clock } from '../core/clock.js'
import { UntildoneError } from '../core/errors.js'
import { type Deliveries, WEBHOOK_QUEUE } from '../engine/deliveries.js'
import type { WebhookTools } from '../engine/notices.js'
import type { EngineParts } from '../engine/parts.js'
import type { Registry } from '../engine/registry.js'
import { type AddressRules, addressRules, checkUrl } from './address.js'
import { deliveryHandler, type Post } from './deliver.js'
import { newSecret } from './keys.js'
import { Relay } from './relay.js'
import { send } from './send.js'

export interface WebhookOptions {
  /**
   * What may be called although it is not public: hosts, `host:port`, or ranges like `10.1.0.0/16`.
   * @default nothing: private, loopback and link-local addresses are refused
   */
  allow?: readonly string[]
  /** Plain http to any host; otherwise only to those that `allow` names. @default false */
  allowHttp?: boolean
  /** Hosts that any submitter may name in `notify`. @default none: that needs the right to manage webhooks */
  notifyHosts?: readonly string[]
  /** Deliveries at once in this process. @default 32 */
  slots?: number
  /** Who sends; for tests. @default HTTP */
  post?: Post
}

/** @throws UntildoneError `bad-definition`, for an allow list that cannot be read */
export function webhookTools(options: WebhookOptions): WebhookTools {
  const rules = rulesOf(options)
  return {
    refusal(url) {
      const judged = checkUrl(url, rules)
      return judged.ok ? null : { why: judged.message, fix: judged.fix }
    },
    newSecret,
    notifyHosts: options.notifyHosts ?? [],
  }
}

function rulesOf(options: WebhookOptions): AddressRules {
  try {
    return addressRules(options)
  } catch (cause) {
    throw new UntildoneError('bad-definition', `webhooks.${(cause as Error).message}`, { cause })
  }
}

export interface WebhooksOptions {
  parts: EngineParts
  deliveries: Deliveries
  registry: Registry
  clock: Clock
  /** Starts the worker that sends; called once. */
  startWorker: (slots: number) => Promise<void>
  onError: (error: unknown) => void
}

/** The deployment's webhooks: whom to tell, and the telling. */
export class Telling {
  private readonly relay: Relay
  private sending = false

  constructor(
    private readonly options: WebhooksOptions,
    private readonly settings: WebhookOptions,
  ) {
    const { parts, deliveries, registry, clock, onError } = options
    const { allow, allowHttp, post = (request) => send({ ...request, ...{ clock, allow, allowHttp } }) } = settings
    registry.addBuiltIn(deliveryHandler({ parts, post }))
    this.relay = new Relay({ ...{ parts, deliveries, clock, onError }, onWork: () => this.work() })
  }

  /** Tells what the process before this one has not told any more. */
  async start(): Promise<void> {
    const lanes = await this.options.parts.store.lanes()
    if (lanes.some(({ lane }) => this.takes(lane))) this.work()
    this.relay.start()
  }

  stop(): Promise<void> {
    return this.relay.stop()
  }

  /** A hint: a job is on its way into this lane. */
  hint(lane: string): void {
    if (this.takes(lane)) this.work()
  }

  private takes(lane: string): boolean {
    return lane.startsWith(`${WEBHOOK_QUEUE}/`)
  }

  private work(): void {
    if (this.sending) return
    this.sending = true
    const { startWorker, onError } = this.options
    startWorker(this.settings.slots ?? 32).catch((error) => {
      this.sending = false
      onError(error)
    })
  }
}
