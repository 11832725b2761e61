/** Hearing of many jobs: events, snapshots, sockets, and tickets for those who may hold no key. */
import type { WireJob } from '../core/wire.js'
import { followEvents, type JobEvent } from './events.js'
import type { EventFilter } from './filter.js'
import type { EventsOptions, StreamTicketOptions, WatchGroupOptions, WatchJobsOptions } from './options.js'
import { type LiveSocket, openSocket, type SocketOptions } from './socket.js'
import type { StreamTicket } from './ticket.js'
import type { Call, Transport } from './transport.js'
import { untilGroupDone, watchJobs } from './watch-jobs.js'

export interface LiveCalls {
  /**
   * What happens to all jobs of a filter, each event once and never an older version after a newer one, until you leave
   * the loop. Survives lost connections and restarts of the server; polls where streams are not to be had.
   * @example for await (const { type, data } of client.events({ events: ['job.failed'] })) alert(data.jobId)
   * @throws UntildoneApiError `forbidden`, `unauthenticated`
   */
  events(filter?: EventFilter, options?: EventsOptions): AsyncIterable<JobEvent>
  /** The jobs of a filter: first those under way, then each newer snapshot. Without an end, as new ones may come. */
  watchJobs(filter?: EventFilter, options?: WatchJobsOptions): AsyncIterable<WireJob>
  /**
   * The jobs of a group: first all as they are, then each newer snapshot, up to the final one of each. Without an end
   * unless you ask for one, as others may join.
   * @example for await (const job of client.watchGroup('session-42', { until: 'done' })) show(job)
   */
  watchGroup(groupId: string, options?: WatchGroupOptions): AsyncIterable<WireJob>
  /**
   * One WebSocket for many subscriptions. For programs with a few of them `events` is simpler.
   * @throws TypeError where there is no WebSocket
   */
  socket(options?: SocketOptions): LiveSocket
  /** Makes what a browser may hold in place of a key. @throws UntildoneApiError `forbidden` */
  streamTicket(options?: StreamTicketOptions): Promise<StreamTicket>
}

export function liveCalls(transport: Transport, body: <T>(call: Call) => Promise<T>): LiveCalls {
  return {
    events: (filter = {}, options = {}) => followEvents(transport, filter, options),
    watchJobs: (filter = {}, { signal, onConnection } = {}) => watchJobs(transport, filter, { signal, onConnection }),
    watchGroup: (groupId, { signal, onConnection, until } = {}) => {
      const jobs = watchJobs(transport, { groupId }, { signal, onConnection })
      return until === 'done' ? untilGroupDone(transport, groupId, jobs, signal) : jobs
    },
    socket: (options) => openSocket(transport, options),
    // Asking twice does no harm: a ticket changes nothing.
    streamTicket: ({ filter = {}, ttlMs, use, signal } = {}) =>
      body<StreamTicket>({ method: 'POST', path: '/v1/stream-tickets', json: { filter, ttlMs, use }, signal }),
  }
}
