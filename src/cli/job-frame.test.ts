import picocolors from 'picocolors'
import { describe, expect, it } from 'vitest'
import { completed, errorOf, makeJob } from '../client/fake-server.mjs'
import type { WireAttempt, WireJob } from '../core/wire.js'
import { type JobView, jobFrame, jobLine } from './job-frame.js'
import { widthOf } from './text.js'

const style = picocolors.createColors(false)
const NOW = Date.parse('2026-11-22T09:00:12.000Z')
const progress = {
  stage: 'ocr',
  stageLabel: 'Run OCR',
  message: 'Page 34',
  completed: 34,
  total: 120,
  unit: 'page',
  iterations: null,
  percent: 28,
  stages: [
    { name: 'fetch', label: 'Fetch input', state: 'done' },
    { name: 'ocr', label: 'Run OCR', state: 'active' },
    { name: 'publish', label: 'Publish', state: 'pending' },
  ],
  updatedAt: '2026-11-22T09:00:10.000Z',
}
const tryOf = (attempt: number): WireAttempt =>
  ({
    attempt,
    outcome: 'error',
    verdict: 'transient',
    rule: null,
    error: errorOf('process-exit', 'engine crashed (exit 139)'),
    workerId: 'w',
    startedAt: '',
    endedAt: '',
    durationMs: 58_000,
    retryInMs: 1000,
  }) as WireAttempt
const view = (job: object, more: Partial<JobView> = {}): JobView => ({
  job: makeJob({ status: 'processing', statusText: 'Page 34', progress, ...job }) as WireJob,
  tries: [],
  usualMs: null,
  givesUpAt: null,
  lost: false,
  ...more,
})
const frame = (v: JobView, width: number) => jobFrame(v, style, width, NOW, 0)

describe('the frame of a job', () => {
  it('shows stages, a bar with its numbers, and the tries below', () => {
    expect(
      frame(view({ late: true }, { tries: [tryOf(2), tryOf(1)], usualMs: 100_000, givesUpAt: NOW + 60_000 }), 80),
    ).toEqual([
      '✓ 1 Fetch input',
      '◐ 2 Run OCR       █████░░░░░░░░░░░░░░░  34/120 pages',
      '    ↻ try 2  58 s  engine crashed (exit 139), transient',
      '    ↻ try 1  58 s  engine crashed (exit 139), transient',
      '○ 3 Publish',
      expect.stringMatching(/^◐ Processing - taking longer than usual {2}12 s {2}gives up \d\d:\d\d$/),
    ])
  })

  it('says what is usual when there is room', () => {
    expect(frame(view({}, { usualMs: 100_000 }), 80).at(-1)).toBe('◐ Processing  12 s  (usually 1 m 40 s)')
  })

  it('draws no bar and no percentage without a total', () => {
    const text = frame(view({ progress: { ...progress, total: null, percent: null } }), 80).join('\n')
    expect(text).toContain('34 pages')
    expect(text).not.toMatch(/[█░%]/)
  })

  it.each([
    [{ iterations: { completed: 1, total: 3 } }, '34/120 pages  1/3 rounds'],
    [{ iterations: { completed: 1, total: null } }, '34/120 pages  1 round'],
    [{ completed: null, total: null, iterations: { completed: 1, total: 3 } }, '◐ 2 Run OCR       1/3 rounds'],
  ])('shows rounds: %o', (more, text) => {
    expect(frame(view({ progress: { ...progress, ...more } }), 80).join('\n')).toContain(text)
  })

  it('is one line below 60 columns, with what moves first', () => {
    expect(frame(view({}, { tries: [tryOf(1)] }), 40)).toEqual([
      '◐ 2/3 Run OCR  34/120 pages  try 2  12 s'.slice(0, 38) + '…',
    ])
    expect(frame(view({}, { lost: true }), 40)).toEqual(['Connection lost - your job carries on.'])
  })

  it.each([40, 60, 80, 200])('never is wider than the terminal (%i)', (width) => {
    const long = {
      ...progress,
      stages: [{ name: 'x', label: '長い名前'.repeat(30), state: 'active' }],
      unit: 'very-long-unit'.repeat(9),
    }
    const views = [
      view({ progress: long }, { tries: [tryOf(1)], lost: true, usualMs: 1e9, givesUpAt: NOW + 1e12 }),
      view({ status: 'blocked', blockedOn: [{ kind: 'review', title: 't'.repeat(300) }] }),
    ]
    for (const v of views) for (const line of frame(v, width)) expect(widthOf(line)).toBeLessThan(width)
  })

  it('says that the job carries on when the connection is lost', () => {
    expect(frame(view({}, { lost: true }), 80).at(-1)).toContain('your job carries on')
  })

  it('says how a finished job ended, without a moving part', () => {
    const lines = frame(
      view({
        ...completed(1),
        progress: { ...progress, stages: progress.stages.map((stage) => ({ ...stage, state: 'done' })) },
      }),
      80,
    )
    expect(lines).toEqual(['✓ 1 Fetch input', '✓ 2 Run OCR', '✓ 3 Publish', '✓ Completed  4.0 s'])
  })

  it('does not let a job write to the terminal', () => {
    const lines = frame(
      view({ progress: { ...progress, stages: [{ name: 'x', label: 'a\u001b[2Jb\nc', state: 'active' }] } }),
      80,
    )
    expect(lines.join('')).not.toContain('\u001b')
    expect(lines).toHaveLength(2)
  })
})

it('one line per change where there is no terminal', () => {
  expect(jobLine(view({}))).toBe('processing  2/3 Run OCR  34/120 pages  Page 34')
  expect(jobLine(view({ progress: null, statusText: 'Being worked on.' }, { lost: true }))).toBe(
    'processing  Being worked on.  (connection lost, trying again)',
  )
  expect(jobLine(view(completed(1), { tries: [tryOf(1)] }))).toBe('completed  4.0 s, 2 tries')
  // The second attempt came after a wait.
  expect(jobLine(view({}, { tries: [tryOf(2)] }))).toContain(', try 2')
  const failed = { ...completed(1), status: 'failed' }
  expect(jobLine(view(failed, { tries: [tryOf(1)] }))).toBe('failed  4.0 s')
  expect(jobLine(view(failed, { tries: [tryOf(3), tryOf(1)] }))).toBe('failed  4.0 s, 2 tries')
  // What was done is being undone: there is no further try.
  expect(jobLine(view({}, { tries: [{ ...tryOf(1), verdict: 'permanent' }] }))).not.toContain('try')
})
