/** Wrong configurations: each is refused at the start, with facade, route, member and what is there instead. */
import { describe, expect, test } from 'vitest'
import { isUntildoneError } from '../../core/index.js'
import { FakeEngine } from '../fakes/engine.js'
import { createServer } from '../index.js'
import type { Facade } from './facade.js'
import { CONNECTOR_GENERATOR, MORPHEUS } from './fixtures/old-apis.js'

function refusal(facades: unknown): string {
  try {
    createServer(new FakeEngine(), { facades: facades as Facade[] })
  } catch (error) {
    if (isUntildoneError(error) && error.code === 'bad-definition') return error.message
    throw error
  }
  return 'taken'
}

type Change = (facade: any, routes: any[]) => void

/** What is said of a facade after a change. */
function said(change: Change, facade: Facade = MORPHEUS): string {
  const copy = structuredClone(facade) as any
  change(copy, copy.routes)
  return refusal([copy])
}

const submit = '"morpheus", route POST /api/v1/analysis'
const get = '"morpheus", route GET /api/v1/analysis/status/{jobId}'
const result = '"morpheus", route GET /api/v1/analysis/result/{jobId}'

test('the two of the guide are taken', () => {
  expect(refusal([MORPHEUS, CONNECTOR_GENERATOR])).toBe('taken')
})

describe('the form', () => {
  test.each<[string, unknown]>([
    ['Facade configuration: it must be a list of facades.', { ...MORPHEUS }],
    ['Facade number 1: expected object, received null.', [null]],
    [
      'Facade number 1: `name` is required; `routes` must not be empty.',
      [{ ...MORPHEUS, name: undefined, routes: [] }],
    ],
    [
      'Facade "one": `status` is required. Facade "two": `time` expected one of "milliseconds"|"seconds"|"unixSeconds"|"unixMilliseconds"; `routes` is required.',
      [
        { ...MORPHEUS, name: 'one', status: undefined },
        { ...MORPHEUS, name: 'two', routes: undefined, time: 'ms' },
      ],
    ],
    [
      'Facade "A b": `name` must be lower-case letters, digits and "-", like "analysis-api".',
      [{ ...MORPHEUS, name: 'A b' }],
    ],
    ['Facade "morpheus": there are two of this name.', [MORPHEUS, MORPHEUS]],
    [
      'Facade "morpheus": has unknown members: notfound; known are name, description, status, progress, progressWhen, time, absent, notFound, expired, errors, presets, routes.',
      [{ ...MORPHEUS, notfound: {} }],
    ],
    ['Facade "morpheus": `routes` is required.', [{ ...MORPHEUS, routes: undefined }]],
  ])('%s', (message, facades) => {
    expect(refusal(facades)).toBe(message)
  })

  test('each mistake is said, place by place', () => {
    const message = said((facade, routes) => {
      facade.absent = 'never'
      routes[0].code = 700
      routes[0].payload = 1
      delete routes[1].op
    })
    expect(message.split('. ')).toEqual([
      'Facade "morpheus": `absent` expected one of "omit"|"null"',
      `Facade ${submit}: \`code\` too big: expected number to be <=599; has unknown members: payload; known are path, summary, description, code, respond, op, method, map, requestSchema`,
      `Facade ${get}: \`op\` is required.`,
    ])
  })

  test('of very many the first are said, and how many there are besides', () => {
    const message = said((facade) => {
      for (let n = 0; n < 30; n++) facade.routes.push({ ...facade.routes[0], path: `/api/v1/more/${n}`, code: 700 })
    })
    expect(message.match(/route POST \/api\/v1\/more/g)).toHaveLength(20)
    expect(message).toMatch(/<=599\. Mistakes besides these: 10\.$/)
  })

  test.each<[string, Change]>([
    [
      `Facade ${submit}: \`op\` is "create"; an op is submit, get, result, list or cancel.`,
      (_, r) => (r[0].op = 'create'),
    ],
    [`Facade ${submit}: \`op\` is required.`, (_, r) => delete r[0].op],
    [
      `Facade "morpheus", route GET /api/v1/analysis: \`method\` expected one of "POST"|"PUT".`,
      (_, r) => (r[0].method = 'GET'),
    ],
    [
      `Facade ${submit}: has unknown members: jobId; known are path, summary, description, code, respond, op, method, map, requestSchema.`,
      (_, r) => (r[0].jobId = '$req.params.jobId'),
    ],
    [
      `Facade ${submit}: \`map\` has unknown members: payload; known are type, input, groupId, operationKey, priority, runAt, deadlineAt, tags, metadata.`,
      (_, r) => (r[0].map.payload = 1),
    ],
    [`Facade ${submit}: \`code\` too big: expected number to be <=599.`, (_, r) => (r[0].code = 700)],
    [`Facade ${result}: \`notReady.code\` cannot be 205 or 304.`, (_, r) => (r[2].notReady.code = 304)],
    [
      'Facade "morpheus": `time` expected one of "milliseconds"|"seconds"|"unixSeconds"|"unixMilliseconds".',
      (f) => (f.time = 'iso'),
    ],
    ['Facade "morpheus": `expired` must be "notFound", "problem", or { code, body }.', (f) => (f.expired = 'gone')],
    [
      'Facade "morpheus": `errors` has unknown members: no-such; the codes are in docs/reference/errors.md.',
      (f) => (f.errors = { 'no-such': { code: 400 } }),
    ],
    [
      'Facade "morpheus": `notFound` has unknown members: status; known are code, body, contentType.',
      (f) => (f.notFound.status = 404),
    ],
    [
      'Facade "morpheus": `presets.a b` has a name that cannot be: use letters, digits, "_" and "-".',
      (f) => (f.presets = { 'a b': {} }),
    ],
    [
      'Facade "morpheus": `progressWhen` has unknown members: done; known are accepted, processing, blocked, completed, failed, cancelled.',
      (f) => (f.progressWhen = { done: null }),
    ],
  ])('%s', (message, change) => {
    expect(said(change)).toBe(message)
  })
})

describe('the status map', () => {
  test.each<[string, unknown]>([
    [
      '`status` says nothing for blocked, cancelled; each of our six words needs a value',
      { accepted: 1, processing: 1, completed: 1, failed: 1 },
    ],
    [
      '`status` names the vocabulary "aws", which there is not; there are morpheus, connector-generator, azure, google-lro, replicate, openai, a2a, mcp',
      'aws',
    ],
    ['`status` names the vocabulary "constructor"', 'constructor'],
    ['`status` must be the name of a vocabulary, or a map of our six words', 7],
  ])('%s', (message, status) => {
    expect(said((facade) => (facade.status = status))).toContain(message)
  })

  test.each(['succeeded', 'blocked:aproval', 'completed:x', 'cancelled:'])('has no "%s"', (key) => {
    const words = { accepted: 1, processing: 1, blocked: 1, completed: 1, failed: 1, cancelled: 1 }
    expect(said((facade) => (facade.status = { ...words, [key]: 2 }))).toContain(`\`status\` has "${key}"`)
    expect(said((facade) => (facade.status = { ...words, 'cancelled:approval-rejected': 2 }))).toBe('taken')
  })
})

describe('look-ups', () => {
  test.each<[string, Change]>([
    [
      `${get}: \`respond\` has $jobs.id, but $jobs is not known here; known are $req, $id, $job, $status, $progress, $errors.`,
      (_, r) => (r[1].respond = '$jobs.id'),
    ],
    [
      `${get}: \`respond\` has $job.ident, but there is no \`ident\`; there are id, type,`,
      (_, r) => (r[1].respond.jobId = '$job.ident'),
    ],
    [`${get}: \`respond\` has $job.id.x, but there is no \`x\` in text.`, (_, r) => (r[1].respond.jobId = '$job.id.x')],
    [
      `${get}: \`respond\` has $job.tags.length, but there is no \`length\` in a list: use 0, 1 ….`,
      (_, r) => (r[1].respond = ['$job.tags.length']),
    ],
    [
      `${get}: \`respond\` has $job.error.code.length, but there is no \`length\` in text.`,
      (_, r) => (r[1].respond = '$job.error.code.length'),
    ],
    [
      `${get}: \`respond\` has $job.input; \`input\` of a job is not shown by facades.`,
      (_, r) => (r[1].respond = '$job.input'),
    ],
    [
      `${get}: \`respond\` has $progress.iterations.done, but there is no \`done\`; there are completed, total.`,
      (_, r) => (r[1].respond = '$progress.iterations.done'),
    ],
    [`${get}: \`respond\` has $items, but $items is not known here`, (_, r) => (r[1].respond = '$items')],
    [`${get}: \`respond\` has $errors.0, but $errors has no members.`, (_, r) => (r[1].respond = '$errors.0')],
    [
      `${get}: \`respond\` has $req.headers.x; of a request there are $req.params.<name>, $req.query.<name> and $req.body.`,
      (_, r) => (r[1].respond = '$req.headers.x'),
    ],
    [
      `${get}: \`respond\` has $req.body.x, but the body of the request is not known here.`,
      (_, r) => (r[1].respond = '$req.body.x'),
    ],
    [
      `${get}: \`respond\` has $req.params.id, but the path has no {id}; it has jobId.`,
      (_, r) => (r[1].respond = '$req.params.id'),
    ],
    [
      `${get}: \`respond\` has $req.query; write $req.query.<name>, and nothing after the name.`,
      (_, r) => (r[1].respond = '$req.query'),
    ],
    [
      `${get}: \`respond\` has "$job id", which is no look-up; write $name.member.member, or $$ for a dollar sign.`,
      (_, r) => (r[1].respond = '$job id'),
    ],
    [`${get}: \`respond\` has "$5", which is no look-up`, (_, r) => (r[1].respond = '$5')],
    [
      `${get}: \`respond\` has $preset.jobs, but there is no preset "jobs"; there are jobStatus, jobType.`,
      (_, r) => (r[1].respond = '$preset.jobs'),
    ],
    [
      `${get}: \`respond\` has $preset.jobStatus+nope, but there is no preset "nope"`,
      (_, r) => (r[1].respond = '$preset.jobStatus+nope'),
    ],
    [
      `${submit}: \`map.input\` has $job.id, but $job is not known here; known are $req.`,
      (_, r) => (r[0].map.input = '$job.id'),
    ],
    [
      `${submit}: \`map.input\` has $preset.jobStatus, but no preset can stand here.`,
      (_, r) => (r[0].map.input = '$preset.jobStatus'),
    ],
    [
      `"morpheus": \`notFound.body\` has $job.id, but $job is not known here; known are $req, $id, $problem.`,
      (f) => (f.notFound.body = '$job.id'),
    ],
    [
      `"morpheus": \`notFound.body\` has $problem.text, but there is no \`text\`; there are type, title,`,
      (f) => (f.notFound.body = '$problem.text'),
    ],
    [
      `"morpheus": \`errors.unauthenticated.body\` has $req.body, but the body of the request is not known here.`,
      (f) => (f.errors = { unauthenticated: { code: 401, body: '$req.body' } }),
    ],
  ])('%s', (message, change) => {
    expect(said(change)).toContain(message)
  })

  test.each(['__proto__', 'constructor', 'prototype'])('%s leads nowhere', (name) => {
    const refused = `looks up "${name}" in`
    expect(said((_, r) => (r[0].map.input = `$req.body.${name}`))).toContain(refused)
    expect(said((_, r) => (r[0].map.input = `$req.body.a.${name}.b`))).toContain(refused)
    expect(said((_, r) => (r[0].map.groupId = `$req.query.${name}`))).toContain(refused)
    expect(said((_, r) => (r[1].jobId = `$req.params.${name}`))).toContain(refused)
    expect(said((_, r) => (r[1].respond = `$job.${name}`))).toContain(refused)
    expect(said((_, r) => (r[1].respond = `$job.metadata.${name}`))).toContain(refused)
    expect(said((_, r) => (r[1].respond = JSON.parse(`{"${name}":"$job.id"}`)))).toContain(`a member called "${name}"`)
    expect(said((_, r) => (r[1].respond = `$preset.${name}`))).toMatch(/no preset/)
  })
})

describe('what belongs together', () => {
  test.each<[string, Change]>([
    [`${submit}: \`respond\` is required: what the answer holds.`, (_, r) => delete r[0].respond],
    [`${submit}: \`respond\` is given, but code 204 has no body.`, (_, r) => (r[0].code = 204)],
    [`${result}: \`failed\` has code 204, which has no body.`, (_, r) => (r[2].failed.code = 204)],
    [`${submit}: \`map.type\` must be 1 to 128 letters, digits, ".", "_" or "-".`, (_, r) => (r[0].map.type = 'a b')],
    [`${submit}: \`map.priority\` must be from -100 to 100.`, (_, r) => (r[0].map.priority = 1000)],
    [`${submit}: \`map.tags.1\` must be text.`, (_, r) => (r[0].map.tags = ['a', 1])],
    [`${get}: \`jobId\` is required: where its id stands, like $req.params.jobId.`, (_, r) => delete r[1].jobId],
    [
      `${get}: \`jobId\` is "7"; it must be looked up in the request, like $req.params.jobId.`,
      (_, r) => (r[1].jobId = '7'),
    ],
    [
      '"morpheus": `errors.job-not-found` and `notFound` are about the same; keep one.',
      (f) => (f.errors = { 'job-not-found': { code: 404 } }),
    ],
    [
      '"morpheus": `errors.method-not-allowed` is about a code that none of its routes leaves to `errors`.',
      (f) => (f.errors = { 'method-not-allowed': { code: 400 } }),
    ],
    [
      '"morpheus": `errors.result-not-ready` is about a code that none of its routes leaves to `errors`.',
      (f) => (f.errors = { 'result-not-ready': { code: 400 } }),
    ],
    [
      '"morpheus": `presets.jobType` has the name of one that is there already.',
      (f) => (f.presets = { jobType: { a: 1 } }),
    ],
    [
      '"morpheus": `presets.x` uses a preset; say what it holds instead.',
      (f) => (f.presets = { x: { a: ['$preset.jobType'] } }),
    ],
  ])('%s', (message, change) => {
    expect(said(change)).toContain(message)
  })

  test('a limit without a cursor', () => {
    const message = '`limit` needs `cursor`: a list without one shows all jobs at once'
    expect(said((_, r) => (r[2].limit = 5), CONNECTOR_GENERATOR)).toContain(message)
  })
})

describe('addresses', () => {
  test.each<[string, string]>([
    ['/v1/analysis', 'is under /v1, where the native API is'],
    ['/V1', 'is under /v1'],
    ['/docs', 'is an address of the server itself (/docs)'],
    ['/docs/{x}', 'is an address of the server itself (/docs/{asset})'],
    ['/{anything}', 'is an address of the server itself'],
    ['analysis', 'must be like /jobs/{jobId}'],
    ['/a/', 'must be like'],
    ['/a//b', 'must be like'],
    ['/a/../b', 'must be like'],
    ['/a/x{b}', 'must be like'],
    ['/a?b=c', 'must be like'],
    ['/a/:b', 'must be like'],
    ['/a/*', 'must be like'],
    ['/a/{__proto__}', 'must be like'],
    ['/a/{b}/{b}', 'has two parameters of one name'],
  ])('%s', (path, message) => {
    expect(said((_, r) => (r[0].path = path))).toContain(`\`path\` ${message}`)
  })

  test('one method and path once, across facades too', () => {
    expect(refusal([MORPHEUS, { ...MORPHEUS, name: 'again' }])).toBe(
      'Facade "again", route POST /api/v1/analysis: this method and path are taken already, by facade "morpheus".',
    )
    const other = structuredClone(MORPHEUS) as any
    other.name = 'again'
    other.routes = [{ ...other.routes[1], path: '/api/v1/analysis/status/{id}', jobId: '$req.params.id' }]
    expect(refusal([MORPHEUS, other])).toContain(
      '`path` is the same as /api/v1/analysis/status/{jobId} with other names; call the parameters the same',
    )
  })
})

describe('schemas for the document', () => {
  test.each<[string, Change]>([
    [`Facade ${submit}: \`requestSchema\` expected record, received string.`, (_, r) => (r[0].requestSchema = 'x')],
    [
      `Facade ${submit}: \`requestSchema\` has a $ref, which would lead into the OpenAPI document; write out what it refers to.`,
      (_, r) => (r[0].requestSchema = { anyOf: [{ $ref: '#/$defs/a' }], $defs: { a: {} } }),
    ],
    [
      `Facade ${submit}: \`requestSchema\` is given, but no look-up reads the body.`,
      (_, r) => Object.assign(r[0], { requestSchema: {}, map: { type: 'analysis', input: {} } }),
    ],
    [
      `Facade ${result}: has unknown members: requestSchema; known are path, summary, description, code, respond, jobId, latestOf, op, method, resultSchema, notReady, failed, cancelled.`,
      (_, r) => (r[2].requestSchema = {}),
    ],
  ])('%s', (message, change) => {
    expect(said(change)).toBe(message)
  })

  test('the type of an answer is a JSON type', () => {
    expect(said((facade) => (facade.notFound = { code: 404, contentType: 'text/html' }))).toBe(
      'Facade "morpheus": `notFound.contentType` must be a JSON type, like application/problem+json.',
    )
  })

  test('what is no schema is said in the words of the validator', () => {
    expect(said((_, r) => (r[2].resultSchema = { type: 'text' }))).toMatch(
      /^Facade "morpheus", route GET \S+: `resultSchema` is no JSON Schema: schema is invalid: data\/type must be /,
    )
  })
})
