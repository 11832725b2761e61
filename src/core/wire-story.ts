/**
 * The story of a job as it travels: what happened, why, what happens next, who must act, told in one of four voices.
 * Types, and the list of voices.
 */
import type { Status } from './job.js'

/**
 * Whom a sentence is for. `caller`: the program or person that submitted the job. `endUser`: whoever waits for its result.
 * `support`: who answers the end user. `operator`: who keeps the system running.
 */
export const VOICES = ['caller', 'endUser', 'support', 'operator'] as const
export type Voice = (typeof VOICES)[number]

/** Who has to do something before the job goes on, or because of how it ended. */
export const ACTORS = ['nobody', 'submitter', 'approver', 'operator', 'outside'] as const
export type WhoActs = (typeof ACTORS)[number]

export interface WireStoryEntry {
  at: string
  text: string
  /** Its place in the history; null for what is recorded elsewhere: steps, decisions, notes. */
  seq: number | null
  /** An open set: `accepted`, `work`, `try`, `step`, `wait`, `decision`, `person`, `undo`, `note`, `end`. */
  kind: string
}

/** A step that must happen only once, and what is known of it. */
export interface WireStoryEffect {
  step: string
  state: 'happened' | 'not-happened' | 'unknown' | 'undone' | 'by-hand'
  text: string
}

export interface WireStory {
  jobId: string
  type: string
  /** The instant for which it is told. */
  asOf: string
  status: Status
  done: boolean
  /** In whose words the rest is told. */
  voice: Voice
  /** What the job is doing, or how it ended, in one sentence. */
  headline: string
  happened: WireStoryEntry[]
  why: string | null
  next: {
    text: string
    /** When it happens by itself; null when that depends on somebody or something. */
    at: string | null
    /** When it is given up if nothing works until then; null when there is no such instant, or the voice does not hear it. */
    giveUpAt: string | null
  }
  act: { who: WhoActs; text: string; href: string | null }
  effects: WireStoryEffect[]
  /** Where it would go on; null for voices that do not hear of steps. */
  resume: { from: string; reusedSteps: string[]; stage: string | null; queue: string | null } | null
  /** The headline in each voice; null for those that this key may not hear. */
  voices: { caller: string; endUser: string; support: string | null; operator: string | null }
}
