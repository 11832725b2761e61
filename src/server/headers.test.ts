import { describe, expect, test } from 'vitest'
import {
  attachment,
  byteRange,
  dispositionName,
  idempotencyKey,
  matches,
  preference,
  revisionIn,
  safeName,
  traceparent,
} from './headers.js'
import { instantMs } from './query.js'

describe('Idempotency-Key', () => {
  test.each([
    ['abc', 'abc'],
    ['"abc"', 'abc'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['x'.repeat(255), 'x'.repeat(255)],
  ])('%s is %s', (raw, key) => expect(idempotencyKey(raw)).toBe(key))

  test.each(['', '""', '"abc', 'a b', 'a, b', 'ä', 'a\u0000', '"a\\x"', 'x'.repeat(256)])('%j is refused', (raw) => {
    expect(() => idempotencyKey(raw)).toThrow(expect.objectContaining({ code: 'idempotency-key-invalid' }))
  })

  test('absent is null', () => expect(idempotencyKey(null)).toBeNull())
})

describe('Prefer', () => {
  test.each([
    ['wait=10', { waitMs: 10_000, respondAsync: false }],
    ['respond-async, wait=5', { waitMs: 5000, respondAsync: true }],
    ['respond-async', { waitMs: null, respondAsync: true }],
    ['handling=lenient; wait="3"', { waitMs: 3000, respondAsync: false }],
    ['wait=soon, waiter=9', { waitMs: null, respondAsync: false }],
  ])('%s', (raw, expected) => expect(preference(raw)).toEqual(expected))
})

describe('conditional headers', () => {
  test('lists, weak tags and the star', () => {
    expect(matches('"1", W/"17"', '"17"')).toBe(true)
    expect(matches('"1,17"', '"17"')).toBe(false)
    expect(matches('*', '"17"')).toBe(true)
    expect(matches(null, '"17"')).toBe(false)
  })

  test('the revision in a tag', () => {
    expect(revisionIn('"17"')).toBe(17)
    expect(revisionIn('W/"17-input.ops"')).toBe(17)
    expect(revisionIn('"seventeen"')).toBeNull()
  })
})

describe('ranges of a file of 100 bytes', () => {
  test.each([
    ['bytes=0-9', { start: 0, end: 9 }],
    ['bytes=90-', { start: 90, end: 99 }],
    ['bytes=-5', { start: 95, end: 99 }],
    ['bytes=-500', { start: 0, end: 99 }],
    ['bytes=10-5000', { start: 10, end: 99 }],
    ['bytes=100-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=9-0', null],
    ['bytes=0-1,5-6', null],
    ['lines=0-1', null],
    ['bytes=-', null],
    [null, null],
  ])('%s', (header, expected) => expect(byteRange(header, 100)).toEqual(expected))

  test('an empty file satisfies none', () => expect(byteRange('bytes=0-', 0)).toBe('unsatisfiable'))
})

describe('names of files', () => {
  test.each([
    ['attachment; filename="scan.pdf"', 'scan.pdf'],
    ['attachment; filename=scan.pdf', 'scan.pdf'],
    ['attachment; filename="old.pdf"; filename*=UTF-8\'\'z%C3%BCge.pdf', 'züge.pdf'],
    ['attachment; filename="a \\"b\\".pdf"', 'a "b".pdf'],
    ['attachment', null],
  ])('%s', (header, name) => expect(dispositionName(header)).toBe(name))

  test.each([
    ['../../etc/passwd', 'passwd'],
    ['C:\\temp\\a.txt', 'a.txt'],
    ['a\u0000b\u202egpj.exe', 'abgpj.exe'],
    ['..', null],
    ['  ', null],
    [null, null],
  ])('%j is saved as %j', (name, safe) => expect(safeName(name)).toBe(safe))

  test('a name cannot break out of its header', () => {
    expect(attachment('a"; x="\r\nSet-Cookie: b')).not.toMatch(/[\r\n]|"; x/)
    expect(attachment('zü ge.pdf')).toBe('attachment; filename="z_ ge.pdf"; filename*=UTF-8\'\'z%C3%BC%20ge.pdf')
    expect(() => attachment(safeName(`${'x'.repeat(199)}😀`))).not.toThrow()
  })
})

test('traceparent: only what can be passed on', () => {
  const good = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  expect(traceparent(good)).toBe(good)
  for (const bad of [
    null,
    '',
    good.toUpperCase(),
    good.replace('4bf92f3577b34da6a3ce929d0e0e4736', '0'.repeat(32)),
    `ff${good.slice(2)}`,
    `${good}-x`,
  ]) {
    expect(traceparent(bad)).toBeNull()
  }
})

test('instants: RFC 3339 with seconds and an offset, and days that exist', () => {
  expect(instantMs('2026-11-22T09:00:00Z')).toBe(Date.UTC(2026, 10, 22, 9))
  expect(instantMs('2026-11-22T09:00:00.5+02:00')).toBe(Date.UTC(2026, 10, 22, 7, 0, 0, 500))
  expect(instantMs('2024-02-29T00:00:00Z')).not.toBeNull()
  for (const bad of [
    '2026-11-22',
    '2026-11-22T09:00:00',
    '2026-02-30T00:00:00Z',
    '2023-02-29T00:00:00Z',
    'tomorrow',
    '2026-13-01T00:00:00Z',
    '2026-11-22T25:00:00Z',
  ]) {
    expect(instantMs(bad), bad).toBeNull()
  }
})
