/**
 * What a job leaves behind: the effects that must happen once, as far as they are known, and where it would go on. Pure;
 * claims nothing that no row says.
 */
import type { Voice, WireStory, WireStoryEffect } from '../../core/wire-story.js'
import type { EffectRow, StepRow } from '../../stores/store.js'
import { errorOf, type Facts, queueOf, stageOf } from './facts.js'
import { count, quoted } from './words.js'

/** More would help nobody; the list of steps has them all. */
const SHOWN = 200

export function effectsOf({ detail, job: { live } }: Facts): WireStoryEffect[] {
  if (!detail) return []
  const steps = detail.steps.filter(({ effect }) => effect === 'once')
  const known = new Set(steps.map(({ key }) => key))
  return [
    ...steps.map(ofStep),
    // An entry without a step counts what was undone of the operation.
    ...detail.effects
      .filter(({ step }) => step !== '' && !known.has(step))
      .map((row) => ofLedger(row, live?.worker != null)),
  ]
}

function ofStep({ key, undo }: StepRow): WireStoryEffect {
  const step = quoted(key)
  if (undo === 'undone') return { step: key, state: 'undone', text: `${step} happened and was undone.` }
  if (undo === 'by-hand')
    return { step: key, state: 'by-hand', text: `${step} happened; its undoing was seen to by hand.` }
  if (undo === 'reused')
    return { step: key, state: 'happened', text: `${step} happened in an earlier job; its result is used.` }
  return { step: key, state: 'happened', text: `${step} happened.` }
}

/** Begun without a recorded end: while the attempt runs it may be under way; afterwards nobody knows. */
function ofLedger({ step, state }: EffectRow, running: boolean): WireStoryEffect {
  const name = quoted(step)
  if (state === 'happened') return { step, state, text: `${name} happened.` }
  if (state === 'absent') return { step, state: 'not-happened', text: `${name} has not happened.` }
  const text = running
    ? `${name} was begun; its outcome is not recorded yet.`
    : `Whether ${name} happened is not known.`
  return { step, state: 'unknown', text }
}

/** What is read from the record on the next attempt, in order. */
function recordedSteps({ detail }: Facts): string[] {
  return (detail?.steps ?? [])
    .filter(({ key, kind }) => kind !== 'decision' && !key.endsWith('#url'))
    .map(({ key }) => key)
}

export function resumeOf(facts: Facts, voice: Voice): WireStory['resume'] {
  if (voice === 'caller' || voice === 'endUser') return null
  const { live, outcome } = facts.job
  const steps = recordedSteps(facts)
  const stage = stageOf(facts)?.name ?? null
  if (outcome) {
    const step = outcome.status === 'completed' ? null : errorOf(facts)?.step
    const where = step ? `It ended in step ${quoted(step)}` : 'It has ended'
    const kept =
      steps.length > 0 && outcome.status !== 'completed'
        ? `; ${count(steps.length, 'step is', 'steps are')} on record for a replay`
        : ''
    return { from: `${where} and does not go on${kept}.`, reusedSteps: steps.slice(0, SHOWN), stage, queue: null }
  }
  return { from: fromWhere(facts, steps), reusedSteps: steps.slice(0, SHOWN), stage, queue: live && queueOf(facts) }
}

function fromWhere({ job: { live }, detail }: Facts, steps: readonly string[]): string {
  if (live!.state === 'compensating' || live!.why?.undo) {
    const due = detail?.steps.filter(({ undo }) => undo === 'due').sort((a, b) => b.endedAt - a.endedAt) ?? []
    return due.length === 0
      ? 'With its end: nothing is left to undo.'
      : `With the undoing of ${quoted(due[0]!.key)}; ${count(due.length, 'step')} to undo.`
  }
  if (steps.length === 0) return 'At its beginning; nothing is recorded yet.'
  return `After ${quoted(steps.at(-1)!)}: ${count(steps.length, 'recorded step is', 'recorded steps are')} not done again.`
}
