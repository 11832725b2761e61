/**
 * The engine: the use cases of api.ts over one store, put together. Decides nothing itself.
 */
import type { Clock, Entropy } from '../core/clock.js'
import { UntildoneError } from '../core/errors.js'
import { partsOf, type Status } from '../core/job.js'
import { within } from '../core/within.js'
import type { FileBytes } from '../stores/files.js'
import type { Change, Store } from '../stores/store.js'
import { Actions } from './actions.js'
import type { Caller, Engine } from './api.js'
import { type ApprovalSettings, approvalRules } from './approval-rules.js'
import { Approvals } from './approvals.js'
import { Cursors } from './cursor.js'
import { Deliveries } from './deliveries.js'
import { Files } from './files.js'
import { Firings } from './firing.js'
import { Keys } from './keys.js'
import { Notices, type WebhookTools } from './notices.js'
import { operatorUses } from './operator.js'
import { EngineParts } from './parts.js'
import { Pauses } from './pauses.js'
import { Queries } from './queries.js'
import { isBuiltIn, type Registry } from './registry.js'
import { demand, mayUseType } from './rights.js'
import { Schedules } from './schedules.js'
import { noType, Stories } from './stories.js'
import { Submission } from './submit.js'
import { Batches } from './submit-batch.js'
import { TaughtBook } from './taught-book.js'
import { Teaching } from './teaching.js'
import { Waiters } from './waiters.js'
import { Webhooks } from './webhooks.js'
import { Workers } from './workers.js'

/** A load balancer asks and does not wait long. */
const HEALTH_MS = 2000

export interface EngineOptions {
  store: Store
  files: FileBytes
  registry: Registry
  clock: Clock
  entropy: Entropy
  /** Word in the API keys made here, e.g. `live` or `dev`. */
  env: string
  onSubmitting: (lane: string, runAt: number) => void
  /** Where this server is reached from outside. */
  publicUrl: string
  /** Capacity per queue in this process. */
  queues: Readonly<Record<string, { concurrency?: number }>>
  approvals?: ApprovalSettings
  webhooks: WebhookTools
}

/** What the worker and the composition root need besides the public use cases. */
export interface EngineInside {
  parts: EngineParts
  files: Files
  waiters: Waiters
  submission: Submission
  schedules: Schedules
  deliveries: Deliveries
  firings: Firings
  /** Waits for the end of a job submitted when waiters.ends was `mark`; no rights are asked. `json` is the result when it came with the commit. */
  end(id: string, mark: number): Promise<{ status: Status | 'gone'; json: string | null }>
}

export async function createEngine(options: EngineOptions): Promise<Engine & EngineInside> {
  const { store, registry, clock, entropy } = options
  const waiters = new Waiters((jobId) => store.watch(jobId))
  const secret = await store.secret()
  const pauses = new Pauses(store, registry, options.queues, options.onSubmitting)
  await pauses.load()
  const taught = new TaughtBook(store)
  await taught.load()
  const parts = new EngineParts(
    store,
    registry,
    options.files,
    clock,
    entropy,
    waiters,
    new Cursors(secret),
    options.onSubmitting,
    secret,
    options.publicUrl.replace(/\/+$/, ''),
    pauses,
    approvalRules(options.approvals ?? {}, (text) => entropy.sha256(text)),
    taught,
  )
  for (const [type, durations] of await store.durations(200)) registry.expectations.prime(type, durations)
  store.onChange((changes: readonly Change[]) => {
    for (const { lane, end } of changes) {
      if (end?.outcome.status === 'completed')
        registry.expectations.add(partsOf(lane).type, Math.max(0, end.outcome.finishedAt - end.since))
    }
    waiters.notify(changes)
  })
  const notices = new Notices(parts, options.webhooks)
  const submission = new Submission(parts, notices)
  const deliveries = new Deliveries(parts, submission)
  const batches = new Batches(parts, submission)
  const approvals = new Approvals(parts)
  const queries = new Queries(parts, approvals)
  const actions = new Actions(parts)
  const files = new Files(parts)
  const keys = new Keys(parts, options.env)
  const schedules = new Schedules(parts, submission)
  const seals = { stream: new Cursors(secret, 'stream'), ticket: new Cursors(secret, 'ticket') }
  const describe = async (caller: Caller, name: string) => {
    await pauses.refresh()
    const type = registry.get(name)
    if (!type || isBuiltIn(name) || !mayUseType(caller, name)) throw noType(name)
    return registry.describe(type, pauses.ofType(caller.tenant, name) !== null)
  }
  const stories = new Stories(parts)
  let looking: Promise<unknown> | null = null
  const workers = new Workers(store)

  return {
    ...operatorUses(parts, submission, actions),
    parts,
    files,
    waiters,
    submission,
    schedules,
    deliveries,
    webhooks: new Webhooks(parts, deliveries, notices),
    teaching: new Teaching(parts),
    firings: new Firings(parts, submission),
    clock,
    store: store.info,
    submit: (caller, body, key) => submission.submit(caller, body, key),
    submitBatch: (caller, items, key) => batches.submit(caller, items, key),
    validate: (caller, body, key) => submission.validate(caller, body, key),
    completionOf: (type) => registry.get(type)?.handler.settings.completion ?? { mode: 'background' },

    get: (caller, id, include) => queries.get(caller, id, include),
    wait: (caller, id, wait, include) => queries.wait(caller, id, wait, include),
    result: (caller, id) => queries.result(caller, id),
    list: (caller, query) => queries.list(caller, query),
    group: (caller, groupId) => queries.group(caller, groupId),
    cancel: (caller, id, request) => actions.cancel(caller, id, request),
    retry: (caller, id, request) => actions.retry(caller, id, request),
    history: (caller, id, page) => queries.history(caller, id, page),
    attempts: (caller, id) => queries.attempts(caller, id),
    steps: (caller, id) => queries.steps(caller, id),
    logs: (caller, id, page) => queries.logs(caller, id, page),
    story: (caller, id, voice) => stories.story(caller, id, voice),
    events: (caller, id, after, limit) => queries.events(caller, id, after, limit),
    happened: (tenant, id, after, upTo) => queries.happened(tenant, id, after, upTo),
    end: (id, mark) => queries.end(id, mark),
    onChange: (listener) => store.onChange(listener),
    watch: (jobId) => store.watch(jobId),
    follow: () => store.follow(),
    onGap: (listener) => store.onGap(listener),
    approvals,

    async types(caller) {
      await pauses.refresh()
      const types = registry.all().filter((type) => mayUseType(caller, type.name))
      return types.map((type) => registry.describe(type, pauses.ofType(caller.tenant, type.name) !== null))
    },
    type: describe,
    async pauseType(caller, name, request) {
      await pauses.setType(caller, name, true, request)
      return describe(caller, name)
    },
    async resumeType(caller, name, request) {
      await pauses.setType(caller, name, false, request)
      return describe(caller, name)
    },
    queues: (caller) => pauses.queues(caller),
    pauseQueue: (caller, name, request) => pauses.setQueue(caller, name, true, request),
    resumeQueue: (caller, name, request) => pauses.setQueue(caller, name, false, request),
    workers: (caller, all) => workers.list(caller, all),
    drainWorker: (caller, id, request) => workers.drain(caller, id, request),

    typeStory: (caller, name, from) => stories.typeStory(caller, name, from),

    addFile: (caller, source, meta) => files.add(caller, source, meta),
    openFile: (caller, id) => files.open(caller, id),

    createKey: (caller, request) => keys.create(caller, request),
    listKeys: (caller) => keys.list(caller),
    getKey: (caller, id) => keys.get(caller, id),
    rotateKey: (caller, id, overlapMs) => keys.rotate(caller, id, overlapMs),
    revokeKey: (caller, id, reason) => keys.revoke(caller, id, reason),
    authenticate: (key) => keys.authenticate(key),
    standing: (keyId) => keys.standing(keyId),
    seal: (purpose, value, belongs) => seals[purpose].seal(value, belongs),
    unseal: (purpose, text, belongs) => seals[purpose].tryOpen(text, belongs),
    first: (name) => store.workers.first(name),
    keysExist: () => keys.any(),

    async health() {
      try {
        // One question for all who ask, or probes would take the connections of a database that is slow to answer.
        looking ??= store.lanes().finally(() => {
          looking = null
        })
        if ((await within(clock, HEALTH_MS, looking)) === undefined) throw new UntildoneError('store-unavailable')
        const host = { ...(await parts.host.checks()), ...parts.transport?.checks() }
        const status = Object.values(host).every((state) => state === 'ok') ? 'ready' : 'degraded'
        return { status, checks: { store: 'ok', migrations: 'ok', engine: 'ok', ...host } }
      } catch {
        return { status: 'down', checks: { store: 'unavailable', migrations: 'unknown', engine: 'ok' } }
      }
    },
    async check(caller) {
      demand(caller, 'jobs:operate')
      const transport = await parts.transport?.numbers()
      const [numbers, fleet] = await Promise.all([store.check(), workers.numbers()])
      return { ...numbers, ...fleet, waiters: waiters.size, ...parts.host.numbers(), ...transport }
    },
  }
}
