/** A history entry as the event that is told of it: to streams, webhooks and whoever asks. One shape everywhere. */
import { isFinal, statusAfter } from '../core/lifecycle.js'
import type { WireEvent } from '../core/wire.js'
import type { StoredHistory, StoredJob } from '../stores/store.js'
import { iso } from './view.js'

/** The event that an entry of the history makes, if it makes one; a retry is told to operators only. */
export function eventOf(
  { record }: StoredJob,
  entry: StoredHistory,
  previous: StoredHistory | null,
): { event: WireEvent; operators: boolean } | null {
  const status = statusAfter(entry)
  const previousStatus = previous ? statusAfter(previous) : null
  const retrying = entry.state === 'queued' && (entry.event === 'errored' || entry.event === 'leaseExpired')
  if (status === previousStatus && !retrying) return null
  const type = status === previousStatus ? 'job.retrying' : `job.${status}`
  const at = iso(entry.at)
  const event: WireEvent = {
    specversion: '1.0',
    id: `${record.id}:${entry.seq}`,
    source: '/v1',
    type,
    subject: `job/${record.id}`,
    time: at,
    timestamp: at,
    datacontenttype: 'application/json',
    data: {
      jobId: record.id,
      jobType: record.type,
      status,
      done: isFinal(entry.state),
      version: entry.seq,
      groupId: record.groupId,
      operationKey: record.operationKey,
      previousStatus,
    },
  }
  return { event, operators: status === previousStatus }
}
