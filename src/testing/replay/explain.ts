/**
 * Finds out why a run deviates and says it: clock or chance (proved by holding them and running again), a value changed
 * inside a step, a read that gave something else, or else something that lives outside the job.
 */

import type { Plan, Use } from './attempt.js'
import type { Found } from './findings.js'
import { show } from './json.js'
import { type Deviation, deviationOf, readsThatChanged, type Suspicion } from './judge.js'
import { same, textOf } from './place.js'
import type { Done } from './run.js'

const OF_ITS_OWN =
  "It is another one in every attempt. Make the value in a step of its own: const value = await job.step('…', () => …)."
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

/** What a suspicion comes to; null when nothing was made outside, because a step may give what it likes. */
export async function confirm(
  run: Done,
  plain: Done,
  suspicion: Suspicion,
  again: (plan: Plan) => Promise<Done>,
): Promise<Found | null> {
  const { kind, call } = suspicion
  const textsOf = (one: Done) =>
    kind === 'key'
      ? one.effects.flatMap((effect) => (effect.call?.key === call.key ? [effect.key ?? ''] : []))
      : one.attempts.flatMap(({ asked }) => asked.get(call.key)?.made ?? [])
  const source = await sourceOf(run, plain, textsOf, again)
  if (kind === 'key') return otherKey(suspicion, source)
  return (
    source && {
      kind: 'unstable-value',
      place: source.place,
      step: call.key,
      what: `${source.source} is used outside a step and reaches ${call.method} "${call.key}", which did something else when it ran again`,
      fix: OF_ITS_OWN,
    }
  )
}

function otherKey({ call, was, is }: Suspicion & { kind: 'key' }, source: Use | null): Found {
  const from = source ? ` The key comes from ${source.source} at ${textOf(source.place)}, outside a step.` : ''
  return {
    kind: 'effect-key-differs',
    place: is.place,
    step: call.key,
    what: `${is.what} in "${call.key}" was called with the key ${show(was.key)}, and with ${show(is.key)} when the step ran again`,
    fix: `The far side takes them for two effects.${from} Hand it the key of the step: job.step('…', ({ key }) => …).`,
  }
}

/** The use of clock or chance whose value stands in all these texts. Held, it must stand there again, now the old one. */
async function sourceOf(
  run: Done,
  plain: Done,
  textsOf: (run: Done) => string[],
  again: (plan: Plan) => Promise<Done>,
): Promise<Use | null> {
  const texts = textsOf(run)
  const stands = (use: Use, inAll: readonly string[]) =>
    inAll.length > 1 && use.texts.some((part) => part.length >= 8 && inAll.every((text) => text.includes(part)))
  for (const use of distinct(run.attempts.flatMap(({ uses }) => uses))) {
    const { place } = use
    const here = run.attempts.flatMap(({ uses }) => uses.filter((use) => same(use.place, place)))
    if (!texts.every((text) => here.some((use) => stands(use, [text, text])))) continue
    const held = await again({ ...run.plan, hold: { at: (other) => same(place, other), tape: plain.tape } })
    const old = held.attempts.flatMap(({ uses }) => uses.filter((use) => same(use.place, place)))
    if (old.some((use) => stands(use, textsOf(held)))) return use
  }
  return null
}

function distinct(uses: readonly Use[]): Use[] {
  return uses
    .filter(({ place }, i) => place && uses.findIndex((other) => same(other.place, place)) === i)
    .slice(0, CANDIDATES)
}

/** The place of clock or chance whose values alone make the difference; null when it is not that. */
async function unstableSource(run: Done, plain: Done, again: (plan: Plan) => Promise<Done>): Promise<Use | null> {
  const candidates = distinct(run.attempts.at(-1)?.uses ?? [])
  if (candidates.length === 0) return null
  const heals = async (at: (place: Use['place']) => boolean) => {
    const held = await again({ ...run.plan, hold: { at, tape: plain.tape } })
    return plain.unfinished === null ? deviationOf(held, plain) === null : held.unfinished === null
  }
  for (const use of candidates) if (await heals((place) => same(place, use.place))) return use
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
    fix: OF_ITS_OWN,
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
