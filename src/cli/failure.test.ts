import picocolors from 'picocolors'
import { expect, it } from 'vitest'
import { UntildoneApiError, UntildoneConnectionError } from '../client/index.js'
import { UntildoneError } from '../core/errors.js'
import { PROBLEMS } from '../core/problems.js'
import { CliError, EXIT, exitOfCode, failureOf, renderFailure } from './failure.js'

const api = (status: number, problem: Record<string, unknown>) =>
  new UntildoneApiError(status, problem, { requestId: 'req_9', retryAfterMs: null, retryable: false })

it.each([
  ['input-invalid', EXIT.usage],
  ['malformed-request', EXIT.usage],
  ['unauthenticated', EXIT.notAllowed],
  ['forbidden', EXIT.notAllowed],
  ['job-not-found', EXIT.notFound],
  ['unknown-job-type', EXIT.notFound],
  ['job-expired', EXIT.notFound],
  ['job-already-done', EXIT.conflict],
  ['version-mismatch', EXIT.conflict],
  ['idempotency-key-reused', EXIT.conflict],
  ['store-unavailable', EXIT.unreachable],
  ['rate-limited', EXIT.unreachable],
  ['job-file-broken', EXIT.usage],
  ['internal', EXIT.unexpected],
] as const)('%s ends with exit code %i', (code, exit) => {
  expect(exitOfCode(code, PROBLEMS[code].status)).toBe(exit)
})

it('never gives 0, nor a code that stands for the end of a job', () => {
  for (const [code, { status }] of Object.entries(PROBLEMS))
    expect([1, 2, 3, 4, 5, 6], code).toContain(exitOfCode(code, status))
})

it('says what happened, each member, why it matters, what to do, and the code', () => {
  const failure = failureOf(
    api(422, {
      title: 'The input does not fit the job type. Nothing was stored.',
      detail: 'Input for "ocr" was refused.',
      code: 'input-invalid',
      params: { type: 'ocr' },
      errors: [{ pointer: '/input/a/b~1c', code: 'x', message: 'must be a number' }],
    }),
  )
  expect(renderFailure(failure, picocolors.createColors(false))).toBe(
    [
      '✕ Input for "ocr" was refused.',
      '    a.b/c: must be a number',
      '  Nothing was stored.',
      '  → What it wants: untildone types show ocr',
      '  input-invalid',
      '',
    ].join('\n'),
  )
})

it('names commands where the server names addresses', () => {
  for (const [code, { status, fix }] of Object.entries(PROBLEMS)) {
    // What happens to streams and the reference page meets nobody at a terminal.
    if (code === 'not-found' || /stream-tickets/.test(fix)) continue
    expect(failureOf(api(status, { code, fix, params: {} })).fix, code).not.toMatch(/(GET|POST|PATCH) \//)
  }
  const fixOf = (fix: string) => failureOf(api(404, { code: 'not-found', fix })).fix
  expect(fixOf('List them: GET /v1/failures, GET /v1/rules.')).toBe(
    'List them: untildone failures list, untildone rules list.',
  )
  expect(fixOf('Deliveries are kept for 30 days. List them: GET /v1/webhooks/{id}/deliveries.')).toBe(
    'Deliveries are kept for 30 days. List them: untildone webhooks deliveries <id>.',
  )
})

it('what is not there is looked for with the list of its own kind', () => {
  const { fix } = PROBLEMS['not-found']
  const fixOf = (group: string | undefined, params = {}) =>
    failureOf(api(404, { code: 'not-found', fix, params }), false, group).fix
  for (const group of ['queues', 'schedules', 'webhooks', 'keys', 'types', 'failures', 'rules', 'inbox', 'workers'])
    expect(fixOf(group)).toMatch(`See which there are: untildone ${group} list`)
  expect(fixOf('jobs', { groupId: 'g' })).toBe('See which there are: untildone jobs list')
  expect(fixOf('jobs', { type: 'ocr' })).toBe('See which there are: untildone types list')
  expect(fixOf(undefined)).toBe(fix)
})

it('quotes the request when the server made a mistake', () => {
  expect(failureOf(api(500, { code: 'internal', detail: 'The server made a mistake.' })).details).toEqual([
    'request req_9',
  ])
})

it('knows our errors, their absence of a server, and keeps stacks to itself', () => {
  expect(failureOf(new UntildoneError('no-jobs-found'))).toMatchObject({
    code: 'no-jobs-found',
    exit: 2,
    fix: PROBLEMS['no-jobs-found'].fix,
  })
  expect(failureOf(new UntildoneConnectionError('http://x', new Error('y')))).toMatchObject({
    exit: 3,
    code: 'server-unreachable',
  })
  expect(failureOf(new CliError('c', 'w', { exit: 6 }))).toMatchObject({ exit: 6 })
  expect(failureOf(new Error('boom'))).toMatchObject({ what: 'boom', exit: 1, details: [] })
  expect(failureOf(new Error('boom'), true).details.join()).toContain('failure.test.ts')
})

it('lets no server write to the terminal', () => {
  const text = renderFailure(
    failureOf(api(404, { detail: 'a\u001b[2Jb', code: 'x', fix: 'c\u0007' })),
    picocolors.createColors(false),
  )
  expect(text).not.toMatch(/[\u001b\u0007]/)
})
