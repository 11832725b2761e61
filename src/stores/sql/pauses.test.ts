// The book of pauses, where several commits of a process are under way at a time.
import { expect, it } from 'vitest'
import { laneOf } from '../../core/job.js'
import { PAUSED, PauseBook, pausedOf } from './pauses.js'

const LANE = laneOf('default', 't', 'default')

it('what one transaction has asked is no answer for another', () => {
  const book = new PauseBook(false)
  const asked = pausedOf([{ tenant: 'default', kind: 'type', name: 't' }])
  const claim = book.paused(asked).next()
  expect(claim.done && claim.value(LANE)).toBe(true)
  const other = book.paused()
  expect(other.next().value).toMatchObject({ sql: PAUSED })
  const answer = other.next([])
  expect(answer.done && answer.value(LANE)).toBe(false)
})
