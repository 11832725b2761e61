/**
 * createClient: the typed client over the HTTP API, for any JavaScript runtime with fetch. One method per thing one can
 * ask; how a call is sent and repeated is transport.ts, how a job is followed is follow.ts. No Node imports.
 */
import { parseDuration } from '../core/duration.js'
import type {
  WireApiKey,
  WireAttempt,
  WireFile,
  WireGroup,
  WireHistoryEntry,
  WireJob,
  WireJobType,
  WireLog,
  WireQueue,
  WireStep,
  WireWorker,
} from '../core/wire.js'
import type { WireStory } from '../core/wire-story.js'
import type { WireTypeStory } from '../core/wire-type-story.js'
import type { JobDefinition } from '../define/index.js'
import type { Root, UntildoneClient } from './api.js'
import { approvalCalls } from './approvals.js'
import { realClock } from './clock.js'
import { failureCalls } from './failures.js'
import { followJob } from './follow.js'
import { createHandle, type JobHandle, resultOf } from './handle.js'
import { keyHeader, newKey } from './key.js'
import { liveCalls } from './live.js'
import { operatorCalls } from './operate.js'
import type { CancelOptions, ClientOptions, ListOptions, PageOptions, PauseOptions, SubmitOptions } from './options.js'
import { type Page, paged } from './paged.js'
import { scheduleCalls } from './schedules.js'
import { TicketSource } from './ticket.js'
import { type Call, createTransport, type Transport } from './transport.js'
import { webhookCalls } from './webhooks.js'

// The server holds a submit for 60 s at most; its own answer must come before our limit.
const SUBMIT_HOLD_MS = 60_000

/**
 * A client for one server.
 * @example
 * const client = createClient({ url: 'http://localhost:4884' })
 * const handle = await client.submit(greet, { name: 'Ada' })
 * console.log(await handle.result())
 * @throws TypeError when `url` is not an http(s) address, and for a key together with a ticket
 */
export function createClient(options: ClientOptions): UntildoneClient {
  const transport = transportOf(options)
  const at = (id: string, rest = '') => `/v1/jobs/${encodeURIComponent(id)}${rest}`
  const body = async <T>(call: Call): Promise<T> => (await transport.json<T>(call)).body
  const items = async <T>(call: Call): Promise<T[]> => {
    const value = await body<T[] | { items: T[] }>(call)
    return Array.isArray(value) ? value : value.items
  }
  /** Sends with a key of its own, so that a lost answer can be asked for again. */
  const act = <T>(path: string, json: unknown, signal?: AbortSignal): Promise<T> =>
    body<T>({ method: 'POST', path, json, headers: { 'idempotency-key': newKey() }, signal })

  const pauseOrResume = <T>(kind: string, name: string, verb: string, { signal, ...request }: PauseOptions = {}) =>
    act<T>(`/v1/${kind}/${encodeURIComponent(name)}/${verb}`, request, signal)

  const get: UntildoneClient['get'] = (id, { include, signal } = {}) =>
    body<WireJob>({ path: at(id), query: { include: include?.length ? include : undefined }, signal })
  const cancel: UntildoneClient['cancel'] = (id, { signal, ...request }: CancelOptions = {}) =>
    act<WireJob>(at(id, '/cancel'), request, signal)

  async function submit(
    job: JobDefinition | string,
    input: unknown,
    options: SubmitOptions = {},
  ): Promise<JobHandle<any>> {
    const key = options.key ?? newKey()
    const answer = await transport.json<WireJob>({ ...submission(job, input, options, key), timeoutMs: submitLimit })
    const replayed = answer.headers.get('idempotent-replayed') === 'true'
    return createHandle({
      transport,
      job: answer.body,
      key,
      replayed,
      duplicateOf: answer.headers.get('duplicate-of'),
      get: (read) => get(answer.body.id, read),
      cancel: (request) => cancel(answer.body.id, request),
    })
  }
  const submitLimit = (options.timeoutMs ?? 30_000) + SUBMIT_HOLD_MS

  const pageOf = <T>(path: string, { signal, cursor, limit }: PageOptions = {}) =>
    paged<T>((at) => body<Page<T>>({ path, query: { limit, cursor: at }, signal }), cursor)

  const upload: UntildoneClient['uploadFile'] = (source, { name, contentType, signal } = {}) => {
    const type = contentType || (isBlob(source) && source.type) || 'application/octet-stream'
    return body<WireFile>({
      method: 'POST',
      path: '/v1/files',
      headers: { 'content-type': type, ...(name === undefined ? {} : { 'content-disposition': disposition(name) }) },
      bytes: source,
      // An upload takes as long as the line needs; a file that no job refers to is removed by itself.
      timeoutMs: 60 * 60_000,
      signal,
    })
  }

  return {
    ...operatorCalls(body),
    ...liveCalls(transport, body),
    submit,
    get,
    cancel,
    result: (id, options = {}) => resultOf(transport, id, options),
    watch: (id, options = {}) => followJob(transport, id, options),
    retry: (id, { signal, ...request } = {}) => act<WireJob>(at(id, '/retry'), request, signal),
    list: (options = {}) => {
      const query = listQuery(options)
      const load = (cursor?: string) =>
        body<Page<WireJob>>({ path: '/v1/jobs', query: { ...query, cursor }, signal: options.signal })
      return paged(load, options.cursor)
    },
    group: (id, { signal } = {}) => body<WireGroup>({ path: `/v1/groups/${encodeURIComponent(id)}`, signal }),
    history: (id, options) => pageOf<WireHistoryEntry>(at(id, '/history'), options),
    logs: (id, options) => pageOf<WireLog>(at(id, '/logs'), options),
    attempts: (id, { signal } = {}) => items<WireAttempt>({ path: at(id, '/attempts'), signal }),
    steps: (id, { signal } = {}) => items<WireStep>({ path: at(id, '/steps'), signal }),
    story: (id, { voice, signal } = {}) => body<WireStory>({ path: at(id, '/story'), query: { voice }, signal }),
    types: ({ signal } = {}) => items<WireJobType>({ path: '/v1/job-types', signal }),
    type: (name, { signal } = {}) => body<WireJobType>({ path: `/v1/job-types/${encodeURIComponent(name)}`, signal }),
    pauseType: (name, options) => pauseOrResume<WireJobType>('job-types', name, 'pause', options),
    resumeType: (name, options) => pauseOrResume<WireJobType>('job-types', name, 'resume', options),
    queues: {
      list: ({ signal } = {}) => items<WireQueue>({ path: '/v1/queues', signal }),
      pause: (name, options) => pauseOrResume<WireQueue>('queues', name, 'pause', options),
      resume: (name, options) => pauseOrResume<WireQueue>('queues', name, 'resume', options),
    },
    workers: {
      list: ({ signal, all } = {}) =>
        items<WireWorker>({ path: '/v1/workers', query: { all: all || undefined }, signal }),
      drain: (id, options) => pauseOrResume<WireWorker>('workers', id, 'drain', options),
    },
    typeStory: (name, { from, signal } = {}) =>
      body<WireTypeStory>({ path: `/v1/job-types/${encodeURIComponent(name)}/story`, query: { from }, signal }),
    uploadFile: upload,
    files: {
      upload,
      get: (id, { signal } = {}) =>
        transport.response({ path: `/v1/files/${encodeURIComponent(id)}`, headers: { accept: '*/*' }, signal }),
    },
    keys: {
      list: ({ signal } = {}) => items<WireApiKey>({ path: '/v1/api-keys', signal }),
      get: (id, { signal } = {}) => body<WireApiKey>({ path: `/v1/api-keys/${encodeURIComponent(id)}`, signal }),
      // A secret is shown once, so a lost answer is not asked for again: that would make a second key unseen.
      create: ({ signal, expiresAt, ...request }) =>
        body<WireApiKey>({
          method: 'POST',
          path: '/v1/api-keys',
          json: { ...request, expiresAt: instant(expiresAt) },
          repeat: 'refused',
          signal,
        }),
      rotate: (id, { signal, overlap } = {}) => {
        const json = { overlapMs: overlap === undefined ? undefined : parseDuration(overlap, 'overlap') }
        return body<WireApiKey>({
          method: 'POST',
          path: `/v1/api-keys/${encodeURIComponent(id)}/rotate`,
          json,
          repeat: 'refused',
          signal,
        })
      },
      revoke: async (id, { signal, reason } = {}) => {
        await body({ method: 'DELETE', path: `/v1/api-keys/${encodeURIComponent(id)}`, query: { reason }, signal })
      },
    },
    schedules: scheduleCalls(body),
    webhooks: webhookCalls(body),
    approvals: approvalCalls(body),
    ...failureCalls(body),
    whoami: ({ signal } = {}) => body({ path: '/v1/whoami', signal }),
    root: ({ signal } = {}) => body<Root>({ path: '/v1', signal }),
  }
}

function transportOf(options: ClientOptions): Transport {
  const url = new URL(options.url)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new TypeError(`url: "${options.url}" is not an http address.`)
  if (options.key && options.ticket)
    throw new TypeError('Give a key or a ticket, not both: a ticket is for where no key may be.')
  const headers: Record<string, string> = { ...options.headers }
  if (options.key) headers.authorization = `Bearer ${options.key}`
  return createTransport({
    base: `${url.origin}${url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')}`,
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    clock: options.clock ?? realClock,
    headers,
    timeoutMs: options.timeoutMs ?? 30_000,
    retry: { attempts: options.retry?.attempts ?? 10, withinMs: options.retry?.withinMs ?? 120_000 },
    tickets: options.ticket === undefined ? null : new TicketSource(options.ticket),
  })
}

function submission(job: JobDefinition | string, input: unknown, options: SubmitOptions, key: string): Call {
  const headers = keyHeader(key)
  if (options.wait !== undefined)
    headers.prefer = `wait=${Math.min(60, Math.ceil(parseDuration(options.wait, 'wait') / 1000))}`
  const { group, operationKey, priority, tags, metadata, onBehalfOf, permissions, typeVersion, signal } = options
  const type = typeof job === 'string' ? job : job.name
  const [runAt, deadlineAt] = [instant(options.runAt), instant(options.deadlineAt)]
  const json = {
    ...{ type, input, groupId: group, operationKey, priority, runAt, deadlineAt, tags, metadata },
    ...{ onBehalfOf, permissions, typeVersion, onDuplicate: options.onDuplicate, notify: options.notify },
  }
  return { method: 'POST', path: '/v1/jobs', json, headers, signal }
}

function listQuery(options: ListOptions): Call['query'] {
  const { signal: _, cursor: __, group, createdAfter, createdBefore, updatedAfter, ...rest } = options
  return {
    ...rest,
    groupId: group,
    createdAfter: instant(createdAfter),
    createdBefore: instant(createdBefore),
    updatedAfter: instant(updatedAfter),
  }
}

/** RFC 6266 with the extended form only: header values are ASCII, names are not. */
function disposition(name: string): string {
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename*=UTF-8''${encoded}`
}

/** Not every runtime at the edge has blobs. */
function isBlob(source: unknown): source is Blob {
  return typeof Blob !== 'undefined' && source instanceof Blob
}

function instant(value: Date | string | undefined): string | undefined {
  return value instanceof Date ? value.toISOString() : value
}
