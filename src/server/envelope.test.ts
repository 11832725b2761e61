import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Json } from '../core/index.js'
import { readBatch, readSubmit } from './envelope.js'
import { DEFAULT_LIMITS } from './options.js'
import type { ServerContext } from './route.js'
import { BatchRequest, SubmitRequest } from './schemas/requests.js'

const server = { settings: { limits: DEFAULT_LIMITS } } as ServerContext

function errorsOf(value: unknown): { pointer: string; code: string }[] {
  try {
    readSubmit(value, server, 0)
    return []
  } catch (error) {
    const { code, errors } = error as { code: string; errors: { pointer: string; code: string; message: string }[] }
    expect(code).toBe('validation-failed')
    return errors.map(({ pointer, code }) => ({ pointer, code }))
  }
}

const rarely = <T>(value: fc.Arbitrary<T>, odd: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 4, arbitrary: value }, { weight: 1, arbitrary: odd })
const odd = fc.oneof(
  fc.constantFrom(null, 0, 1.5, '', true),
  fc.string({ maxLength: 300 }),
  fc.array(fc.string()),
  fc.object(),
)
const short = fc.string({ minLength: 1, maxLength: 20 })
const bodies = fc.record(
  {
    type: rarely(fc.constantFrom('greet', 'ocr.extract'), odd),
    input: fc.jsonValue(),
    groupId: rarely(fc.option(short), odd),
    operationKey: rarely(fc.option(short), odd),
    priority: rarely(fc.integer({ min: -100, max: 100 }), fc.oneof(odd, fc.constantFrom(101, -101, 2 ** 60))),
    onDuplicate: rarely(fc.constantFrom('return', 'reject', 'replace', null), odd),
    tags: rarely(fc.array(short, { maxLength: 16 }), fc.oneof(odd, fc.array(fc.oneof(short, odd), { maxLength: 20 }))),
    metadata: rarely(
      fc.dictionary(short, short, { maxKeys: 16 }),
      fc.oneof(odd, fc.dictionary(fc.string({ maxLength: 80 }), odd, { maxKeys: 20 })),
    ),
    notify: rarely(fc.array(fc.record({ webhookId: short }), { maxLength: 5 }), odd),
    prioritiy: fc.constant(1),
  },
  { requiredKeys: [], noNullPrototype: true },
)

const targets = fc.array(
  fc.record(
    {
      webhookId: rarely(short, odd),
      url: rarely(short, odd),
      events: rarely(fc.array(fc.constantFrom('job.completed', 'job.late'), { maxLength: 2 }), odd),
    },
    { requiredKeys: [], noNullPrototype: true },
  ),
  { maxLength: 2 },
)
const notify = fc.oneof(targets, fc.array(fc.record({ webhookId: short }), { minLength: 4, maxLength: 7 }))

describe('the hand-written check', () => {
  test('takes and refuses what the documented schema does', () => {
    fc.assert(
      fc.property(
        fc.oneof({ weight: 9, arbitrary: bodies as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: odd }),
        fc.constantFrom(0, 1),
        (made, keepTypo) => {
          const body = JSON.parse(JSON.stringify(made)) as Json
          if (!keepTypo && typeof body === 'object' && body !== null && !Array.isArray(body)) delete body.prioritiy
          expect(errorsOf(body).length === 0).toBe(SubmitRequest.safeParse(body).success)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('takes and refuses the same in notify', () => {
    fc.assert(
      fc.property(notify, (made) => {
        const body = JSON.parse(JSON.stringify({ type: 'greet', notify: made })) as Json
        expect(errorsOf(body).length === 0).toBe(SubmitRequest.safeParse(body).success)
      }),
      { numRuns: 500 },
    )
  })

  test('points at each member that is wrong', () => {
    const body = { tpye: 'x', priority: 500, tags: ['', 1], metadata: { 'a/b': 1 }, runAt: 'tomorrow', groupId: '' }
    expect(errorsOf(body)).toEqual([
      { pointer: '/tpye', code: 'unknown' },
      { pointer: '/priority', code: 'range' },
      { pointer: '/tags/0', code: 'range' },
      { pointer: '/tags/1', code: 'type' },
      { pointer: '/metadata/a~1b', code: 'type' },
      { pointer: '/runAt', code: 'format' },
      { pointer: '/groupId', code: 'range' },
      { pointer: '/type', code: 'required' },
    ])
  })

  test.each(['constructor', 'toString', 'hasOwnProperty', '__defineGetter__'])(
    '%s is just an unknown member',
    (name) => {
      expect(errorsOf(JSON.parse(`{"type":"greet","input":1,"${name}":1}`))).toEqual([
        { pointer: `/${name}`, code: 'unknown' },
      ])
    },
  )

  test('a hostile body makes a small answer', () => {
    const body = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`member${i}`, 1]))
    expect(errorsOf(body)).toHaveLength(100)
  })
})

describe('a batch', () => {
  const item = { type: 'greet', input: 1 }
  const codeOf = (value: unknown) => {
    try {
      readBatch(value, server)
    } catch (error) {
      return error as { code: string; errors: { pointer: string }[] }
    }
    throw new Error('it was taken')
  }

  test('takes keys of its items out of the bodies', () => {
    expect(readBatch({ items: [item, { ...item, idempotencyKey: 'k' }] }, server).items).toEqual([
      { body: item, key: null },
      { body: item, key: 'k' },
    ])
    expect(BatchRequest.safeParse({ items: [item, { ...item, idempotencyKey: 'k' }] }).success).toBe(true)
  })

  test('points into the list', () => {
    const { code, errors } = codeOf({ items: [item, { ...item, priority: 'high', nope: 1 }] })
    expect(code).toBe('validation-failed')
    expect(errors.map((error) => error.pointer)).toEqual(['/items/1/priority', '/items/1/nope'])
  })

  test('refuses a bad key where it stands', () => {
    const refusal = codeOf({ items: [item, { ...item, idempotencyKey: 'a b' }] })
    expect(refusal).toMatchObject({ code: 'idempotency-key-invalid', errors: [{ pointer: '/items/1/idempotencyKey' }] })
  })

  test.each([
    [{}, '/items'],
    [{ items: [] }, '/items'],
    [{ items: Array.from({ length: 501 }, () => item) }, '/items'],
    [{ items: [item], all: true }, '/all'],
    [[item], ''],
  ])('refuses %#', (value, pointer) => {
    expect(codeOf(value)).toMatchObject({ code: 'validation-failed', errors: [{ pointer }] })
  })
})
