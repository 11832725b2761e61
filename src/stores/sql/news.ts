/** What processes tell each other of changes: how it is written, which of two words counts, and which comes first. */
import type { Change } from '../store.js'

/** What is sent of a change; `from` is the version that came before those it stands for. */
type Sent = [
  ...head: [jobId: string, tenant: string, type: string, groupId: string | null, lane: string, status: string],
  ...flags: [done: 0 | 1, version: number, revision: number, from: number | null, queuedAt: number | null],
  ...more: [cancelling: string | null, pausing: 0 | 1, wakeAt: number | null, ties: 0 | 1],
]

export interface Text {
  /** Who tells. */
  by: string
  /**
   * Even while nobody there reads, so that what is for readers need not be told; one higher each time that changes, because
   * texts may overtake each other. @default 1
   */
  turn?: number
  changes?: Sent[]
  /** Something is in the outbox. */
  outbox?: 1
  /** More has happened than is told here. */
  more?: 1
  /** Only this one need care for that. */
  to?: string
}

export const bytesOf = (text: string): number => Buffer.byteLength(text)

/** What comes first where not all can be told. */
export const weight = ({ done, cancelling, pausing, moved }: Change): number =>
  cancelling !== null || pausing ? 3 : done ? 2 : moved ? 1 : 0

/** Two changes of one job as one. */
export function merged(before: Change, after: Change): Change {
  const from = before.moved ? (before.from ?? before.version - 1) : after.from
  return {
    ...after,
    moved: before.moved || after.moved,
    groupId: after.groupId ?? before.groupId,
    ...(before.moved && after.moved ? { from: from! } : after.from === undefined ? {} : { from: after.from }),
    ...(before.moved && !after.moved ? { from: from! } : {}),
    ...(before.ties || after.ties ? { ties: true } : {}),
  }
}

export function sentOf(change: Change): Sent {
  const { version, moved, from } = change
  return [
    change.jobId,
    change.tenant,
    change.type,
    change.groupId,
    change.lane,
    change.status,
    change.done ? 1 : 0,
    version,
    change.revision,
    moved ? (from ?? version - 1) : null,
    change.queuedAt,
    change.cancelling,
    change.pausing ? 1 : 0,
    change.wakeAt,
    change.ties ? 1 : 0,
  ]
}

/** In one literal: there are two for each job, in every process that hears of it. */
export function changeOf(sent: Sent): Change {
  const from = sent[9]
  const change: Change = {
    jobId: sent[0],
    tenant: sent[1],
    type: sent[2],
    groupId: sent[3],
    lane: sent[4],
    status: sent[5] as Change['status'],
    done: sent[6] === 1,
    version: sent[7],
    revision: sent[8],
    moved: from !== null,
    queuedAt: sent[10],
    cancelling: sent[11] as Change['cancelling'],
    pausing: sent[12] === 1,
    wakeAt: sent[13],
  }
  if (from !== null) change.from = from
  if (sent[14] === 1) change.ties = true
  return change
}
