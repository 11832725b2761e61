import { expect, it } from 'vitest'
import { isRace, isStale } from './connections.js'

it('a transaction that is over without a known reason is done again, on another connection', () => {
  const over = Object.assign(new Error('current transaction is aborted'), { code: '25P02' })
  expect(isRace(over)).toBe(true)
  expect(isStale(over)).toBe(true)
})
