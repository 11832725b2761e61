/**
 * What a receiver of webhooks gets, for the `webhooks` member of the OpenAPI document: headers, body, examples, and what
 * its answers mean. Text and examples only; a test judges the examples by their schema.
 */
type Doc = Record<string, unknown>

const AT = '2026-11-22T09:01:44.020Z'
const JOB_ID = '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10'
const ABOUT = { jobId: JOB_ID, jobType: 'ocr.extract', groupId: 'session-42', operationKey: 'invoice:9917' }
const ENDED = { ...ABOUT, status: 'completed', done: true, version: 3, previousStatus: 'processing' }

const event = (id: string, type: string, subject: string, data: Doc): Doc => ({
  ...{ specversion: '1.0', id, source: '/v1', type, subject, time: AT, timestamp: AT },
  ...{ datacontenttype: 'application/json', data },
})

const JOB = {
  ...{ id: JOB_ID, type: 'ocr.extract', typeVersion: null, tenant: 'default', status: 'completed', done: true },
  ...{ statusText: 'Completed.', progress: null, blockedOn: [], result: { pages: 12 } },
  resultInfo: { state: 'inline', bytes: 12, contentType: 'application/json', sha256: null, expiresAt: null },
  ...{ error: null, warnings: [], groupId: 'session-42', operationKey: 'invoice:9917', tags: ['eu'], metadata: {} },
  ...{ parentId: null, rootId: null, schedule: null, replayOf: null, supersededBy: null, compensates: null },
  ...{ compensatedBy: null, resolution: null, priority: 0, runAt: null, deadlineAt: null },
  ...{ createdAt: '2026-11-22T09:01:40.000Z', startedAt: '2026-11-22T09:01:40.012Z', updatedAt: AT, finishedAt: AT },
  ...{ expectedDoneAt: null, late: false, cancelRequestedAt: null, expiresAt: '2026-12-22T09:01:44.020Z' },
  ...{ version: 3, revision: 5, pollAfterMs: null, createdBy: { kind: 'apiKey', id: 'key_7QmZ2x', name: 'crm' } },
  ...{ onBehalfOf: null, traceparent: null },
  links: {
    self: `/v1/jobs/${JOB_ID}`,
    result: `/v1/jobs/${JOB_ID}/result`,
    stream: `/v1/jobs/${JOB_ID}/events/stream`,
    history: `/v1/jobs/${JOB_ID}/history`,
  },
}

const APPROVAL = '019a7c31-77c2-7b1f-8c35-6d4e2f9a0b13'
const WAITING = { ...ABOUT, status: 'blocked', done: false, version: 4, previousStatus: null }
const OPEN = { approvalId: APPROVAL, gate: 'publish', risk: 'high', state: 'pending' }

const EXAMPLES: Record<string, Doc> = {
  thin: event(`${JOB_ID}:3`, 'job.completed', `job/${JOB_ID}`, ENDED),
  full: event(`${JOB_ID}:3`, 'job.completed', `job/${JOB_ID}`, { ...ENDED, job: JOB }),
  approval: event(`${APPROVAL}:1`, 'approval.requested', `job/${JOB_ID}`, { ...WAITING, ...OPEN }),
  ping: event('ping:Zk3vQ8sWn1Yb', 'webhook.ping', 'webhook/wh_7QmZ2xk4VbT9aLpE', {
    webhookId: 'wh_7QmZ2xk4VbT9aLpE',
    by: 'ops',
  }),
}

const DESCRIPTION = `
One event of the kinds that the webhook hears. Verify before you believe it: \`webhook-signature\` is over
\`<webhook-id>.<webhook-timestamp>.<body>\`, byte for byte, after Standard Webhooks; \`verifyWebhook\` of
\`untildone/client\` does it.

- **Answer 2xx within 20 s**, and work afterwards. Everything else is tried again: at once, then after 5 s, 5 min, 30 min,
  2 h, 5 h, 10 h, 14 h, 20 h and 24 h. \`Retry-After\` is obeyed. Redirects are not followed.
- **Answer 410** and nothing more is sent: the webhook is disabled.
- **Events may come twice**, under the same \`webhook-id\`, and in another order than they happened: of two events of a job
  the one with the higher \`data.version\` is the newer.
- A webhook tells you sooner; the truth is the job: GET /v1/jobs/{id}.
`.trim()

const header = (name: string, description: string, example: string): Doc => ({
  ...{ name, in: 'header', required: true, description, schema: { type: 'string' }, example },
})

/** The `webhooks` member. @param eventSchema a reference to the schema of the body */
export function webhookDocs(eventSchema: Doc): Doc {
  const examples = Object.fromEntries(Object.entries(EXAMPLES).map(([name, value]) => [name, { value }]))
  return {
    event: {
      post: {
        operationId: 'receiveEvent',
        summary: 'What a webhook is sent',
        description: DESCRIPTION,
        tags: ['Webhooks'],
        security: [],
        parameters: [
          header('webhook-id', 'Of the event: the same in every try and every redelivery.', `${JOB_ID}:3`),
          header(
            'webhook-timestamp',
            'When this try was made, in seconds. Refuse what is older than 5 min.',
            '1795338104',
          ),
          header(
            'webhook-signature',
            '`v1,` and HMAC-SHA256 in base64, or `v1a,` and ed25519. During a rotation two, with a space in between: one that fits is enough.',
            'v1,97YiOEvnykvHj9ZyWgd5joPpw3Y9HlMzl7rzxvDJbOo=',
          ),
        ],
        requestBody: {
          required: true,
          content: {
            'application/json': { schema: eventSchema, examples },
            'application/cloudevents+json': { schema: eventSchema },
          },
        },
        responses: {
          '2XX': { description: 'Received. What the answer says besides does not matter.' },
          '410': { description: 'Nothing more is wanted: the webhook is disabled, and tells operators so.' },
          default: { description: 'Not received: it is tried again.' },
        },
      },
    },
  }
}
