/**
 * storeConformance: the specification of a store, as tests. One file per capability; every store runs all of it, and
 * what one cannot do is a declared entry in `skip`, with a reason that is printed. Needs vitest, so it is entered by
 * tests only and is no part of `untildone/testing`.
 */
import { afterAll, afterEach, describe, it } from 'vitest'
import type { StoreFactory } from '../../stores/store.js'
import { approvalTests } from './approvals.js'
import { Bench } from './bench.js'
import { callbackTests } from './callbacks.js'
import { childTests } from './children.js'
import { claimTests } from './claim.js'
import { commitTests } from './commit.js'
import { compensatingTests } from './compensating.js'
import { dispatchTests } from './dispatch.js'
import { effectTests } from './effects.js'
import { expireTests } from './expire.js'
import { failureTests } from './failures.js'
import { fileTests } from './files.js'
import { historyTests } from './history.js'
import { keyTests } from './keys.js'
import { ledgerTests } from './ledger.js'
import { limitPropertyTests } from './limit-property.js'
import { limitTests } from './limits.js'
import { linkTests } from './links.js'
import { listTests } from './lists.js'
import { moveTests } from './move.js'
import { pauseTests } from './pauses.js'
import { raceTests } from './races.js'
import { rateTests } from './rates.js'
import { recordTests } from './record.js'
import { scheduleTests } from './schedules.js'
import { signalTests } from './signals.js'
import { submitTests } from './submit.js'
import { uniqueTests } from './unique.js'
import { waitTests } from './waits.js'
import { webhookTests } from './webhooks.js'
import { workerTests } from './workers.js'
import { writerTests } from './writers.js'
import { hangingTests } from './writers-hanging.js'
import { upkeepTests } from './writers-upkeep.js'

export interface Skip {
  reason: string
  /** Full names: `capability › test`, or `capability › *` for all of them. */
  tests: readonly string[]
}

/** How the files declare tests: each gets a fresh, open store that is closed afterwards. */
export interface Suite {
  test(name: string, run: (bench: Bench) => Promise<void>): void
}

/** Some make hundreds of commits, and a machine may be ten times slower than another. */
const TIMEOUT_MS = 90_000

const CAPABILITIES: Record<string, (suite: Suite) => void> = {
  submit: submitTests,
  unique: uniqueTests,
  claim: claimTests,
  dispatch: dispatchTests,
  limits: (suite) => {
    limitTests(suite)
    rateTests(suite)
  },
  'limits at random': limitPropertyTests,
  pauses: pauseTests,
  move: moveTests,
  races: raceTests,
  record: recordTests,
  waits: waitTests,
  signals: signalTests,
  children: childTests,
  effects: effectTests,
  compensating: compensatingTests,
  ledger: ledgerTests,
  approvals: approvalTests,
  history: historyTests,
  callbacks: callbackTests,
  links: linkTests,
  lists: listTests,
  files: fileTests,
  keys: keyTests,
  schedules: scheduleTests,
  webhooks: webhookTests,
  failures: failureTests,
  workers: workerTests,
  expire: expireTests,
  commit: commitTests,
  'several writers': (suite) => {
    writerTests(suite)
    upkeepTests(suite)
    hangingTests(suite)
  },
}

/**
 * @param fresh makes the factory of a new, empty database; opening that factory twice finds the same data
 */
export function storeConformance(
  name: string,
  fresh: () => StoreFactory,
  options: { skip?: readonly Skip[] } = {},
): void {
  const skips = new Map((options.skip ?? []).flatMap(({ reason, tests }) => tests.map((test) => [test, reason])))
  const met = new Set<string>()
  describe(name, () => {
    for (const [capability, declare] of Object.entries(CAPABILITIES)) {
      describe(capability, () => {
        let bench: Bench | null = null
        afterEach(async () => {
          await bench?.close()
          bench = null
        })
        declare({
          test(title, run) {
            const skip = [`${capability} › ${title}`, `${capability} › *`].find((test) => skips.has(test))
            if (skip !== undefined) {
              met.add(skip)
              it(title, (context) => context.skip(skips.get(skip)))
              return
            }
            const tested = async () => {
              bench = await Bench.open(fresh())
              await run(bench)
            }
            it(title, tested, TIMEOUT_MS)
          },
        })
      })
    }
    afterAll(() => {
      for (const [test, reason] of skips) {
        if (!met.has(test)) throw new Error(`storeConformance: there is no test "${test}" to skip.`)
        console.warn(`${name}: skipped "${test}": ${reason}`)
      }
    })
  })
}
