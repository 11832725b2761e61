/** Hands announcements to a transport, and knows about how many of them it still has. */
import { partsOf } from '../core/job.js'
import { togetherOf } from '../core/window.js'
import type { Message, Transport } from '../transports/transport.js'

interface Held {
  /** Messages that the transport was given. */
  given: number
  /** How many it said that it holds, of those that it had been given when it was asked. */
  said: number
  of: number
}

/** How many of `count` messages of a queue travel as one. */
export type Together = (queue: string, count: number) => number

export class Publisher {
  /** By queue. */
  private readonly held = new Map<string, Held>()
  /** Messages that were handed over. */
  published = 0

  constructor(
    private readonly transport: Transport,
    private readonly window: number,
  ) {}

  /** How many messages of a queue the transport holds, or more: what it said last, and what it was given since. */
  holds(queue: string): number {
    const held = this.held.get(queue)
    return held ? held.said + held.given - held.of : Number.POSITIVE_INFINITY
  }

  /** The same, asked for; while the window is mostly empty nobody waits for the answer. */
  async ask(queue: string): Promise<number> {
    const held = this.held.get(queue) ?? { given: 0, said: Number.POSITIVE_INFINITY, of: 0 }
    this.held.set(queue, held)
    const of = held.given
    const asked = this.transport.underWay(queue).then((said) => Object.assign(held, { said, of }))
    if (this.holds(queue) > this.window / 2) await asked
    else asked.catch(() => {})
    return this.holds(queue)
  }

  /**
   * @returns those that it did not take
   */
  async publish(
    messages: readonly Message[],
    together: Together = (_, count) => togetherOf(this.window, count),
  ): Promise<Message[]> {
    const refused = await Promise.all(
      [...byQueue(messages)].map(async ([queue, some]) => {
        const held = this.held.get(queue)
        if (held) held.given += some.length
        try {
          await this.transport.publish(queue, some, together(queue, some.length))
          this.published += some.length
          return []
        } catch {
          return some
        }
      }),
    )
    return refused.flat()
  }
}

function byQueue(messages: readonly Message[]): Map<string, Message[]> {
  const queues = new Map<string, Message[]>()
  for (const one of messages) {
    const { queue } = partsOf(one.lane)
    const known = queues.get(queue)
    if (known) known.push(one)
    else queues.set(queue, [one])
  }
  return queues
}
