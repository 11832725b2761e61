// The book of pauses, where several commits of a process are under way at a time.
import { expect, it } from 'vitest'
import { laneOf } from '../../core/job.js'
import { PauseBook } from './pauses.js'
import { Asked } from './plan.js'

const LANE = laneOf('default', 't', 'default')
const PAUSED = [{ tenant: 'default', kind: 'type', name: 't' }]

it('what one transaction has asked is no answer for another', () => {
  const book = new PauseBook(false)
  const claim = book.paused(new Asked(PAUSED))
  claim.next()
  const told = claim.next(PAUSED)
  expect(told.done && told.value(LANE)).toBe(true)
  const other = book.paused()
  expect(other.next().value).toMatchObject({ sql: expect.stringContaining('from pauses') })
  const answer = other.next([])
  expect(answer.done && answer.value(LANE)).toBe(false)
})

it('what was paused lately is remembered as a hint, until it is known that something changed', () => {
  const book = new PauseBook(false)
  expect(book.lately()(LANE)).toBe(false)
  const claim = book.paused(new Asked(PAUSED))
  claim.next()
  claim.next(PAUSED)
  expect(book.lately()(LANE)).toBe(true)
  book.forget()
  expect(book.lately()(LANE)).toBe(false)
})
