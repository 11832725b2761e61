/**
 * The `job` object that a handler gets, made over one attempt. No logic of its own.
 */
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import type { JobContext, JobLog } from '../define/context.js'
import type { Files } from '../engine/files.js'
import type { Attempt } from './attempt.js'
import { runChild } from './children.js'

const FILE_MAX_BYTES = 64 * 1024 ** 3

export function contextOf(
  attempt: Attempt,
  worker: string,
  files: Files,
  sha256: (text: string) => string,
  input: unknown,
): JobContext<any> {
  const { record } = attempt.claimed
  const { steps, notes } = attempt
  const log = ((message: string, data?: unknown) => notes.log('info', message, data)) as JobLog
  log.debug = (message, data) => notes.log('debug', message, data)
  log.warn = (message, data) => notes.log('warn', message, data)
  log.error = (message, data) => notes.log('error', message, data)
  return {
    id: record.id,
    type: record.type,
    tenant: record.tenant,
    input,
    attempt: attempt.number,
    groupId: record.groupId,
    operationKey: record.operationKey,
    tags: record.options.tags ?? [],
    metadata: record.options.metadata ?? {},
    get signal() {
      return attempt.signal
    },
    get draining() {
      return attempt.draining
    },
    step: (name, fn, options) => steps.step(name, fn, options),
    async read(name, fn) {
      const value = await fn()
      const text = JSON.stringify(value)
      log.debug(`Read ${name}`, { bytes: text?.length ?? 0, sha256: sha256(text ?? '') })
      return value
    },
    first: (name, engines, options) => steps.first(name, engines, options),
    process: (name, options) => runChild(attempt, worker, name, options),
    progress: (stage, update = {}) => notes.setProgress(stage, update),
    warn: (code, message) => notes.warn(code, message, null),
    log,
    open: (id) => files.openFor(record.tenant, id),
    async file(source, options = {}) {
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
        name: options.name ?? (typeof source === 'string' ? basename(source) : null),
        maxBytes: FILE_MAX_BYTES,
      }
      return (await files.store(record.tenant, owner, bytes as AsyncIterable<Uint8Array>, meta, record.id)).id
    },
  }
}
