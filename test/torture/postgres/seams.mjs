/**
 * The points of a process that shares a PostgreSQL with others. They hang on a driver class of one's own, a wrapper around
 * the opened store, one around the engine, and the handlers. Armed at any time; the process is killed there, or stopped.
 */
import { asking } from '../lib/plans.mjs'
import { over, report } from '../victim/seams.mjs'
import { KINDS } from './windows.mjs'

export class Seams {
  /** `{ points, countdown, how }`: which passing of which points ends or stops this process. */
  arm = null

  passing = (point) => {
    const { arm } = this
    if (arm === null || !arm.points.includes(point) || --arm.countdown > 0) return
    this.arm = null
    report({ reached: point, how: arm.how })
    process.kill(process.pid, arm.how === 'stop' ? 'SIGSTOP' : 'SIGKILL')
  }

  /** The driver with a look at what each transaction carries. A connection carries one at a time. */
  driver(PostgresDriver) {
    const seams = this
    const kinds = new WeakMap()
    return class extends PostgresDriver {
      drive(plan, client, sent) {
        const seen = new Set()
        kinds.set(client, seen)
        return super.drive(watched(plan, seen, seams), client, sent)
      }
      async commit(client) {
        const seen = kinds.get(client) ?? new Set()
        for (const kind of seen) seams.passing(`${kind}:before-commit`)
        const answer = super.commit(client)
        if (seams.arm !== null) {
          // It has left this process, and nothing has come back.
          answer.catch(() => {})
          await new Promise(setImmediate)
          for (const kind of seen) seams.passing(`${kind}:commit-sent`)
        }
        const result = await answer
        for (const kind of seen) seams.passing(`${kind}:after-commit`)
        return result
      }
    }
  }

  store(store) {
    const { passing } = this
    const behind = (name, point, matters) => async (input) => {
      const answer = await store[name](input)
      if (matters(answer, input)) passing(point)
      return answer
    }
    return over(store, {
      submit: behind('submit', 'submit:store-answered', () => true),
      claim: behind('claim', 'claim:store-answered', (claimed) => claimed.length > 0),
      record: behind('record', 'step:store-answered', (held, { steps }) => held && steps?.length > 0),
      move: behind('move', 'finish:store-answered', ({ outcome, decision }) => outcome === 'moved' && decision.outcome),
    })
  }

  engine(engine) {
    const behind =
      (name) =>
      async (...args) => {
        const answer = await engine[name](...args)
        this.passing('submit:engine-answered')
        return answer
      }
    return over(engine, { submit: behind('submit'), submitBatch: behind('submitBatch') })
  }
}

/** The same plan; notes which kinds of work its statements do. */
function watched(plan, seen, seams) {
  return asking(plan, function* (step) {
    const answer = yield step
    const kind = step.params?.length > 0 && KINDS.find(([, pattern]) => pattern.test(step.sql))?.[0]
    if (kind) {
      seen.add(kind)
      seams.passing(`${kind}:begun`)
    }
    return answer
  })
}
