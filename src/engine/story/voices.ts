/**
 * The sentence of a job in one voice: the line of its moment, with what is added to any line. `statusText` is the
 * caller's sentence of this table, and so is every headline: there is no second source.
 */
import { clip } from '../../core/json.js'
import type { Voice } from '../../core/wire-story.js'
import type { Facts } from './facts.js'
import { type Moment, momentOf } from './moment.js'
import { CLIP, LATE, type Lines } from './phrases.js'
import { BLOCKED } from './say-blocked.js'
import { END, LATER, UNDONE } from './say-end.js'
import { OPEN } from './say-open.js'
import { sentence } from './words.js'

const SAID: Record<Moment, Lines> = { ...OPEN, ...BLOCKED, ...END }

/** What waits on purpose is not late in anybody's eyes, and who is told that no worker runs knows enough. */
const MAY_BE_LATE: ReadonlySet<Moment> = new Set<Moment>([
  ...(['stored', 'held', 'inLine', 'running', 'betweenTries', 'timer', 'child', 'compensating'] as const),
])

export function say(facts: Facts, voice: Voice, moment: Moment = momentOf(facts)): string {
  if (facts.job.outcome) return joined(endLine(facts, voice, moment), LATER[voice](facts))
  const late = facts.late && MAY_BE_LATE.has(moment)
  return joined(SAID[moment][voice](facts), late ? LATE[voice](facts) : '')
}

/** How it ended, without what happened to it afterwards. */
export function endLine(facts: Facts, voice: Voice, moment: Moment = momentOf(facts)): string {
  return joined(SAID[moment][voice](facts), UNDONE[voice](facts))
}

function joined(line: string, more: string): string {
  return clip((more === '' ? line : `${sentence(line)} ${more}`).replace(/\s+/g, ' '), CLIP)
}
