/** GET /v1/jobs, /v1/jobs/{id} and /v1/jobs/{id}/result: read, wait, ask again cheaply. */
import { z } from 'zod'
import { isUntildoneError, UntildoneError, type WireJob } from '../../core/index.js'
import type { Include } from '../../engine/api.js'
import { matches, revisionIn } from '../headers.js'
import { waitForJob } from '../holds.js'
import { problemReply } from '../problem.js'
import { int, list, oneOf } from '../query.js'
import { empty, etagOf, jobHeaders, json, jsonText, PRIVATE, type Reply, underBase } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { listJobs, listQuery } from './job-list.js'
import { checkInclude, INCLUDES, JOB_ID, READERS } from './shared.js'

const NO_INCLUDE: readonly Include[] = []

const getQuery = {
  wait: int('Hold the answer for up to so many seconds (55 at most), see `until`.', 0, { example: 30 }),
  until: oneOf(
    ['change', 'done', 'attention'],
    'What ends the wait early: any visible `change` (default with If-None-Match), `done` (default otherwise), or `attention`: done or blocked.',
  ),
  include: list(z.enum(INCLUDES), 'Further members: `input` needs jobs:read, `ops` needs jobs:operate.', {
    example: ['input'],
  }),
}

const resultQuery = { wait: getQuery.wait }

export const jobRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/jobs',
    id: 'listJobs',
    tag: 'Jobs',
    scope: READERS,
    summary: 'List jobs',
    description: 'Newest first, by filters. A key without jobs:read sees the jobs it submitted.',
    query: listQuery,
    responses: { 200: { description: 'One page.', schema: 'JobPage', headers: ['Link'] } },
    problems: ['invalid-cursor'],
    handler: (call) => listJobs(call),
  }),
  route({
    method: 'GET',
    path: '/v1/jobs/{id}',
    id: 'getJob',
    tag: 'Jobs',
    scope: READERS,
    summary: 'Read a job, or wait for it',
    description:
      'How the job stands. With `wait` the answer is held until something is worth saying or the time is up; running out of ' +
      'time is a normal 200 or 304. With `If-None-Match` it is 304 when nothing changed. A finished job answers at once.',
    params: JOB_ID,
    query: getQuery,
    headers: ['If-None-Match'],
    responses: {
      200: { description: 'The job.', schema: 'Job', headers: ['ETag', 'Retry-After'] },
      304: { description: 'Nothing changed.', headers: ['ETag', 'Retry-After'] },
    },
    problems: ['job-not-found', 'job-expired', 'too-many-streams'],
    handler: getJob,
  }),
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/result',
    id: 'getJobResult',
    tag: 'Jobs',
    scope: READERS,
    summary: 'Read the bare result',
    description:
      'The result and nothing around it. While there is none, 409 says why: not done yet, failed (with `jobError`) or ' +
      'cancelled.',
    params: JOB_ID,
    query: resultQuery,
    headers: ['If-None-Match'],
    responses: {
      200: {
        description: 'What the job returned.',
        schema: {},
        headers: ['ETag'],
        example: { text: 'Invoice 9917 …', pages: 40 },
      },
      304: { description: 'You have it.', headers: ['ETag'] },
    },
    problems: [
      'job-not-found',
      'job-expired',
      'result-not-ready',
      'job-failed',
      'job-cancelled',
      'result-expired',
      'too-many-streams',
    ],
    handler: getResult,
  }),
]

async function getJob(call: Call<typeof getQuery>): Promise<Reply> {
  const { engine, settings } = call.server
  const { include = NO_INCLUDE, wait = 0 } = call.query
  if (include.length > 0) checkInclude(call.caller, include)
  const known = call.request.headers.get('if-none-match')
  const id = call.params.id!
  const job = wait > 0 ? await longPoll(call, id, known, include) : await engine.get(call.caller, id, include)
  const headers = jobHeaders(job, include)
  if (known !== null && matches(known, headers.ETag!)) return empty(304, headers)
  return json(underBase(job, settings.base), 200, headers)
}

async function longPoll(
  call: Call<typeof getQuery>,
  id: string,
  known: string | null,
  include: readonly Include[],
): Promise<WireJob> {
  const { engine, settings } = call.server
  const timeoutMs = Math.min(call.query.wait! * 1000, settings.limits.waitMs)
  const until = call.query.until ?? (known === null ? 'done' : 'change')
  if (until !== 'change') return waitForJob(call, id, { timeoutMs, until }, include, true)
  let revision: number | null
  if (known === null) revision = (await engine.get(call.caller, id)).revision
  else {
    revision = revisionIn(known)
    // A tag of another representation: what the caller has is not this, so there is nothing to wait for.
    if (revision === null || !matches(known, etagOf(revision, include))) return engine.get(call.caller, id, include)
  }
  return waitForJob(call, id, { timeoutMs, until, revision }, include, true)
}

async function getResult(call: Call<typeof resultQuery>): Promise<Reply> {
  const { engine, settings } = call.server
  const id = call.params.id!
  const { wait = 0 } = call.query
  if (wait > 0) {
    const timeoutMs = Math.min(wait * 1000, settings.limits.waitMs)
    await waitForJob(call, id, { timeoutMs, until: 'done' }, NO_INCLUDE, true)
  }
  try {
    const result = await engine.result(call.caller, id)
    const headers = { ETag: `"${result.sha256}"`, 'Cache-Control': PRIVATE, Vary: 'Authorization' }
    if (matches(call.request.headers.get('if-none-match'), headers.ETag)) return empty(304, headers)
    return jsonText(result.json, 200, headers)
  } catch (error) {
    if (!isUntildoneError(error) || !NO_RESULT.has(error.code)) throw error
    return noResult(call, error)
  }
}

const NO_RESULT: ReadonlySet<string> = new Set(['result-not-ready', 'job-failed', 'job-cancelled'])

/** Why there is no result, with what the caller needs to go on: the job's status, and its error if it has one. */
async function noResult(call: Call<any>, error: UntildoneError): Promise<Reply> {
  const { engine, settings } = call.server
  const job = await engine.get(call.caller, call.params.id!)
  const { message, fix, errors } = error
  const retryAfterMs = error.retryAfterMs ?? job.pollAfterMs ?? undefined
  const params = { ...error.params, status: job.status }
  return problemReply(
    new UntildoneError(error.code, message, { fix, errors, params, retryAfterMs }),
    { requestId: call.requestId, base: settings.base, random: settings.random },
    { extension: { jobStatus: job.status, jobError: job.error } },
  )
}
