/** A whole job, what is told of it, and a whole job type for tests, in the shape of the wire. Never in the package. */
import type {
  Status,
  Voice,
  WireEvent,
  WireJob,
  WireJobType,
  WireQueue,
  WireStory,
  WireTypeStory,
} from '../../core/index.js'
import type { Change } from '../../stores/store.js'

export function blankJob(id: string, at: string, more: Partial<WireJob>): WireJob {
  return {
    id,
    type: 'greet',
    typeVersion: null,
    tenant: 'default',
    status: 'accepted',
    done: false,
    statusText: 'Waiting for its turn',
    progress: null,
    blockedOn: [],
    result: null,
    resultInfo: { state: 'none', bytes: null, contentType: null, sha256: null, expiresAt: null },
    error: null,
    warnings: [],
    groupId: null,
    operationKey: null,
    tags: [],
    metadata: {},
    parentId: null,
    rootId: null,
    schedule: null,
    replayOf: null,
    supersededBy: null,
    compensates: null,
    compensatedBy: null,
    resolution: null,
    priority: 0,
    runAt: null,
    deadlineAt: null,
    createdAt: at,
    startedAt: null,
    updatedAt: at,
    finishedAt: null,
    expectedDoneAt: null,
    late: false,
    cancelRequestedAt: null,
    expiresAt: null,
    version: 1,
    revision: 1,
    pollAfterMs: 1000,
    createdBy: { kind: 'system', id: 'local' },
    onBehalfOf: null,
    traceparent: null,
    links: {
      self: `/v1/jobs/${id}`,
      result: `/v1/jobs/${id}/result`,
      stream: `/v1/jobs/${id}/events/stream`,
      history: `/v1/jobs/${id}/history`,
    },
    ...more,
  }
}

export function eventOf(job: WireJob, previousStatus: Status | null, at: string): WireEvent {
  const { id, type, status, done, version, groupId, operationKey } = job
  const data = { jobId: id, jobType: type, status, done, version, groupId, operationKey, previousStatus }
  return {
    specversion: '1.0',
    id: `${id}:${version}`,
    source: '/v1',
    type: status === previousStatus ? 'job.retrying' : `job.${status}`,
    subject: `job/${id}`,
    time: at,
    timestamp: at,
    datacontenttype: 'application/json',
    data,
  }
}

/** What listeners are told of it. */
export function changeOf(job: WireJob, moved: boolean): Change {
  const { id, tenant, type, groupId, status, done, version, revision } = job
  return {
    jobId: id,
    tenant,
    type,
    groupId,
    lane: `default/${type}/${tenant}`,
    status,
    done,
    version,
    revision,
    moved,
    queuedAt: null,
    cancelling: null,
    pausing: false,
    wakeAt: null,
  }
}

export function queue(paused = false): WireQueue {
  const pause = paused
    ? { actor: { kind: 'apiKey', id: 'key_o' } as const, reason: null, at: '2026-11-22T09:00:00.000Z' }
    : null
  return { name: 'default', paused, pause, depth: 0, held: 0, oldestAgeMs: null, running: 0, concurrency: null }
}

export function blankStory(job: WireJob, voice: Voice, asOf: string): WireStory {
  const { id: jobId, type, status, done, statusText: headline } = job
  return {
    ...{ jobId, type, status, done, voice, asOf, headline },
    happened: [{ at: job.createdAt, text: 'Accepted.', seq: 1, kind: 'accepted' }],
    why: null,
    next: { text: 'A worker takes it.', at: null, giveUpAt: null },
    act: { who: 'operator', text: 'Start a worker.', href: `/v1/jobs/${jobId}` },
    effects: [{ step: 'pay', state: 'happened', text: '"pay" happened.' }],
    resume: { from: 'At its beginning.', reusedSteps: [], stage: null, queue: 'default' },
    voices: { caller: headline, endUser: 'Received.', support: null, operator: null },
  }
}

export function blankTypeStory(type: string, jobId: string | null): WireTypeStory {
  return {
    ...{ type, version: '1', title: 'Greeting', description: null },
    source: { kind: jobId ? 'job' : 'declaration', jobId, text: 'Made for a test.' },
    sections: [{ id: 'intake', title: 'Intake', lines: ['"name": string, required'] }],
    steps: [],
    voices: [
      { point: 'stored', caller: 'Accepted.', endUser: 'Received.', support: 'Accepted.', operator: 'Accepted.' },
    ],
    unknown: ['The steps.'],
    findings: [{ rule: 'no-target', where: type, text: 'It has no target.', fix: 'Give it one.' }],
  }
}

export function jobType(completion: WireJobType['completion']): WireJobType {
  return {
    type: 'greet',
    version: '1',
    title: 'Greeting',
    description: null,
    inputSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
    resultSchema: {},
    stages: [],
    gates: [],
    completion,
    retry: {
      withinMs: 86_400_000,
      maxAttempts: null,
      backoff: { fromMs: 1000, toMs: 300_000, factor: 2 },
      onExhausted: 'fail',
    },
    errorClasses: [],
    expected: { p50Ms: null, p95Ms: null, samples: 0 },
    requireIdempotencyKey: false,
    retentionMs: 2_592_000_000,
    queue: 'default',
    limits: null,
    unique: null,
    paused: false,
  }
}
