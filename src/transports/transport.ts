/**
 * The Transport contract: how word of a ready job gets to a worker on another host without anybody asking for it. A
 * transport carries hints and never truth: whatever it loses, repeats, delays or reorders changes when a job starts,
 * never whether, nor how often.
 */
import type { Clock } from '../core/clock.js'
import type { UntildoneError } from '../core/errors.js'

/** What travels: which job, and which of its announcements. The lane says who may take it before anybody asks the store. */
export interface Message {
  jobId: string
  dispatchNo: number
  lane: string
}

/** What became of a delivery. It is acknowledged in any case: the store knows what is still to be done. */
export type Delivered =
  /** Its job, or one that came before it, was claimed. */
  | 'claimed'
  /** There was nothing to claim: somebody else had it, it has ended, it is paused or held. */
  | 'dropped'
  /** Nobody here has room for it, or can run it: it is announced anew. */
  | 'returned'

/** Made by `bullmq(url)` and its siblings. */
export interface TransportFactory {
  /**
   * Opens the connection. One that is not there yet is no error: the transport is away until it is.
   * @throws UntildoneError `transport-unsafe` when it would not carry what it accepts
   */
  open(env: TransportEnv): Promise<Transport>
}

export interface TransportEnv {
  clock: Clock
  /** The same for all processes of one store, and for no other: what others put on the same server is not seen. */
  namespace: string
  /** Told of trouble that no call can report. */
  onError: (error: unknown) => void
}

/** Answers what became of each message, in their order. */
export type Take = (messages: readonly Message[]) => Promise<readonly Delivered[]>

export interface Away {
  since: number
  why: string
  /** Says what to do. Its `params.reason` stays the same for as long as the same thing is wrong. */
  error?: UntildoneError | undefined
}

export interface Transport {
  /** For health and `doctor`, e.g. `bullmq`. */
  readonly kind: string
  /** Most messages of a queue on their way. @default 4 per slot of the process that announces */
  readonly window?: number | undefined
  /**
   * Whether a job that the announcing process is told of may start right there, without the detour, while a worker of it
   * does nothing. @default true
   */
  readonly direct?: boolean | undefined
  /** Since when it carries nothing, and why; null while all is well. Then workers ask the store as they do without it. */
  readonly away: Away | null
  /** Told when it goes away, comes back, or stays away for another reason. */
  onTurn(listener: () => void): void
  /** About how many messages of a queue are on their way now, delivered and not acknowledged ones included. */
  underWay(queue: string): Promise<number>
  /**
   * Resolves once all are on their way. Rejects soon where they cannot be sent, and keeps none of them for later. A
   * message that is on its way by itself already is not sent twice.
   * @param together so many of a lane may travel as one, to one host @default 1
   */
  publish(queue: string, messages: readonly Message[], together?: number): Promise<void>
  /**
   * Hands over the messages of a queue, up to `capacity` at once: those that travelled together in one call, and they are
   * acknowledged when it resolves.
   */
  subscribe(queue: string, capacity: number, take: Take): Subscription
  /** Numbers for `doctor`. */
  check(): Promise<Record<string, string | number>>
  close(): Promise<void>
}

export interface Subscription {
  /** From now on at most so many at once, and at least one. */
  resize(capacity: number): void
  /** Resolves when nothing is delivered any more; what was being taken must have resolved before. */
  close(): Promise<void>
}
