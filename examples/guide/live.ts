/** Watching many jobs: a ticket for the page, an EventSource in it, a WebSocket; docs/guide/live-updates.md. */
import WebSocket from 'ws'

// #region ticket
/** On your server, which holds the key. The page gets a ticket that shows the jobs of its session and nothing else. */
export async function ticketFor(session: string, url: string, key: string): Promise<string> {
  const answer = await fetch(`${url}/v1/stream-tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ filter: { groupId: session }, ttlMs: 600_000 }),
  })
  const { ticket } = (await answer.json()) as { ticket: string }
  return ticket
}
// #endregion

export interface Shown {
  status: string
  version: number
  text?: string
}

// #region page
/** In the page: what each job of the session is at, kept up to date. */
export function follow(url: string, session: string, ticket: string, jobs: Map<string, Shown>): EventSource {
  const source = new EventSource(`${url}/v1/groups/${session}/events/stream?ticket=${ticket}`)
  // After a cut something may come twice, and older than what we have: versions only go up.
  const show = (id: string, version: number, status: string, text?: string) => {
    if (version >= (jobs.get(id)?.version ?? 0)) jobs.set(id, { status, version, text })
  }
  source.addEventListener('snapshot', ({ data }) => {
    const { job } = JSON.parse(data)
    show(job.id, job.version, job.status, job.statusText)
  })
  const kinds = ['accepted', 'processing', 'blocked', 'completed', 'failed', 'cancelled', 'progress']
  for (const kind of kinds) {
    source.addEventListener(`job.${kind}`, ({ data }) => {
      const { jobId, version, status, progress } = JSON.parse(data).data
      show(jobId, version, status, progress?.message)
    })
  }
  // Reconnecting with the last id is what EventSource does by itself, so an end needs no code of ours.
  return source
}
// #endregion

// #region socket
/** One connection for several views; each subscription has a number of its own. */
export function watch(url: string, key: string, told: (ref: number, type: string, jobId: string) => void): WebSocket {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, 'untildone.v1', {
    headers: { authorization: `Bearer ${key}` },
  })
  const subscribe = (ref: number, filter: object) => socket.send(JSON.stringify({ op: 'subscribe', ref, filter }))
  socket.on('open', () => {
    subscribe(1, { events: ['job.failed'] })
    subscribe(2, { groupId: 'session-42' })
  })
  socket.on('message', (text) => {
    const { op, ref, job, event } = JSON.parse(String(text))
    if (op === 'snapshot') told(ref, `is ${job.status}`, job.id)
    if (op === 'event') told(ref, event.type, event.data.jobId)
  })
  return socket
}
// #endregion
