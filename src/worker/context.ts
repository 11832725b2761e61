/**
 * The `job` object that a handler gets, made over one attempt. No logic of its own.
 */
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import type { Person } from '../core/job.js'
import type { DecisionEntry, JobContext, JobLog } from '../define/context.js'
import type { Files } from '../engine/files.js'
import { type ApprovalTools, approve } from './approve.js'
import type { Attempt } from './attempt.js'
import { first, map, stage } from './branches.js'
import { runChild } from './children.js'
import { checkDecision } from './decision.js'
import { scopes } from './scope.js'
import { call, callback, sleep, type WaitTools, waitFor } from './waiting.js'

const FILE_MAX_BYTES = 64 * 1024 ** 3

/** What the contexts of one worker share. */
export interface ContextTools {
  worker: string
  files: Files
  sha256: (text: string) => string
  waiting: WaitTools
  approvals: ApprovalTools
}

export function contextOf(attempt: Attempt, input: unknown, tools: ContextTools): JobContext<any, any> {
  return new Context(attempt, input, tools)
}

/**
 * A class, because one is made per attempt and a literal with getters costs ten times as much. Its methods are made when
 * they are asked for, since most handlers use few, and bound, so that a handler may take them out of the object.
 */
class Context implements JobContext<any, any> {
  readonly #attempt: Attempt
  readonly #tools: ContextTools
  #lazy: { -readonly [name in keyof JobContext<any, any>]?: JobContext<any, any>[name] } | null = null
  get #made() {
    return (this.#lazy ??= {})
  }
  readonly id: string
  readonly type: string
  readonly tenant: string
  readonly attempt: number
  readonly groupId: string | null
  readonly operationKey: string | null
  readonly onBehalfOf: Person | null
  readonly permissions: readonly string[]
  readonly tags: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly schedule: JobContext<any>['schedule']

  constructor(
    attempt: Attempt,
    readonly input: unknown,
    tools: ContextTools,
  ) {
    const { record } = attempt.claimed
    this.#attempt = attempt
    this.#tools = tools
    this.id = record.id
    this.type = record.type
    this.tenant = record.tenant
    this.attempt = attempt.number
    this.groupId = record.groupId
    this.operationKey = record.operationKey
    this.onBehalfOf = record.options.onBehalfOf ?? null
    this.permissions = record.options.permissions ?? []
    this.tags = record.options.tags ?? []
    this.metadata = record.options.metadata ?? {}
    const { schedule } = record.options
    this.schedule = schedule ? { id: schedule.id, at: new Date(schedule.at) } : null
  }

  get signal() {
    return this.#attempt.signal
  }
  get draining() {
    return this.#attempt.draining
  }
  get log(): JobLog {
    return (this.#made.log ??= logOf(this.#attempt))
  }

  get step(): JobContext<any>['step'] {
    return (this.#made.step ??= (name, fn, options) => seen(this.#attempt.steps.step(name, fn, options)))
  }
  get first(): JobContext<any>['first'] {
    return (this.#made.first ??= (name, engines, options) => seen(first(this.#attempt, name, engines, options)))
  }
  get map(): JobContext<any>['map'] {
    return (this.#made.map ??= (name, items, fn, options) => seen(map(this.#attempt, name, items, fn, options)))
  }
  get stage(): JobContext<any>['stage'] {
    return (this.#made.stage ??= (name: string, ...rest: any[]) =>
      seen(rest.length > 1 ? stage(this.#attempt, name, rest[0], rest[1]) : stage(this.#attempt, name, {}, rest[0])))
  }
  get sleep(): JobContext<any>['sleep'] {
    return (this.#made.sleep ??= (name, duration) => seen(sleep(this.#attempt, name, duration)))
  }
  get waitFor(): JobContext<any, any>['waitFor'] {
    return (this.#made.waitFor ??= (signal, options) => seen(waitFor(this.#attempt, signal, options)))
  }
  get callback(): JobContext<any>['callback'] {
    return (this.#made.callback ??= (name, options) =>
      seen(callback(this.#attempt, this.#tools.waiting, name, options)))
  }
  get approve(): JobContext<any, any>['approve'] {
    return (this.#made.approve ??= (gate: any, request: any) =>
      seen(approve(this.#attempt, this.#tools.approvals, gate, request) as Promise<any>))
  }
  get call(): JobContext<any>['call'] {
    return (this.#made.call ??= (child: any, input: any, options: any) =>
      seen(call(this.#attempt, this.#tools.waiting, child, input, options) as Promise<any>))
  }
  get decision(): JobContext<any>['decision'] {
    return (this.#made.decision ??= (entry) => decide(this.#attempt, entry, this.#tools.sha256))
  }
  get process(): JobContext<any>['process'] {
    return (this.#made.process ??= (name, options) => seen(runChild(this.#attempt, this.#tools.worker, name, options)))
  }
  get read(): JobContext<any>['read'] {
    return (this.#made.read ??= (name, fn) => seen(this.#read(name, fn)))
  }
  async #read<T>(name: string, fn: () => T | Promise<T>): Promise<T> {
    const attempt = this.#attempt
    if (name === 'permissions') attempt.permissionsNow = fn
    const { path } = attempt.steps.names
    const value = await attempt.parking.during(() => scopes.run({ attempt, path, inside: 'a read' }, async () => fn()))
    const text = JSON.stringify(value)
    this.log.debug(`Read ${name}`, { bytes: text?.length ?? 0, sha256: this.#tools.sha256(text ?? '') })
    return value
  }
  get progress(): JobContext<any>['progress'] {
    return (this.#made.progress ??= (stage, update = {}) => this.#attempt.notes.setProgress(stage, update))
  }
  get warn(): JobContext<any>['warn'] {
    return (this.#made.warn ??= (code, message) => this.#attempt.notes.warn(code, message, null))
  }
  get open(): JobContext<any>['open'] {
    return (this.#made.open ??= (id) => this.#attempt.parking.during(() => this.#tools.files.openFor(this.tenant, id)))
  }
  get file(): JobContext<any>['file'] {
    return (this.#made.file ??= (source, options = {}) => this.#file(source, options))
  }
  async #file(...[source, options = {}]: Parameters<JobContext<any>['file']>): Promise<string> {
    const { record } = this.#attempt.claimed
    const bytes =
      typeof source === 'string'
        ? createReadStream(source)
        : (async function* () {
            yield source
          })()
    // It belongs to whoever submitted the job, who must be able to fetch it.
    const owner = `${record.createdBy.kind}:${record.createdBy.id}`
    const meta = {
      contentType: options.contentType ?? 'application/octet-stream',
      name: options.name === undefined && typeof source === 'string' ? basename(source) : (options.name ?? null),
      maxBytes: FILE_MAX_BYTES,
    }
    const { files } = this.#tools
    const storing = () => files.store(record.tenant, owner, bytes as AsyncIterable<Uint8Array>, meta, record.id)
    return (await this.#attempt.parking.during(storing)).id
  }
}

/** A call that nobody waits for must not end the process, and other jobs with it, when it fails. */
function seen<T>(called: Promise<T>): Promise<T> {
  called.catch(() => undefined)
  return called
}

function decide(attempt: Attempt, entry: DecisionEntry, sha256: (text: string) => string): void {
  checkDecision(entry, attempt.undos ? null : (scopes.getStore()?.inside ?? null))
  if (attempt.undos) return
  const { model, version, tools, path, ...more } = entry
  const said = {
    ...{ path, model, modelVersion: version, tools: tools.map(String) },
    fields: Object.keys(more).length === 0 ? null : JSON.stringify(more),
  }
  // The same call in a later attempt is the same entry only while it says the same.
  const key = `${attempt.steps.names.next('decision')}~${sha256(JSON.stringify(said)).slice(0, 12)}`
  const { id: jobId, number, clock } = attempt
  attempt.notes.decide({ jobId, key, at: clock.now(), attempt: number, seq: attempt.nextSeq(), ...said })
}

function logOf({ notes }: Attempt): JobLog {
  const log = ((message: string, data?: unknown) => notes.log('info', message, data)) as JobLog
  log.debug = (message, data) => notes.log('debug', message, data)
  log.warn = (message, data) => notes.log('warn', message, data)
  log.error = (message, data) => notes.log('error', message, data)
  return log
}
