/** A history entry as the event that is told of it: to streams, webhooks and whoever asks. One shape everywhere. */
import { isFinal, statusAfter } from '../core/lifecycle.js'
import type { WireEvent } from '../core/wire.js'
import type { StoredHistory, StoredJob } from '../stores/store.js'
import { iso } from './view.js'

/** @returns null for an entry that is no event: the public status is as before. `operator`: retries are told as well. */
export function eventOf(
  { record }: StoredJob,
  entry: StoredHistory,
  previous: StoredHistory | null,
  operator: boolean,
): WireEvent | null {
  const status = statusAfter(entry)
  const previousStatus = previous ? statusAfter(previous) : null
  const retrying = entry.state === 'queued' && (entry.event === 'errored' || entry.event === 'leaseExpired')
  if (status === previousStatus && !(retrying && operator)) return null
  const type = status === previousStatus ? 'job.retrying' : `job.${status}`
  const at = iso(entry.at)
  return {
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
}
