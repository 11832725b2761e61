import picocolors from 'picocolors'
import { describe, expect, it } from 'vitest'
import { completed, errorOf, makeJob } from '../client/fake-server.mjs'
import type { WireJob } from '../core/wire.js'
import { countsOf, countsText, jobsFrame, jobsLine } from './jobs-frame.js'
import { widthOf } from './text.js'

const style = picocolors.createColors(false)
const NOW = Date.parse('2026-11-22T09:01:12.000Z')
const ID = '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a'
const job = (n: number, more: object = {}): WireJob =>
  makeJob({ id: `${ID}${String(n).padStart(2, '0')}`, ...more }) as WireJob
const progress = {
  ...{ stage: 'ocr', stageLabel: 'Run OCR', message: 'Page 34', completed: 34, total: 120, unit: 'page' },
  stages: [
    { name: 'fetch', label: 'Fetch input', state: 'done' },
    { name: 'ocr', label: 'Run OCR', state: 'active' },
  ],
  updatedAt: '2026-11-22T09:00:10.000Z',
}
const frame = (jobs: WireJob[], width = 100, lost = false) =>
  jobsFrame({ jobs, since: NOW - 62_000, lost }, style, width, NOW, 0)

describe('the frame of many jobs', () => {
  it('has a line for each, in the order in which they came, and what it comes to', () => {
    const jobs = [
      job(1, { type: 'ocr', status: 'processing', progress }),
      job(2, completed(1)),
      job(3, {
        status: 'failed',
        done: true,
        error: errorOf('E-4012', 'Licence expired'),
        finishedAt: '2026-11-22T09:00:09.000Z',
      }),
      job(4, { status: 'blocked', blockedOn: [{ kind: 'approval', title: 'Refund 12 EUR' }] }),
      job(5, { runAt: '2026-11-22T10:00:00.000Z' }),
    ]
    expect(frame(jobs)).toEqual([
      '◐ 1b7e4a01  ocr    processing  2/2 Run OCR  34/120 pages  1 m 12 s',
      '✓ 1b7e4a02  greet  completed  4.0 s',
      '✕ 1b7e4a03  greet  failed  Licence expired  9.0 s',
      '◆ 1b7e4a04  greet  blocked  Refund 12 EUR  1 m 12 s',
      '○ 1b7e4a05  greet  accepted  not yet due',
      '2 of 5 done  completed 1, failed 1, blocked 1, processing 1, accepted 1  1 m 2 s',
    ])
  })

  it('shows twenty at most: first what waits for somebody or went wrong, and counts the rest', () => {
    const jobs = Array.from({ length: 60 }, (_, i) =>
      job(i, i === 50 ? { status: 'blocked' } : i === 55 ? { status: 'processing' } : i < 30 ? completed(1) : {}),
    )
    const lines = frame(jobs)
    expect(lines).toHaveLength(22)
    expect(lines.filter((line) => /^[◆◐]/.test(line)).map((line) => line.slice(2, 10))).toEqual([
      '1b7e4a50',
      '1b7e4a55',
    ])
    expect(lines.at(-2)).toBe('… and 40 more: completed 30, accepted 10')
    expect(lines.at(-1)).toMatch(/^30 of 60 done {2}completed 30, blocked 1, processing 1, accepted 28/)
  })

  it('is one line below 60 columns', () => {
    expect(frame([job(1), job(2, completed(1))], 40)).toEqual(['1 of 2 done  completed 1, accepted 1'])
    expect(frame([job(1)], 40, true)).toEqual([expect.stringContaining('Connection lost')])
  })

  it.each([40, 60, 80, 200])('never is wider than the terminal (%i)', (width) => {
    const long = {
      type: '長い名前'.repeat(30),
      status: 'failed',
      done: true,
      error: errorOf('x', 'y\u001b[2J\n'.repeat(90)),
    }
    const jobs = Array.from({ length: 30 }, (_, i) => job(i, long))
    for (const line of frame(jobs, width, true)) {
      expect(widthOf(line)).toBeLessThan(width)
      expect(line).not.toMatch(/[\u001b\n]/)
    }
  })

  it('says that the jobs carry on when the connection is lost, unless all is over', () => {
    expect(frame([job(1)], 80, true).at(-1)).toContain('the jobs carry on')
    expect(frame([job(1, completed(1))], 80, true).at(-1)).not.toContain('lost')
  })
})

it('a line of a log has the whole id, and nothing that only moves', () => {
  expect(jobsLine(job(1, { status: 'processing', progress }))).toBe(`${ID}01  greet  processing  2/2 Run OCR`)
  expect(jobsLine(job(1, { status: 'processing', progress: { ...progress, completed: 35, message: 'Page 35' } }))).toBe(
    jobsLine(job(1, { status: 'processing', progress })),
  )
  expect(jobsLine(job(1, { status: 'processing', late: true }))).toBe(
    `${ID}01  greet  processing  taking longer than usual`,
  )
  expect(jobsLine(job(2, completed(1)))).toBe(`${ID}02  greet  completed  4.0 s`)
})

it('counts leave out what there is none of', () => {
  expect(countsText(countsOf([job(1), job(2, completed(1)), job(3)]))).toBe('completed 1, accepted 2')
})
