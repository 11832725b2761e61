// The gateway's own API, as data, over the job type of this folder: its addresses, its words, its problems, and how it
// explains itself in the OpenAPI document. There is no code behind any of these addresses.
import type { JobDefinition } from 'untildone'
import type { Facade, FacadeAnswer } from 'untildone/server'
import { defineAnalysis } from './jobs/contract.js'
import { modelFrom } from './lib/model.js'
import { WORDS } from './sdk/types.js'

/** What the OpenAPI document is called: it describes this API before it describes Untildone's. */
export const INFO = { title: 'Analysis gateway', version: '1.0.0' }

const FLOW = `
An analysis takes longer than a request, so it is asked for and fetched in three calls. None of them keeps a connection
open while the work is done.

\`\`\`
POST /api/v1/analysis                   202   jobId: stored on disk, work begins when there is a worker
GET  /api/v1/analysis/status/{jobId}    200   pending → in_progress → completed | failed | cancelled
GET  /api/v1/analysis/result/{jobId}    200   the result, once the status is completed; before that 409
\`\`\`

1. **Send an \`Idempotency-Key\`** with the first call. When its answer is lost, repeat it with the same key: it is the same
   analysis, and \`Idempotent-Replayed: true\` says so.
2. **Wait \`Retry-After\` seconds** between two looks at the status. \`completed\`, \`failed\` and \`cancelled\` are final and
   never change. A connection that breaks, a 503, a 429: they say nothing about the analysis; ask again.
3. **Expect the result a moment later than the request**: a 202 says that it will be analysed, not that it was.
   \`failed\` means that we have stopped trying; an error that may pass is tried again here, and the status stays
   \`in_progress\`.

| status | final | what it means |
|---|---|---|
| \`pending\` | no | stored, not begun |
| \`in_progress\` | no | being worked on, waiting to be tried again, or waiting for somebody who runs this service |
| \`completed\` | yes | the result is there |
| \`failed\` | yes | it could not be done; \`errors\` says why |
| \`cancelled\` | yes | it was stopped on request |

**Instead of polling**, a WebSocket tells the end as it happens: \`GET /v1/ws\`, subprotocol \`untildone.v1\`, then
\`{"op":"subscribe","ref":1,"filter":{"jobId":["…"]}}\`. A browser, which has no key, opens it with a ticket of
\`POST /v1/stream-tickets\`. What is pushed is a hint to look; the status is the truth.
`.trim()

const PROBLEM = 'application/problem+json'
const ID = '$req.params.jobId'

function problem(
  status: number,
  code: string,
  title: string,
  fix: string,
  more: FacadeAnswer['body'] = {},
): FacadeAnswer {
  const body = {
    type: `urn:analysis-gateway:problem:${code}`,
    title,
    status,
    code,
    retryable: false,
    fix,
    ...(more as object),
  }
  return { code: status, contentType: PROBLEM, body }
}

/** @param contract what goes in and what comes out: the definition of the job type */
export function facadeFor(contract: Pick<JobDefinition, 'inputSchema' | 'outputSchema'>): Facade {
  return {
    name: 'analysis',
    description: FLOW,
    status: WORDS,
    progress: {
      stage: '$progress.stage',
      message: '$progress.message',
      documentsDone: '$progress.completed',
      documents: '$progress.total',
    },
    presets: {
      status: {
        jobId: '$job.id',
        status: '$status',
        text: '$job.statusText',
        createdAt: '$job.createdAt',
        startedAt: '$job.startedAt',
        finishedAt: '$job.finishedAt',
        progress: '$progress',
        warnings: '$job.warnings',
        errors: '$errors',
      },
    },
    notFound: problem(
      404,
      'analysis-not-found',
      'There is no such analysis.',
      'Check the jobId. GET /api/v1/analysis lists those that you can see.',
      { jobId: '$id' },
    ),
    expired: problem(
      410,
      'analysis-expired',
      'The analysis was removed when the time to keep it was over.',
      'Ask for it again: POST /api/v1/analysis',
      { jobId: '$id' },
    ),
    routes: [
      {
        op: 'submit',
        method: 'POST',
        path: '/api/v1/analysis',
        summary: 'Ask for an analysis',
        description: 'Answers as soon as the request is checked and stored. The status is at `statusUrl`.',
        map: { type: 'analysis', input: '$req.body' },
        requestSchema: contract.inputSchema,
        respond: { jobId: '$job.id', status: '$status', statusUrl: '$location' },
      },
      {
        op: 'list',
        method: 'GET',
        path: '/api/v1/analysis',
        summary: 'List analyses',
        description: 'Give `nextCursor` of one answer as `cursor` of the next request.',
        type: 'analysis',
        cursor: '$req.query.cursor',
        limit: '$req.query.limit',
        item: { jobId: '$job.id', status: '$status', createdAt: '$job.createdAt', finishedAt: '$job.finishedAt' },
        respond: { analyses: '$items', nextCursor: '$nextCursor' },
      },
      {
        op: 'get',
        method: 'GET',
        path: '/api/v1/analysis/status/{jobId}',
        summary: 'Ask how an analysis stands',
        description: 'Ask again after `Retry-After` seconds; an answer without that header is final.',
        jobId: ID,
        respond: '$preset.status',
      },
      {
        op: 'result',
        method: 'GET',
        path: '/api/v1/analysis/result/{jobId}',
        summary: 'Fetch the result of an analysis',
        description: 'The bare result. Without one, 409 says why there is none.',
        jobId: ID,
        resultSchema: contract.outputSchema,
        notReady: problem(
          409,
          'analysis-not-finished',
          'The analysis is not finished yet, so there is no result.',
          'Ask for the status until it is completed; Retry-After says when to ask again.',
          { retryable: true, jobId: '$job.id', analysis: '$status' },
        ),
        failed: problem(
          409,
          'analysis-failed',
          'The analysis failed, so there is no result.',
          'Read errors, correct the request and send it again with another Idempotency-Key.',
          { jobId: '$job.id', analysis: '$status', errors: '$errors' },
        ),
        cancelled: problem(
          409,
          'analysis-cancelled',
          'The analysis was cancelled, so there is no result.',
          'Send the request again with another Idempotency-Key if it should run after all.',
          { jobId: '$job.id', analysis: '$status' },
        ),
      },
      {
        op: 'cancel',
        method: 'POST',
        path: '/api/v1/analysis/cancel/{jobId}',
        summary: 'Cancel an analysis',
        jobId: ID,
        reason: '$req.body.reason',
        respond: { jobId: '$job.id', status: '$status' },
        alreadyDone: problem(
          409,
          'analysis-already-ended',
          'The analysis has ended; there is nothing to cancel.',
          'Read its end: GET /api/v1/analysis/status/{jobId}',
          { jobId: '$job.id', analysis: '$status' },
        ),
      },
    ],
  }
}

/** What `--facades` takes. */
export default [facadeFor(defineAnalysis(modelFrom(process.env) !== null))]
