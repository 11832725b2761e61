/** What a program and a page do with the client; docs/guide/client.md. */
import { createClient, type UntildoneClient, type WatchOptions } from 'untildone/client'
import WebSocket from 'ws'

/** Whatever you keep things in. */
export interface Shelf {
  get(name: string): string | undefined
  set(name: string, value: string): void
}

export async function tellEnds(
  client: UntildoneClient,
  shelf: Shelf,
  tell: (text: string) => Promise<void>,
): Promise<void> {
  // #region events
  const ends = { events: ['job.completed', 'job.failed', 'job.cancelled'] }
  for await (const { type, data, cursor } of client.events(ends, { after: shelf.get('cursor') })) {
    await tell(`${data.jobId} ${type}`)
    if (cursor) shelf.set('cursor', cursor)
  }
  // #endregion
}

export async function untilGroupIsDone(client: UntildoneClient, groupId: string): Promise<Map<string, string>> {
  const statuses = new Map<string, string>()
  // #region group
  for await (const job of client.watchGroup(groupId, { until: 'done' })) {
    statuses.set(job.id, job.status)
  }
  // #endregion
  return statuses
}

/** On your server, which holds the key. */
export async function ticketFor(client: UntildoneClient, jobId: string): Promise<string> {
  // #region ticket
  const { ticket } = await client.streamTicket({ filter: { jobId: [jobId] }, ttlMs: 10 * 60_000 })
  // #endregion
  return ticket
}

/** In the page. */
export async function showJob(
  url: string,
  jobId: string,
  fetchTicket: () => Promise<string>,
  show: (text: string) => void,
): Promise<unknown> {
  // #region page
  const onConnection: WatchOptions['onConnection'] = (connection) => {
    if (connection === 'lost') show('Connection lost - your job carries on.')
  }
  const client = createClient({ url, ticket: fetchTicket })
  for await (const job of client.watch(jobId, { onConnection })) {
    show(job.statusText)
    if (job.done) return job.result
  }
  // #endregion
}

export async function firstOfTwo(client: UntildoneClient, group: string, told: (text: string) => void): Promise<void> {
  // #region socket
  const socket = client.socket({ WebSocket }) // browsers and Node 22 have their own: client.socket()
  const session = socket.subscribe({ groupId: group })
  const failures = socket.subscribe({ events: ['job.failed'] })
  const reading = (async () => {
    for await (const item of failures) if (!('job' in item)) told(`failed: ${item.data.jobId}`)
  })()
  for await (const item of session) {
    if ('job' in item) told(`is ${item.job.status}`)
    else told(item.type)
    if ('job' in item ? item.job.done : item.data.done) break
  }
  socket.close()
  await reading
  // #endregion
}
