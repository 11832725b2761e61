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
 * A class, because one is made per attempt and a literal with getters costs ten times as much. Methods are fields, so that
 * a handler may take them out of the object.
 */
class Context implements JobContext<any, any> {
  readonly #attempt: Attempt
  readonly #tools: ContextTools
  #log: JobLog | null = null
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
    return (this.#log ??= logOf(this.#attempt))
  }

  step: JobContext<any>['step'] = (name, fn, options) => seen(this.#attempt.steps.step(name, fn, options))
  first: JobContext<any>['first'] = (name, engines, options) => seen(first(this.#attempt, name, engines, options))
  map: JobContext<any>['map'] = (name, items, fn, options) => seen(map(this.#attempt, name, items, fn, options))
  stage: JobContext<any>['stage'] = (name: string, ...rest: any[]) =>
    seen(rest.length > 1 ? stage(this.#attempt, name, rest[0], rest[1]) : stage(this.#attempt, name, {}, rest[0]))
  sleep: JobContext<any>['sleep'] = (name, duration) => seen(sleep(this.#attempt, name, duration))
  waitFor: JobContext<any, any>['waitFor'] = (signal, options) => seen(waitFor(this.#attempt, signal, options))
  callback: JobContext<any>['callback'] = (name, options) =>
    seen(callback(this.#attempt, this.#tools.waiting, name, options))
  approve: JobContext<any, any>['approve'] = (gate, request) =>
    seen(approve(this.#attempt, this.#tools.approvals, gate, request) as Promise<any>)
  call: JobContext<any>['call'] = (child: any, input: any, options: any) =>
    seen(call(this.#attempt, this.#tools.waiting, child, input, options) as Promise<any>)
  decision: JobContext<any>['decision'] = (entry) => decide(this.#attempt, entry, this.#tools.sha256)
  process: JobContext<any>['process'] = (name, options) =>
    seen(runChild(this.#attempt, this.#tools.worker, name, options))
  read: JobContext<any>['read'] = (name, fn) => seen(this.#read(name, fn))
  async #read<T>(name: string, fn: () => T | Promise<T>): Promise<T> {
    const attempt = this.#attempt
    if (name === 'permissions') attempt.permissionsNow = fn
    const { path } = attempt.steps.names
    const value = await attempt.parking.during(() => scopes.run({ attempt, path, inside: 'a read' }, async () => fn()))
    const text = JSON.stringify(value)
    this.log.debug(`Read ${name}`, { bytes: text?.length ?? 0, sha256: this.#tools.sha256(text ?? '') })
    return value
  }
  progress: JobContext<any>['progress'] = (stage, update = {}) => this.#attempt.notes.setProgress(stage, update)
  warn: JobContext<any>['warn'] = (code, message) => this.#attempt.notes.warn(code, message, null)
  open: JobContext<any>['open'] = (id) => this.#attempt.parking.during(() => this.#tools.files.openFor(this.tenant, id))
  file: JobContext<any>['file'] = async (source, options = {}) => {
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
