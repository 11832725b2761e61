/** What all routes of actions share: the request as the engine takes it, and the job as the answer. */
import { UntildoneError, type WireJob } from '../../core/index.js'
import { idempotencyKey, matches } from '../headers.js'
import { etagOf, jobHeaders, json, NO_STORE, type Reply, underBase } from '../reply.js'
import type { Call } from '../route.js'

export const keyOf = (call: Call<any, any>) => idempotencyKey(call.request.headers.get('idempotency-key'))

/** The body with the key of the request, and with the version that If-Match comes to. */
export async function requestOf<B extends { ifVersion?: number }>(
  call: Call<any, B>,
): Promise<B & { key: string | null }> {
  return { ...call.body, ifVersion: await versionSeen(call, call.body.ifVersion), key: keyOf(call) }
}

export function jobReply(call: Call<any, any>, job: WireJob, status = 200, more: Record<string, string> = {}): Reply {
  const shown = underBase(job, call.server.settings.base)
  return json(shown, status, { ...jobHeaders(job), 'Cache-Control': NO_STORE, ...more })
}

/** A job that was made by an action on another one. */
export function madeReply(call: Call<any, any>, { job, replayed }: { job: WireJob; replayed: boolean }): Reply {
  const more: Record<string, string> = replayed ? { 'Idempotent-Replayed': 'true' } : {}
  const location = `${call.server.settings.base}${job.links.self}`
  return jobReply(call, job, replayed ? 200 : 202, { Location: location, ...more })
}

/**
 * The version to act on. If-Match is judged by revision and then pinned to the version read with it, so that a change of
 * state in between is still refused.
 */
async function versionSeen(call: Call<any, any>, ifVersion: number | undefined): Promise<number | undefined> {
  const tag = call.request.headers.get('if-match')
  if (tag === null) return ifVersion
  const job = await call.server.engine.get(call.caller, call.params.id!)
  if (matches(tag, etagOf(job.revision))) return ifVersion ?? job.version
  throw new UntildoneError('version-mismatch', `The job is at revision ${job.revision} by now.`, {
    params: { version: job.version, revision: job.revision },
  })
}
