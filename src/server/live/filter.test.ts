import { describe, expect, test } from 'vitest'
import { Filter, type StreamFilter } from './filter.js'
import type { About } from './news.js'

const about: About = {
  ...{ id: 'j1', tenant: 'default', type: 'ocr.extract', groupId: 'g', tags: ['eu', 'vip'] },
  createdBy: { kind: 'system', id: 'local' },
}
const event = { type: 'job.completed', status: 'completed' as const }
const hint = { jobId: 'j1', type: 'ocr.extract', groupId: 'g' }

describe('a filter', () => {
  test.each<[StreamFilter, boolean]>([
    [{}, true],
    [{ types: ['ocr.extract'] }, true],
    [{ types: ['ocr.*'] }, true],
    [{ types: ['*'] }, true],
    [{ types: ['ocr', 'mail'] }, false],
    [{ groupId: 'g' }, true],
    [{ groupId: 'h' }, false],
    [{ tag: 'vip' }, true],
    [{ tag: 'v' }, false],
    [{ jobId: ['x', 'j1'] }, true],
    [{ jobId: ['x'] }, false],
    [{ status: ['completed', 'failed'] }, true],
    [{ status: ['processing'] }, false],
    [{ events: ['job.*'] }, true],
    [{ events: ['job.failed'] }, false],
    [{ types: ['ocr.*'], groupId: 'g', tag: 'eu', events: ['job.completed'], status: ['completed'] }, true],
    [{ types: ['ocr.*'], groupId: 'g', tag: 'us', events: ['job.completed'], status: ['completed'] }, false],
  ])('%j: %s', (filter, is) => {
    expect(new Filter([filter]).wants(about, event)).toBe(is)
    // With another that must fit as well, it never shows more.
    expect(new Filter([filter, { groupId: 'g' }]).wants(about, event)).toBe(is)
    expect(new Filter([filter, { groupId: 'h' }]).wants(about, event)).toBe(false)
  })

  test('what a notice does not say is not held against it', () => {
    const filter = new Filter([{ groupId: 'g' }])
    expect(filter.mayWant({ ...hint, groupId: null })).toBe(true)
    expect(filter.mayWant({ ...hint, groupId: 'h' })).toBe(false)
    expect(filter.wants({ ...about, groupId: null }, event)).toBe(false)
  })

  test.each<[StreamFilter[], string[]]>([
    [[{}], ['accepted', 'processing', 'blocked', 'completed', 'failed', 'cancelled']],
    [[{ status: ['blocked', 'failed'] }], ['blocked', 'failed']],
    [[{ events: ['job.completed'] }], ['completed']],
    [[{ events: ['job.c*'] }], ['completed', 'cancelled']],
    [[{ events: ['job.progress'] }], ['processing']],
    [[{ events: ['job.retrying'] }], ['processing']],
    [[{ events: ['approval.*'] }], []],
    [[{ status: ['blocked', 'failed'] }, { events: ['job.failed'] }], ['failed']],
  ])('%j: which jobs are told as they are: %j', (parts, statuses) => {
    expect(new Filter(parts).statuses).toEqual(statuses)
  })
})
