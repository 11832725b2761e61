/**
 * Finds out why a run deviates and says it: clock or chance (proved by holding them and running again), a value changed
 * inside a step, a read that gave something else, or else something that lives outside the job.
 */

import type { Plan, Use } from './attempt.js'
import type { Found } from './findings.js'
import { show } from './json.js'
import { type Deviation, deviationOf, readsThatChanged } from './judge.js'
import { same } from './place.js'
import type { Done } from './run.js'

/** At most so many places are held, one after the other. */
const CANDIDATES = 8

export async function explain(
  run: Done,
  plain: Done,
  deviation: Deviation,
  again: (plan: Plan) => Promise<Done>,
): Promise<Found> {
  const source = await unstableSource(run, plain, again)
  if (source) return unstable(source, deviation)
  const mutation = plain.attempts.flatMap(({ mutations }) => mutations)[0]
  if (mutation && (deviation.kind === 'result' || deviation.kind === 'end'))
    return {
      kind: 'mutated-value',
      place: mutation.by.place,
      step: mutation.by.key,
      what: `the function of "${mutation.by.key}" changed the value of "${mutation.changed}", which the result depends on`,
      fix: `Once "${mutation.by.key}" is recorded its function does not run again, and the change is missing. Return the new value from the step.`,
    }
  return other(run, deviation)
}

/** The place of clock or chance whose values alone make the difference; null when it is not that. */
async function unstableSource(run: Done, plain: Done, again: (plan: Plan) => Promise<Done>): Promise<Use | null> {
  const candidates: Use[] = []
  for (const use of run.attempts.at(-1)?.uses ?? [])
    if (!candidates.some(({ place }) => same(place, use.place))) candidates.push(use)
  if (candidates.length === 0) return null
  const heals = async (at: (place: Use['place']) => boolean) => {
    const held = await again({ ...run.plan, hold: { at, tape: plain.tape } })
    return deviationOf(held, plain) === null
  }
  for (const use of candidates.slice(0, CANDIDATES)) if (await heals((place) => same(place, use.place))) return use
  return candidates.length > 1 && (await heals(() => true)) ? candidates[0]! : null
}

function unstable({ source, place }: Use, deviation: Deviation): Found {
  const reaches: Record<Deviation['kind'], () => string> = {
    missing: () => `decides which steps are asked for: ${asked(deviation)}`,
    method: () => `decides which steps are asked for: ${asked(deviation)}`,
    order: () => `decides the order of steps: ${asked(deviation)}`,
    result: () => `reaches the result: ${asked(deviation)}`,
    end: () => `decides how the job ends: ${asked(deviation)}`,
  }
  return {
    kind: 'unstable-value',
    place,
    step: stepOf(deviation),
    what: `${source} is used outside a step and ${reaches[deviation.kind]()}`,
    fix: "It is another one in every attempt. Make the value in a step of its own: const value = await job.step('…', () => …).",
  }
}

const KINDS = {
  missing: 'different-branch',
  method: 'other-kind',
  order: 'other-order',
  result: 'result-differs',
  end: 'result-differs',
} as const

function other(run: Done, deviation: Deviation): Found {
  const reads = readsThatChanged(run)
  const cause =
    reads.length > 0
      ? `job.read ${reads.join(', ')} gave something else the second time, perhaps because of a step in between: decide inside a step what the read decides now, so that the decision is recorded.`
      : 'Code between steps runs again in every attempt and must depend on nothing but the input and the values of steps: look for variables of the module, variables that a step sets, and job.attempt.'
  const place = 'call' in deviation ? deviation.call.place : (run.attempts.at(-1)?.last ?? null)
  const where = 'call' in deviation || place === null ? '' : '; the line given is its last call of job before that'
  return {
    kind: KINDS[deviation.kind],
    place,
    step: stepOf(deviation),
    what: `${asked(deviation)}${where}`,
    fix: cause,
  }
}

function asked(deviation: Deviation): string {
  switch (deviation.kind) {
    case 'missing': {
      const { call, instead } = deviation
      const rather = instead ? `, and "${instead.key}" is` : ''
      return `${call.method} "${call.key}" was recorded and is not asked for when the handler runs again${rather}`
    }
    case 'method':
      return `"${deviation.call.key}" was recorded by ${deviation.was.method} and is asked for with ${deviation.call.method} when the handler runs again`
    case 'order':
      return `"${deviation.call.key}" is asked for before "${deviation.other.key}" when the handler runs again, and was recorded after it`
    case 'result':
      return `the result is another one when the handler runs again: at ${deviation.path || 'the top'} ${show(deviation.was)} became ${show(deviation.is)}`
    case 'end':
      return `the job ends differently when the handler runs again: ${deviation.was} became ${deviation.is}`
  }
}

function stepOf(deviation: Deviation): string | null {
  return 'call' in deviation ? deviation.call.key : null
}
