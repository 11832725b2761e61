/**
 * What is said while a job waits for somebody: a decision, a review, an answer from outside, the end of a pause. One line
 * per moment and voice.
 */
import { countedApprovals } from '../../core/approval.js'
import { quorumOf } from '../../core/approval-quorum.js'
import { ANY } from '../../core/risk.js'
import { approvalOf, errorOf, type Facts, messageOf, waitName } from './facts.js'
import type { BlockedMoment } from './moment.js'
import { judged, type Lines, saidOf, since } from './phrases.js'
import { clock, list, nameOf, quoted, sentence } from './words.js'

const REQUIRED = 'Action required: '

function titleOf({ job: { live } }: Facts): string {
  return live!.why?.wait?.title || 'waiting for somebody outside.'
}

const lowered = (title: string): string => title.replace(/^Waiting\b/, 'waiting')

/** `; due 17:00 UTC`. */
function due({ job: { live }, now }: Facts): string {
  const at = live!.why?.wait?.dueAt ?? null
  return at === null ? '' : `; due ${clock(at, now)}`
}

/** `1 of 2`, as the job itself knows it. */
function votes({ job: { live } }: Facts): string | null {
  const quorum = live!.why?.wait?.quorum
  return quorum ? `${quorum.filled} of ${quorum.needed}` : null
}

/** Whose approvals are missing. */
function missing(facts: Facts): string {
  const row = approvalOf(facts)
  const open = row ? quorumOf(row.rule.need, countedApprovals(row)).open : []
  const groups = open.map(({ group, n }) => (group === ANY ? `${n} of anybody` : `${n} of ${group}`))
  return groups.length > 0 ? `, needs ${list(groups)}` : ''
}

/** By its name where that was read, else without one. */
function gate(facts: Facts): string {
  const name = approvalOf(facts)?.gate
  return name === undefined ? 'an approval' : `the approval ${quoted(name)}`
}

const ON_EXPIRY = {
  cancel: 'then cancelled',
  fail: 'then failed',
  escalate: 'then others are asked',
  continue: 'then it goes on',
} as const

/** What the type says to people who wait for this. */
function said(facts: Facts): string | null {
  const own = facts.type.say?.wait
  const name = waitName(facts)
  return own && Object.hasOwn(own, name) ? own[name]! : null
}

function pausedBy({ job: { live } }: Facts): string {
  const pause = live!.why?.pause
  return `paused by ${nameOf(pause?.by) ?? 'an operator'}`
}

/** Why, and what must come besides before it goes on, if somebody must see to that. */
const reason = ({ job: { live } }: Facts): string => {
  const { pause, behind, wait } = live!.why ?? {}
  const text = pause?.reason ? `: ${pause.reason}` : '.'
  if (!wait?.title || (behind?.waitKind !== 'approval' && behind?.waitKind !== 'signal')) return text
  return `${sentence(text)} Also needed: ${sentence(wait.title.replace(/^Waiting for /, ''))}`
}

function reviewed(facts: Facts): string {
  return messageOf(errorOf(facts), 'A person must decide how to go on.')
}

export const BLOCKED: Record<BlockedMoment, Lines> = {
  approval: {
    caller: (f) => REQUIRED + lowered(titleOf(f)),
    endUser: (f) => said(f) ?? sentence(`${REQUIRED}a colleague must confirm${due(f).replace('; due', ' by')}`),
    support: (f) => {
      const have = votes(f)
      return sentence(`Waiting for ${gate(f)}${have ? `: ${have} given${missing(f)}` : ''}${due(f)}`)
    },
    operator: (f) => {
      const row = approvalOf(f)
      const have = votes(f)
      const more = `${have ? `, ${have} given` : ''}${row ? `, risk ${row.risk}` : ''}`
      const then = row && due(f) ? `, ${ON_EXPIRY[row.onExpire]}` : ''
      return sentence(`Blocked for ${since(f)} on ${gate(f)}${more}${due(f)}${then}`)
    },
  },
  review: {
    caller: (f) => saidOf(f, errorOf(f)) ?? REQUIRED + reviewed(f),
    endUser: (f) => saidOf(f, errorOf(f)) ?? `${REQUIRED}we are checking this by hand.`,
    support: (f) => `Needs review: ${saidOf(f, errorOf(f)) ?? reviewed(f)}`,
    operator: (f) => {
      const error = errorOf(f)
      if (!error) return `Blocked for ${since(f)} on a review.`
      return `Blocked for ${since(f)} on a review: ${judged(error)}: ${messageOf(error)}`
    },
  },
  signal: {
    caller: (f) => REQUIRED + lowered(titleOf(f)),
    endUser: (f) => said(f) ?? `${REQUIRED}we are waiting for an answer.`,
    support: (f) => said(f) ?? sentence(`${titleOf(f).replace(/\.$/, '')}${due(f)}`),
    operator: (f) => sentence(`Blocked for ${since(f)}, ${lowered(titleOf(f)).replace(/\.$/, '')}${due(f)}`),
  },
  paused: {
    caller: (f) => `${f.status === 'accepted' ? 'Accepted. ' : ''}P${pausedBy(f).slice(1)}${reason(f)}`,
    endUser: () => 'On hold for the moment.',
    support: (f) => `P${pausedBy(f).slice(1)} ${since(f)} ago${reason(f)}`,
    operator: (f) => `${f.status === 'accepted' ? 'Accepted' : 'Blocked'}, ${pausedBy(f)} ${since(f)} ago${reason(f)}`,
  },
}
