/** The story of a job, put together from its parts in one voice. Pure. */
import type { Voice, WireStory } from '../../core/wire-story.js'
import type { Facts } from './facts.js'
import { happened } from './happened.js'
import { momentOf } from './moment.js'
import { actOf, nextOf, whyOf } from './next.js'
import { effectsOf, resumeOf } from './resume.js'
import { say } from './voices.js'
import { iso } from './words.js'

/** @param hears the voices that the reader may hear; the others are null */
export function storyOf(facts: Facts, voice: Voice, hears: readonly Voice[]): WireStory {
  const moment = momentOf(facts)
  const { record, outcome } = facts.job
  const inside = voice === 'support' || voice === 'operator'
  const line = (of: Voice) => (hears.includes(of) ? say(facts, of, moment) : null)
  return {
    jobId: record.id,
    type: record.type,
    asOf: iso(facts.now)!,
    status: facts.status,
    done: outcome !== null,
    voice,
    headline: say(facts, voice, moment),
    happened: happened(facts, voice),
    why: whyOf(facts, moment, voice),
    next: nextOf(facts, moment, voice),
    act: actOf(facts, moment, voice),
    effects: inside ? effectsOf(facts) : [],
    resume: resumeOf(facts, voice),
    voices: {
      caller: say(facts, 'caller', moment),
      endUser: say(facts, 'endUser', moment),
      support: line('support'),
      operator: line('operator'),
    },
  }
}
