/**
 * Compares what a later attempt did with what it should have done: ask for every recorded step, run none of them again,
 * return the same, and do each effect once. Says how two runs differ; explain.ts finds out why.
 */
import type { Attempt, Call, Effect } from './attempt.js'
import type { Findings } from './findings.js'
import { differenceOf, show } from './json.js'
import { textOf } from './place.js'
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
  if (!last || (run.plan.fail !== undefined && run.attempts.length === 1)) return null
  const earlier = run.attempts.slice(0, -1)
  if (endOf(run) === endOf(plain))
    for (const attempt of earlier) {
      const found = branches(attempt, last)
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

function branches(earlier: Attempt, last: Attempt): Deviation | null {
  const recorded = earlier.calls.filter(({ state }) => state === 'resolved')
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
  const after = last.calls.filter(({ key }) => earlier.asked.get(key)?.state === 'resolved')
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

/** Checks of one run by itself. */
export function judge(run: Done, findings: Findings): void {
  swallowed(run, findings)
  ranAgain(run, findings)
  const judged = repeatedEffects(run, findings)
  unstableValues(run, findings, judged)
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

/** A promise of the product, checked here as well. */
function ranAgain({ attempts }: Done, findings: Findings): void {
  for (const [i, attempt] of attempts.entries())
    for (const call of attempt.calls) {
      const before = attempts.slice(0, i).some(({ asked }) => asked.get(call.key)?.state === 'resolved')
      if (!before || !call.ran) continue
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
function repeatedEffects({ attempts, effects }: Done, findings: Findings): Set<string> {
  const judged = new Set<string>()
  for (const again of attempts.slice(1).flatMap(({ calls }) => calls)) {
    const attempt = attempts.find(({ calls }) => calls.includes(again))!
    if (!again.ran || again.state !== 'resolved') continue
    const here = effects.filter(({ call }) => call === again)
    const before = effects.filter(({ call, attempt: n }) => call?.key === again.key && n < attempt.number)
    for (const effect of before) {
      const twin = here.find(({ what, key }) => what === effect.what && key === effect.key)
      if (twin && twin.key !== undefined) continue
      const other = twin ?? here.find(({ what }) => what === effect.what)
      judged.add(again.key)
      findings.add(other && effect.key !== undefined ? otherKey(attempts, again, effect, other) : noKey(again, effect))
    }
  }
  return judged
}

function otherKey(attempts: readonly Attempt[], call: Call, was: Effect, is: Effect) {
  const source = sourceOf(attempts, String(was.key), String(is.key))
  const from = source ? ` The key comes from ${source.source} at ${textOf(source.place)}, outside a step.` : ''
  return {
    kind: 'effect-key-differs' as const,
    place: is.place,
    step: call.key,
    what: `${is.what} in "${call.key}" was called with the key ${show(was.key)}, and with ${show(is.key)} when the step ran again`,
    fix: `The far side takes them for two effects.${from} Hand it the key of the step: job.step('…', ({ key }) => …).`,
  }
}

function noKey(call: Call, effect: Effect) {
  return {
    kind: 'effect-repeated' as const,
    place: effect.place,
    step: call.key,
    what: `${effect.what} in "${call.key}" was done before the process died, and was not recognised when the step ran again`,
    fix: "Without the same idempotency key the far side does it twice. Hand it the key of the step: job.step('…', ({ key }) => …).",
  }
}

/** A value made outside that went into a step that ran again: the step did two different things. */
function unstableValues({ attempts }: Done, findings: Findings, judged: ReadonlySet<string>): void {
  const [first, ...later] = attempts
  for (const was of first?.calls ?? [])
    for (const attempt of later) {
      const is = attempt.asked.get(was.key)
      if (was.made === null || !is || is.made === null || was.made === is.made || judged.has(was.key)) continue
      const source = sourceOf([first!, attempt], was.made, is.made)
      if (!source) continue
      findings.add({
        kind: 'unstable-value',
        place: source.place,
        step: was.key,
        what: `${source.source} is used outside a step and reaches ${was.method} "${was.key}", which did something else when it ran again`,
        fix: "Make the value in a step of its own: const value = await job.step('…', () => …).",
      })
    }
}

/** The value of clock or chance that both texts hold, each from its own attempt. */
function sourceOf(attempts: readonly Attempt[], was: string, is: string) {
  const holds = (text: string) => (part: string) => part.length >= 8 && text.includes(part)
  const uses = attempts.flatMap(({ uses }) => uses)
  return uses.find(
    ({ source, place, texts }) =>
      texts.some(holds(was)) &&
      uses.some((use) => use.source === source && textOf(use.place) === textOf(place) && use.texts.some(holds(is))),
  )
}
