/** What only systems of several processes can get wrong, shown to the judge one by one. */
import { describe, expect, it } from 'vitest'
import { checkMany } from './checker.mjs'

const LEASE_MS = 5000

/** A signalled job and one that acts once; all is well with both. */
function facts(): any {
  const done = (script: string, attempts: object[]) => ({
    input: { script },
    outcome: { status: 'completed' },
    attempts,
  })
  return {
    journal: [{ what: 'signal', id: 'a', status: 202 }],
    ledger: [
      { what: 'start', job: 'b', step: 'pay', attempt: 1 },
      { what: 'effect', job: 'b', step: 'pay', attempt: 1 },
    ],
    store: {
      left: [],
      mailbox: [{ job_id: 'a', taken_by: 'go' }],
      jobs: new Map([
        ['a', { id: 'a', ...done('signalled', []) }],
        ['b', { id: 'b', ...done('transfer', [{ worker: 'w', outcome: 'lost', ended_at: 100_000 }]) }],
      ]),
    },
    workers: [{ id: 'w', lease_until: 99_000 }],
    leaseMs: LEASE_MS,
  }
}

describe('the judge of several processes', () => {
  it('finds nothing where all is well', () => {
    expect(checkMany(facts())).toEqual([])
  })

  it.each([
    ['L1', 'something is left after the end', (f: any) => f.store.left.push({ what: 'waits', id: 'a' })],
    ['S1', 'an acknowledged signal is not there', (f: any) => f.store.mailbox.pop()],
    ['S9', 'a job went on without its signal', (f: any) => Object.assign(f.store.mailbox[0], { taken_by: null })],
    ['S9', 'what happens once was begun again', (f: any) => f.ledger.push({ ...f.ledger[0], attempt: 2 })],
    [
      'S7',
      'a job was taken from a worker that went on renewing its lease',
      (f: any) => Object.assign(f.workers[0], { lease_until: 100_001 + LEASE_MS }),
    ],
  ])('%s: %s', (invariant, _what, spoil) => {
    const wrong = facts()
    spoil(wrong)
    expect(checkMany(wrong).map((violation) => violation.invariant)).toEqual([invariant])
  })

  it('a signal that was refused may be missing', () => {
    const refused = facts()
    refused.journal[0].status = 409
    refused.store.mailbox = []
    expect(checkMany(refused)).toEqual([])
  })
})
