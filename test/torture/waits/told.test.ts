/** What a waiter was told is judged: first a telling that is right, then each kind of wrong. */
import { describe, expect, it } from 'vitest'
import { Told } from './told.mjs'

type Found = { invariant: string; text: string }
const at = (version: number, status: string, done = false, id = 'j') => ({ id, version, status, done })

function judged(tell: (told: Told) => void, ids = ['j']) {
  const found: Found[] = []
  const told = new Told('watch 1', ids, (one: Found) => found.push(one))
  tell(told)
  told.close()
  return found
}

describe('what a waiter was told', () => {
  it('finds nothing in a telling that is right', () => {
    const found = judged(
      (told) => {
        expect(told.hear(at(1, 'accepted'))).toBe(false)
        // Progress: another snapshot of the same version.
        expect(told.hear(at(2, 'processing'))).toBe(false)
        expect(told.hear(at(2, 'processing'))).toBe(false)
        expect(told.hear(at(3, 'completed', true))).toBe(true)
        told.compare(at(3, 'completed', true))
        expect(told.missing).toEqual(['k'])
        expect(told.hear({ id: 'k', version: null, status: 'failed', done: true })).toBe(true)
        told.compare(at(7, 'failed', true, 'k'))
      },
      ['j', 'k'],
    )
    expect(found).toEqual([])
  })

  const wrongs: [what: string, invariant: string, tell: (told: Told) => void][] = [
    ['an end that is never told', 'T1', (told) => told.hear(at(2, 'processing'))],
    ['a job that was not asked for', 'T1', (told) => told.hear(at(2, 'processing', false, 'other'))],
    ['an end that is told twice', 'T2', (told) => [1, 2].map(() => told.hear(at(3, 'completed', true)))],
    [
      'news after the end',
      'T2',
      (told) => [at(3, 'completed', true), at(4, 'processing')].map((one) => told.hear(one)),
    ],
    ['a version that goes back', 'V2', (told) => [at(2, 'processing'), at(1, 'accepted')].map((one) => told.hear(one))],
    ['an end that reading denies', 'V3', (told) => endThenRead(told, at(3, 'processing'))],
    ['an end of another status', 'V3', (told) => endThenRead(told, at(3, 'failed', true))],
    ['an end of another version', 'V3', (told) => endThenRead(told, at(4, 'completed', true))],
  ]
  it.each(wrongs)('names %s (%s)', (_what, invariant, tell) => {
    expect(judged(tell).map((one) => one.invariant)).toContain(invariant)
  })
})

function endThenRead(told: Told, read: ReturnType<typeof at>) {
  told.hear(at(3, 'completed', true))
  told.compare(read)
}
