/**
 * Three bugs on purpose, planted around the library and never in it, to show that the checker finds them.
 */
import { over } from './seams.mjs'

export const BUGS = ['acknowledge before commit', 'finish without epoch', 'step announced before its record']

export function planted(bug, store) {
  if (bug === 'acknowledge before commit') {
    return over(store, {
      submit(jobs) {
        store.submit(jobs).catch(() => undefined)
        return Promise.resolve(jobs.map(({ record }) => ({ outcome: 'created', jobId: record.id })))
      },
    })
  }
  if (bug === 'finish without epoch') {
    return over(store, {
      move: (move) => store.move(move.known ? { ...move, decide: (live, now) => unfenced(move, live, now) } : move),
    })
  }
  if (bug === 'step announced before its record') {
    return over(store, {
      record(record) {
        const stored = store.record(record)
        stored.catch(() => undefined)
        return record.steps?.length ? Promise.resolve(true) : stored
      },
    })
  }
  if (bug) throw new Error(`There is no planted bug "${bug}".`)
  return store
}

/** The decision that the state machine makes when nobody compares epochs. */
function unfenced({ decide, known }, live, now) {
  const decision = decide({ ...live, epoch: known.epoch }, now)
  if (!decision.ok) return decision
  const { epoch } = live
  return {
    ...decision,
    from: live,
    live: decision.live && { ...decision.live, epoch },
    outcome: decision.outcome && { ...decision.outcome, epoch },
    attempt: decision.attempt && { ...decision.attempt, epoch },
    history: { ...decision.history, epoch },
  }
}
