import picocolors from 'picocolors'
import { expect, it } from 'vitest'
import { completed, errorOf, makeJob } from '../../client/fake-server.mjs'
import type { WireJob } from '../../core/wire.js'
import { entryJson, JobFeed, renderEntry } from './feed.js'

const NOW = Date.parse('2026-11-22T09:00:02.000Z')
const ID = '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10'
const URL_ = 'http://localhost:4884/v1/jobs/x'
const ops = (phase: string, attempt: number, more: object = {}) => ({
  phase,
  attempt,
  maxAttempts: null,
  nextAttemptAt: null,
  lastError: null,
  queue: 'default',
  workerId: 'w',
  leaseExpiresAt: null,
  ...more,
})
const stages = [
  { name: 'a', label: 'Fetch', state: 'done' },
  { name: 'b', label: 'Convert', state: 'active' },
]
const job = (more: object) =>
  makeJob({ id: ID, type: 'hello', status: 'processing', progress: { stage: 'b', stages }, ...more }) as WireJob
const plain = picocolors.createColors(false)
const retrying = () =>
  job({
    ops: ops('retrying', 1, {
      nextAttemptAt: '2026-11-22T09:00:04.000Z',
      lastError: { class: 'transient', code: 'x', message: 'engine crashed (exit 139)' },
    }),
  })

it('says each thing once, and that a job was stored although it was claimed in the same moment', () => {
  const feed = new JobFeed()
  const texts = (one: WireJob, tries = one.ops?.attempt) =>
    feed.take(one, NOW, URL_, tries).map((entry) => `${entry.job.status} ${entry.text}`)
  expect(texts(job({ ops: ops('running', 1) }))).toEqual(['accepted stored', 'processing 2/2 Convert'])
  expect(texts(job({ ops: ops('running', 1), revision: 9 }))).toEqual([])
  expect(texts(retrying())).toEqual(['processing 2/2 Convert, try 1 did not work'])
  expect(texts(job({ ops: ops('running', 2) }))).toEqual(['processing 2/2 Convert, try 2'])
  expect(texts(job({ ...completed(1), ops: ops('clean', 2) }))).toEqual(['completed 4.0 s, 2 tries'])
  expect(feed.wasHurt(ID)).toBe(true)
})

it('what waits is no try, and neither is undoing', () => {
  const feed = new JobFeed()
  const texts = (phase: string, attempt: number, tries: number, more: object = {}) =>
    feed.take(job({ ops: ops(phase, attempt), ...more }), NOW, URL_, tries).map((entry) => entry.text)
  texts('running', 1, 1)
  expect(texts('waiting', 1, 0, { statusText: 'Waiting for 2 jobs.' })).toEqual(['Waiting for 2 jobs.'])
  expect(texts('running', 2, 1)).toEqual(['2/2 Convert'])
  expect(texts('compensating', 3, 1)).toEqual(['undoing what was done'])
  expect(texts('clean', 3, 1, completed(1))).toEqual(['4.0 s'])
  expect(feed.wasHurt(ID)).toBe(false)
})

it('does not tell of the storing of a job that was there long before', () => {
  const entries = new JobFeed().take(job({ ops: ops('running', 3) }), NOW + 60_000, URL_, 3)
  expect(entries.map((entry) => entry.text)).toEqual(['2/2 Convert, try 3'])
})

it('explains a try that did not work, and never calls it failed', () => {
  const [, entry] = new JobFeed().take(retrying(), NOW, URL_, 1)
  const text = renderEntry(entry!, plain, 5, 80).replace(/\d\d:\d\d:\d\d/, 'T')
  expect(text).toBe(
    [
      '  T  hello  1b7e4a10  processing  2/2 Convert, try 1 did not work',
      '            engine crashed (exit 139)',
      '            transient, next try in 2.0 s',
    ].join('\n'),
  )
  const narrow = renderEntry(entry!, plain, 5, 40).split('\n')
  expect(narrow[1]).toBe('    2/2 Convert, try 1 did not work')
  for (const line of narrow) expect(line.length).toBeLessThan(40)
  expect(entryJson(entry!)).toMatchObject({
    event: 'job',
    id: ID,
    status: 'processing',
    phase: 'retrying',
    attempt: 1,
    error: { code: 'x' },
  })
})

it('tells the end with its reason and its address', () => {
  const [entry] = new JobFeed().take(
    job({ status: 'failed', done: true, error: errorOf('exhausted', 'Gave\u001b[2J up.'), ops: ops('exhausted', 4) }),
    NOW + 60_000,
    URL_,
    4,
  )
  expect([entry!.text, entry!.more]).toEqual(['Gave[2J up.', ['exhausted, 4 tries', URL_]])
})
