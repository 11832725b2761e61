/**
 * The prose of the OpenAPI document: how the asynchronous flow works, tags, headers. Text only.
 */
import type { HeaderName, ResponseHeaderName, Tag } from './route.js'

export const DESCRIPTION = `
Work that takes longer than a request: you **submit** a job, get **202** with its id once it is safely stored, and learn
the one true end from the job itself.

## The asynchronous flow

\`\`\`
POST /v1/jobs  ──►  202 Accepted            stored durably; Location, Retry-After, the job with done: false
                    │
                    ├─ poll        GET /v1/jobs/{id}                 until done is true; wait Retry-After in between
                    ├─ long-poll   GET /v1/jobs/{id}?wait=30         answers as soon as it is done
                    ├─ stream      GET /v1/jobs/{id}/events/stream   server-sent events, resumable
                    ├─ be told     POST /v1/webhooks, or notify      signed, and tried again for three days
                    └─ or wait     Prefer: wait=10 on the submit     200 with the end, if it comes in time
                    ▼
GET /v1/jobs/{id}/result  ──►  200 with the bare result; 409 says why there is none
\`\`\`

1. **Submit once.** Send an \`Idempotency-Key\`. When an answer is lost, send the same request again with the same key:
   there is one job, and you get it (\`Idempotent-Replayed: true\`).
2. **202 is a promise, not a result.** It leaves only after the job is on disk. Errors that can be seen at once (unknown
   type, wrong input) come as 4xx instead, and then nothing was stored.
3. **Read \`done\`.** \`done: true\` is final: status, result and error never change after it. The HTTP status is about
   the request, \`status\` about the job: GET on a failed job is 200.
4. **All ways tell the same truth.** Streams and waits are faster polling. A closed stream says nothing about the job.

| status | done | Say this to a customer |
|---|---|---|
| \`accepted\` | no | We have your job, safely stored. Work has not begun. |
| \`processing\` | no | We are working on it, including waiting to try again. Nothing is needed from you. |
| \`blocked\` | no | It will not move until somebody or something outside acts; \`blockedOn\` says who or what. |
| \`completed\` | yes | The work is done; the result is there. |
| \`failed\` | yes | We could not do it and have stopped trying; \`error\` says why. |
| \`cancelled\` | yes | It was stopped on purpose; \`error.code\` says by whom. |

## Errors

Every error is \`application/problem+json\` (RFC 9457) with a \`code\` to decide by, a \`fix\` that says what to do, and
\`retryable\`: whether the same request may work later (then \`Retry-After\` says when). /problems/{code} explains each.

## Conventions

JSON in UTF-8, instants RFC 3339 in UTC with milliseconds, durations \`…Ms\`. Unknown members of an answer must be
ignored; unknown members of a request are refused (422), unknown query parameters too (400), so that a typo is not
silently lost. Within /v1 there are only additions. \`status\` is a closed set; \`phase\`, codes and event types are open.
`.trim()

export const TAGS: { name: Tag; description: string }[] = [
  { name: 'Jobs', description: 'Submit, read, wait, cancel.' },
  { name: 'Operating', description: 'Answer, replay, undo, set the end by hand, in bulk; and the trail of it all.' },
  { name: 'Signals', description: 'What the world tells a job while it waits.' },
  { name: 'Events', description: 'What happened to a job, as pages and as a live stream.' },
  { name: 'Files', description: 'Inputs and results that are too large for JSON.' },
  { name: 'Groups', description: 'Jobs that share a `groupId`, e.g. a session.' },
  { name: 'Execution', description: 'What happened inside, for operators: history, attempts, steps, logs.' },
  { name: 'Errors', description: 'Errors that the code says nothing of, and what people teach about them.' },
  { name: 'Approvals', description: 'What waits for people: the inbox, the card, decisions.' },
  { name: 'Job types', description: 'What can be submitted, and the queues it goes through.' },
  { name: 'Schedules', description: 'Timetables that make jobs.' },
  {
    name: 'Webhooks',
    description: 'Who is told of events, and what became of it. What they are sent: `webhooks` of this document.',
  },
  { name: 'Access', description: 'API keys, and who you are.' },
  { name: 'Server', description: 'What this server is, whether it is well, and its documents.' },
]

type HeaderText = { description: string; example: string }

export const REQUEST_HEADERS: Record<HeaderName, HeaderText> = {
  'Idempotency-Key': {
    description:
      '1 to 255 visible ASCII characters, bare or quoted. The same key with the same body is the same request, however often it is sent; with another body it is 422.',
    example: '8e03978e-40d5-43e8-bc93-6894a57f9324',
  },
  Prefer: {
    description:
      '`wait=N`: answer with the end if it comes within N seconds (at most 55). `respond-async`: do not wait. Without it the job type decides.',
    example: 'wait=10',
  },
  traceparent: {
    description: 'W3C trace context, kept with the job.',
    example: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  },
  'If-None-Match': { description: 'The ETag you have: 304 when nothing changed.', example: '"17"' },
  'If-Match': {
    description: 'The ETag you saw: 412 when the job changed since. Progress changes it too; prefer `ifVersion`.',
    example: '"17"',
  },
  'If-Range': { description: 'The range holds only for this ETag; else the whole file is sent.', example: '"0f1e…"' },
  Range: { description: 'One range of bytes; several are answered with the whole file.', example: 'bytes=0-1023' },
  'Last-Event-ID': {
    description: 'Id of the last event you have; the stream goes on after it. Wins over `after`.',
    example: '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10:3',
  },
  'Content-Disposition': {
    description: 'Its `filename` becomes the name of the file.',
    example: 'attachment; filename="scan.pdf"',
  },
}

export const RESPONSE_HEADERS: Record<ResponseHeaderName | 'Request-Id' | 'Untildone-Version', HeaderText> = {
  'Request-Id': { description: 'Quote it when you ask for help. Yours, if you sent one.', example: 'req_4f1c7ad09b1' },
  'Untildone-Version': { description: 'Version of the server.', example: '1.0.0' },
  Location: { description: 'Where the new thing is.', example: '/v1/jobs/019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10' },
  'Content-Location': {
    description: 'The body is the job at this address, done.',
    example: '/v1/jobs/019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10',
  },
  'Retry-After': { description: 'Ask again after so many seconds.', example: '4' },
  ETag: { description: 'Changes with every visible change.', example: '"17"' },
  Link: {
    description: '`rel="monitor"`: the live stream. `rel="next"`: the next page.',
    example: '</v1/jobs/019a7c31/events/stream>; rel="monitor"',
  },
  'Idempotent-Replayed': {
    description: '`true`: the key was used before; this is that job, as it is now.',
    example: 'true',
  },
  'Duplicate-Of': {
    description: 'Nothing was stored: this job of the same operation was there before, and is the body.',
    example: '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10',
  },
  'Preference-Applied': { description: 'What was done of your Prefer.', example: 'wait=10' },
  'Content-Range': { description: 'Which bytes these are.', example: 'bytes 0-1023/48213' },
  'Content-Disposition': {
    description: 'Always a download, with the name it was stored under.',
    example: 'attachment; filename="scan.pdf"',
  },
}

export const COMMON_RESPONSE_HEADERS = ['Request-Id', 'Untildone-Version'] as const
