/**
 * `client.events`: what happens to many jobs, each event once. A job that the server tells as a whole, after a reset or in
 * a poll, becomes the newest of its events, unless that one was given before.
 */
import type { WireEvent } from '../core/wire.js'
import { Feed, type FeedOptions } from './feed.js'
import { type EventFilter, eventOf, wantsEvent } from './filter.js'
import { Ledger } from './ledger.js'
import type { Transport } from './transport.js'

/** An event, and where its reader stands after it. */
export type JobEvent = WireEvent & {
  /**
   * Store it when you have dealt with the event, and give it as `after` to go on from there: nothing is missed, but after
   * a reset you may get events again that you had. Null as long as there is none.
   */
  cursor: string | null
}

export async function* followEvents(
  transport: Transport,
  filter: EventFilter,
  options: FeedOptions,
): AsyncGenerator<JobEvent, void> {
  const ledger = new Ledger()
  for await (const item of new Feed(transport, filter, options).run()) {
    if (item.kind === 'begun') continue
    const event = item.kind === 'event' ? item.event : eventOf(item.job)
    const isNew = item.kind === 'event' ? ledger.event(event) : ledger.job(item.job) && !item.before
    if (isNew && wantsEvent(filter, event.type)) yield { ...event, cursor: item.cursor }
  }
}
