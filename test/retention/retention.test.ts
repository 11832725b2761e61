/** The short form of `npm run retention`: the file stops growing, and what expired says so. */
import { expect, it } from 'vitest'
import { createUntildone, defineJob, LOCAL, sqlite } from '../../src/index.js'
import { waves } from './waves.mjs'

it('the file stops growing while jobs come and go, and an expired job says that it existed', async () => {
  const found = await waves({ createUntildone, defineJob, LOCAL, sqlite }, { jobs: 20_000, waves: 10 })
  const sizes = found.rounds.map(({ bytes }) => bytes)
  expect(sizes.at(-1)).toBeLessThanOrEqual(sizes[3]! * 1.1)
  expect(found.rounds.at(-1)!.walBytes).toBeLessThan(16 * 1024 * 1024)
  expect(found.expired).toMatchObject({ code: 'job-expired', params: { finalStatus: 'completed' } })
  expect(found.key).toMatchObject({ code: 'job-expired' })
  expect(found.later).toBe('accepted')
}, 120_000)
