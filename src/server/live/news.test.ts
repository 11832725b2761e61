import { expect, test } from 'vitest'
import type { WireEvent } from '../../core/index.js'
import { blankJob } from '../fakes/samples.js'
import { newsOf } from './news.js'

test('of several events of one reading, the last one carries the new place: a cut before it repeats them all', () => {
  const job = blankJob('j', '2026-11-22T09:00:00.000Z', { version: 3 })
  const event = (version: number) => ({ type: 'job.x', source: '/v1', data: { version } }) as WireEvent
  const events = [1, 2, 3].map((version) => ({ event: event(version), operators: false }))
  const { items, about } = newsOf({ job, events }, '/base', 'new', () => 'old')
  expect(items.map(({ id, version }) => [id, version])).toEqual([
    ['old', 1],
    ['old', 2],
    ['new', 3],
  ])
  expect(about).not.toHaveProperty('metadata')
  const text = new TextDecoder().decode(items[2]!.frame)
  expect(text).toBe('id: new\nevent: job.x\ndata: {"type":"job.x","source":"/base/v1","data":{"version":3}}\n\n')
  expect(items[2]!.frame).toBe(items[2]!.frame)
})
