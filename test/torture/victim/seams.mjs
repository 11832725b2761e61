/**
 * Where the victim can be killed on purpose. The points hang on seams that the library has anyway: a driver class of
 * one's own, a wrapper around the opened store, one around the engine, and the handlers, which are ours.
 */
import { writeSync } from 'node:fs'
import { asking } from '../lib/plans.mjs'
import { KINDS, WINDOWS } from '../lib/windows.mjs'

/** One JSON line to the harness. Written at once, so that it outlives this process. */
export function report(message) {
  writeSync(3, `${JSON.stringify(message)}\n`)
}

export class Seams {
  #arm
  #left
  starting = true

  /** @param arm `{ window, point, countdown }` or null: which passing of which point is the last one */
  constructor(arm) {
    this.#arm = arm
    this.#left = arm?.countdown ?? 0
  }

  /** The process ends here, with nothing cleaned up, if this is the passing that was drawn. */
  passing = (point) => {
    const arm = this.#arm
    if (arm === null) return
    if (arm.point === null ? !WINDOWS[arm.window].includes(point) : arm.point !== point) return
    this.#left--
    const last = point === 'start:listening' && arm.point === null
    if (this.#left > 0 && !last) return
    report({ killed: arm.window, point })
    process.kill(process.pid, 'SIGKILL')
  }

  /** The driver with a look at what each transaction carries and at both sides of its commit. */
  driver(SqliteDriver) {
    const seams = this
    const { passing } = this
    return class extends SqliteDriver {
      kinds = new Set()
      transact(plan, write) {
        if (!write) return super.transact(plan, write)
        this.kinds = new Set()
        return super.transact(() => watched(plan(), this.kinds, seams), write)
      }
      commit() {
        for (const kind of this.kinds) passing(`${kind}:before-commit`)
        if (seams.starting) passing('start:before-commit')
        super.commit()
        for (const kind of this.kinds) passing(`${kind}:after-commit`)
        if (seams.starting) passing('start:after-commit')
      }
    }
  }

  /** The store as the engine and the worker see it, with a point behind each answer. */
  store(store) {
    const { passing } = this
    return over(store, {
      async submit(jobs) {
        const answers = await store.submit(jobs)
        passing('submit:store-answered')
        return answers
      },
      async claim(request) {
        const claimed = await store.claim(request)
        if (claimed.length > 0) passing('claim:store-answered')
        return claimed
      },
      async record(record) {
        const held = await store.record(record)
        if (held && record.steps?.length) passing('step:store-answered')
        return held
      },
      async move(move) {
        const moved = await store.move(move)
        if (moved.outcome === 'moved' && moved.decision.outcome) passing('finish:store-answered')
        return moved
      },
    })
  }

  engine(engine) {
    const { passing } = this
    const behind =
      (name) =>
      async (...args) => {
        const answer = await engine[name](...args)
        passing('submit:engine-answered')
        return answer
      }
    return over(engine, { submit: behind('submit'), submitBatch: behind('submitBatch') })
  }
}

/** `target` with some members replaced. */
export function over(target, members) {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(members, name)) return members[name]
      const value = target[name]
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** The same plan; notes which kinds of work its statements do. */
function watched(plan, kinds, seams) {
  return asking(plan, function* (statement) {
    const answer = yield statement
    const kind = statement.params?.length > 0 && KINDS.find(([, pattern]) => pattern.test(statement.sql))?.[0]
    if (kind) {
      kinds.add(kind)
      seams.passing(`${kind}:begun`)
    }
    if (seams.starting) seams.passing('start:begun')
    return answer
  })
}
