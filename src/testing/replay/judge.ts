/**
 * Compares what a later attempt did with what it should have done: ask for every recorded step, run none of them again,
 * return the same, and do each effect once. Says how two runs differ; explain.ts finds out why.
 */
import type { Attempt, Call, Effect } from './attempt.js'
import type { Findings, Found } from './findings.js'
import { differenceOf, show } from './json.js'
import type { Done } from './run.js'

export type Deviation =
  /** A recorded step that the last attempt did not ask for, and a new one that it did ask for. */
  | { kind: 'missing'; call: Call; instead: Call | null }
  | { kind: 'method'; call: Call; was: Call }
  | { kind: 'order'; call: Call; other: Call }
  | { kind: 'result'; path: string; was: unknown; is: unknown }
  | { kind: 'end'; was: string; is: string }

/** How the last attempt of a run deviates from the attempts before it, and from the plain run; null when it does not. */
export function deviationOf(run: Done, plain: Done): Deviation | null {
  const last = run.attempts.at(-1)
  // An error in the last attempt is an end like any other.
  if (!last || last.calls.some(({ failed }) => failed)) return null
  const earlier = run.attempts.slice(0, -1)
  if (endOf(run) === endOf(plain))
    for (const attempt of earlier) {
      const found = branches(attempt, last, run.suspended.has(attempt.number))
      if (found) return found
    }
  for (const attempt of earlier) {
    const found = results(attempt, last)
    if (found) return found
  }
  if (endOf(run) !== endOf(plain)) return { kind: 'end', was: endOf(plain), is: endOf(run) }
  const reference = plain.attempts.at(-1)
  return reference && sameValues(reference, last) ? results(reference, last) : null
}

export function endOf({ job, unfinished, attempts }: Done): string {
  if (unfinished !== null) return `not ended: ${unfinished}`
  if (job.status === 'completed' && attempts.at(-1)?.returned === undefined)
    return `completed with ${show(job.result)} after an error`
  if (job.status === 'blocked') return `blocked: ${job.blockedOn.map(({ title }) => title).join(', ')}`
  return job.error ? `${job.status} (${job.error.code}: ${job.error.message})` : job.status
}

function branches(earlier: Attempt, last: Attempt, suspended: boolean): Deviation | null {
  // What an attempt waited for when it came to a stop is stored as well.
  const recorded = earlier.calls.filter(
    ({ state, waits }) => state === 'resolved' || (suspended && waits && state === 'waiting'),
  )
  for (const was of recorded) {
    const call = last.asked.get(was.key)
    if (call && call.method !== was.method) return { kind: 'method', call, was }
    // Inside a branch that was not taken again, because it is recorded as a whole, nothing is asked for.
    if (!call && last.entered.has(was.scope)) {
      const instead = last.calls.find(({ key, scope }) => scope === was.scope && !earlier.asked.has(key))
      return { kind: 'missing', call: was, instead: instead ?? null }
    }
  }
  if (!earlier.sequential || !last.sequential) return null
  const before = recorded.filter(({ key }) => last.asked.has(key))
  const after = last.calls.filter(({ key }) => before.some((was) => was.key === key))
  const i = before.findIndex(({ key }, i) => after[i]?.key !== key)
  return i === -1 || !after[i] ? null : { kind: 'order', call: after[i], other: before[i]! }
}

function results(was: Attempt, is: Attempt): Deviation | null {
  if (!was.returned || !is.returned) return null
  const found = differenceOf(was.returned.value, is.returned.value)
  return found && { kind: 'result', ...found }
}

/** A step that ran again may have another value, and the result with it. */
function sameValues(a: Attempt, b: Attempt): boolean {
  return a.calls.every(({ key, json }) => b.asked.get(key)?.json === json)
}

/** Reads that gave something else in the last attempt. */
export function readsThatChanged(run: Done): string[] {
  const last = run.attempts.at(-1)!
  const changed = run.attempts
    .slice(0, -1)
    .flatMap(({ reads }) =>
      [...reads].filter(([key, json]) => last.reads.has(key) && last.reads.get(key) !== json).map(([key]) => key),
    )
  return [...new Set(changed)].map((key) => `"${key.replace(/^read \/?/, '')}"`)
}

/** What looks as if a value made outside had gone into a step; explain.ts proves it or drops it. */
export type Suspicion =
  /** The same effect with two keys. */
  | { kind: 'key'; call: Call; was: Effect; is: Effect }
  /** A step that gave something else when it ran again. */
  | { kind: 'value'; call: Call }

/** Checks of one run by itself. Gives what needs another run to be sure of. */
export function judge(run: Done, findings: Findings): Suspicion[] {
  swallowed(run, findings)
  ranAgain(run, findings)
  const keys = repeatedEffects(run, findings)
  return [...keys, ...otherValues(run).filter(({ call }) => !keys.some((key) => key.call.key === call.key))]
}

function swallowed({ attempts }: Done, findings: Findings): void {
  for (const { calls, returned } of attempts) {
    const call = calls.find(({ failed }) => failed)
    if (!call || !returned) continue
    findings.add({
      kind: 'swallowed-error',
      place: call.place,
      step: call.key,
      what: `the error of ${call.method} "${call.key}" was caught and the handler returned as if nothing had happened`,
      fix: 'The step is not tried again, and a cancel or a time limit is taken for a failed step. Throw the error on, or put the try into the function of the step; what may fail for good is told apart by its class: if (!(error instanceof Permanent)) throw error.',
    })
  }
}

const WALKED = new Set(['job.stage', 'job.first'])

/** A promise of the product, checked here as well. */
function ranAgain({ attempts }: Done, findings: Findings): void {
  for (const [i, attempt] of attempts.entries())
    for (const call of attempt.calls) {
      const before = attempts.slice(0, i).some(({ asked }) => asked.get(call.key)?.state === 'resolved')
      // While it is undone, what is inside stages and engines is walked through again.
      if (!before || !call.ran || WALKED.has(call.method)) continue
      findings.add({
        kind: 'ran-again',
        place: call.place,
        step: call.key,
        what: `${call.method} "${call.key}" ran again although it was recorded`,
        fix: 'A recorded step must not run again; please report this.',
      })
    }
}

/** Steps that ran twice, because the process died before the record: each effect must have been done with the same key. */
function repeatedEffects({ attempts, effects }: Done, findings: Findings): Suspicion[] {
  const suspicions: Suspicion[] = []
  for (const { number, calls, items } of attempts.slice(1))
    for (const call of [...calls, ...items]) {
      if (!call.ran || call.state !== 'resolved') continue
      const here = effects.filter((effect) => effect.call === call)
      for (const was of effects.filter((effect) => effect.call?.key === call.key && effect.attempt < number)) {
        const is = here.find(({ what, key }) => what === was.what && key === was.key)
        if (is && is.key !== undefined) continue
        const other = is ?? here.find(({ what }) => what === was.what)
        if (other && was.key !== undefined) suspicions.push({ kind: 'key', call, was, is: other })
        else findings.add(notRecognised(call, was))
      }
    }
  return suspicions
}

function notRecognised(call: Call, effect: Effect): Found {
  return {
    kind: 'effect-repeated',
    place: effect.place,
    step: call.key,
    what: `${effect.what} in "${call.key}" was done before the process died, and was not recognised when the step ran again`,
    fix: "Without the same idempotency key the far side does it twice. Hand it the key of the step: job.step('…', ({ key }) => …).",
  }
}

function otherValues({ attempts }: Done): Suspicion[] {
  const made = new Map<string, string>()
  const suspicions: Suspicion[] = []
  for (const call of attempts.flatMap(({ calls, items }) => [...calls, ...items])) {
    if (call.made === null) continue
    if ((made.get(call.key) ?? call.made) !== call.made) suspicions.push({ kind: 'value', call })
    made.set(call.key, call.made)
  }
  return suspicions
}
