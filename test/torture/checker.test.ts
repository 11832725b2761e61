/** The checker is shown a history that is right, and then each kind of wrong that it must name. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { firstBreak } from '../../src/core/history.js'
import { isFinal, TRANSITIONS } from '../../src/core/lifecycle.js'
import { check } from './checker.mjs'

const sha256 = (text: string | Uint8Array) => createHash('sha256').update(text).digest('hex')
const core = { TRANSITIONS, isFinal, firstBreak, sha256 }

/** One job that was lost once, recorded its step in the second attempt and completed there. */
function facts(): any {
  const stepResult = JSON.stringify({ receipt: 5, start: 4 })
  const result = JSON.stringify({ script: 'complete', serial: 1, attempt: 2, receipts: { s0: 5 }, starts: { s0: 4 } })
  const entry = (seq: number, event: string, state: string, epoch: number) => ({
    seq,
    event,
    state,
    epoch,
    attempt: epoch,
  })
  const job = {
    id: 'a',
    input: { script: 'complete', serial: 1, steps: 1 },
    live: null as any,
    error: null,
    warnings: [] as string[],
    outcome: {
      status: 'completed',
      phase: 'clean',
      version: 5,
      epoch: 2,
      attempt: 2,
      result,
      result_sha256: sha256(result),
    } as any,
    history: [
      entry(1, 'submitted', 'queued', 0),
      entry(2, 'claimed', 'running', 1),
      entry(3, 'leaseExpired', 'queued', 1),
      entry(4, 'claimed', 'running', 2),
      entry(5, 'succeeded', 'completed', 2),
    ],
    attempts: [
      { epoch: 1, outcome: 'lost' },
      { epoch: 2, outcome: 'ok' },
    ],
    steps: new Map<string, any>([['s0', { kind: 'step', attempt: 2, result: stepResult }]]),
  }
  return {
    job,
    journal: [
      { what: 'intent', key: 'k' },
      { what: 'ack', key: 'k', ids: ['a'] },
      { what: 'ack', key: 'k', ids: ['a'] },
      { what: 'end', id: 'a', status: 'completed' },
    ],
    ledger: [
      { seq: 1, what: 'began', job: 'a', attempt: 1 },
      { seq: 2, what: 'start', job: 'a', step: 's0', key: 'x', attempt: 1 },
      { seq: 3, what: 'began', job: 'a', attempt: 2 },
      { seq: 4, what: 'start', job: 'a', step: 's0', key: 'x', attempt: 2 },
      { seq: 5, what: 'effect', job: 'a', step: 's0', key: 'x', attempt: 2, receipt: 5, repeated: false },
      { seq: 6, what: 'recorded', job: 'a', step: 's0', attempt: 2, hash: sha256(stepResult) },
    ],
    store: {
      jobs: new Map([['a', job]]),
      keys: new Map([['k', 'a']]),
      audit: new Map(),
      audited: new Set(),
      files: [],
      integrity: [] as string[],
    },
    core,
  }
}

const named = (make: (f: any) => void) => {
  const f = facts()
  make(f)
  return [...new Set(check(f).violations.map(({ invariant }: { invariant: string }) => invariant))].sort()
}

describe('checker', () => {
  it('finds nothing in a history that is right', () => {
    const { violations, counts } = check(facts())
    expect(violations).toEqual([])
    expect(counts).toMatchObject({ accepted: 1, completed: 1, lost: 0, doubled: 0 })
  })

  const wrongs: [what: string, invariant: string, make: (f: any) => void][] = [
    ['an acknowledged job that is gone', 'S1', (f) => f.store.jobs.clear()],
    ['a key that is gone', 'S1', (f) => f.store.keys.clear()],
    ['a request that never got an answer', 'S1', (f) => f.journal.push({ what: 'intent', key: 'other' })],
    ['one key, two jobs', 'S2', (f) => f.journal.push({ what: 'ack', key: 'k', ids: ['b'] })],
    ['a job that nobody was told of', 'S2', (f) => f.store.jobs.set('b', { ...f.job, id: 'b' })],
    ['a refusal of something that is stored', 'S2', (f) => f.journal.push({ what: 'refused', key: 'k', status: 422 })],
    ['a reader who was told another end', 'S3', (f) => f.journal.push({ what: 'end', id: 'a', status: 'failed' })],
    ['an attempt after the end', 'S3', (f) => f.ledger.push({ what: 'began', job: 'a', attempt: 3 })],
    [
      'an outcome and a live row',
      'S4',
      (f) => Object.assign(f.job, { live: { state: 'running', version: 5, epoch: 2 } }),
    ],
    ['an outcome of another version', 'S4', (f) => Object.assign(f.job.outcome, { version: 4 })],
    ['a result of another attempt', 'S5', (f) => setResult(f, { attempt: 1 })],
    ['a result with a receipt that the witness never gave', 'S5', (f) => setResult(f, { receipts: { s0: 9 } })],
    ['a result built of another value than was recorded', 'S10', (f) => setResult(f, { starts: { s0: 2 } })],
    ['a value that another attempt made', 'S5', (f) => Object.assign(f.job.steps.get('s0'), madeIn(2))],
    ['a value that no attempt of the job made', 'S5', (f) => Object.assign(f.job.steps.get('s0'), madeIn(99))],
    ['a completed job whose attempt was lost', 'S5', (f) => Object.assign(f.job.attempts[1], { outcome: 'lost' })],
    ['a step that is missing', 'S5', (f) => f.job.steps.clear()],
    ['another outcome than the script demands', 'S6', (f) => Object.assign(f.job.outcome, { status: 'failed' })],
    ['a note that the phase does not show', 'S6', (f) => f.job.warnings.push('noise')],
    ['an epoch that falls', 'S8', (f) => Object.assign(f.job.history[4], { epoch: 1 })],
    [
      'a recorded step that starts again',
      'S9',
      (f) => f.ledger.push({ what: 'start', job: 'a', step: 's0', key: 'x', attempt: 3 }),
    ],
    [
      'a step that starts twice in one attempt',
      'S9',
      (f) => f.ledger.push({ what: 'start', job: 'a', step: 's0', key: 'x', attempt: 2 }),
    ],
    ['an effect twice under one key', 'S9', (f) => f.ledger.push({ ...f.ledger[4], seq: 7 })],
    ['an effect under a second key', 'S9', (f) => f.ledger.push({ ...f.ledger[4], seq: 7, key: 'y' })],
    [
      'a step that was announced as recorded, lost, and done again',
      'S9',
      (f) =>
        f.ledger.splice(2, 0, { what: 'recorded', job: 'a', step: 's0', attempt: 1, hash: sha256('{"receipt":5}') }),
    ],
    [
      'a step announced and not recorded',
      'S9',
      (f) => f.ledger.push({ what: 'recorded', job: 'a', step: 's1', attempt: 2, hash: 'h' }),
    ],
    [
      'two values of one step',
      'S10',
      (f) => f.ledger.push({ what: 'recorded', job: 'a', step: 's0', attempt: 2, hash: 'h' }),
    ],
    [
      'a cancel that was promised and did not happen',
      'S14',
      (f) => f.journal.push({ what: 'cancel', id: 'a', status: 200 }),
    ],
    ['an acknowledged retry that left no trace', 'S1', (f) => f.journal.push({ what: 'retry', id: 'a', status: 202 })],
    ['a gap in the history', 'S16', (f) => f.job.history.splice(2, 1)],
    ['a cancel without an audit entry', 'S16', (f) => Object.assign(f.job.history[2], { event: 'cancelRequested' })],
    [
      'a transition that is not in the table',
      'S17',
      (f) => Object.assign(f.job.history[2], { event: 'deadlinePassed' }),
    ],
    ['an attempt without a row', 'S20', (f) => f.job.attempts.shift()],
    [
      'a job that has not come to rest',
      'L4',
      (f) => Object.assign(f.job, { outcome: null, live: { state: 'completed', version: 5, epoch: 2 } }),
    ],
    ['a damaged database', 'integrity', (f) => f.store.integrity.push('row 3 missing from index')],
  ]
  it.each(wrongs)('names %s (%s)', (_what, invariant, make) => {
    expect(named(make)).toContain(invariant)
  })
})

/** The value of the step, if this start had made it. */
const madeIn = (start: number) => ({ result: JSON.stringify({ receipt: 5, start }) })

function setResult(f: any, change: object) {
  const { outcome } = f.job
  outcome.result = JSON.stringify({ ...JSON.parse(outcome.result), ...change })
  outcome.result_sha256 = sha256(outcome.result)
}
