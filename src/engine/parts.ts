/**
 * What the use cases of the engine share: the store, the registry, the way to one job. Made once by engine.ts.
 */
import type { ApprovalRules } from '../core/approval.js'
import type { Clock, Entropy } from '../core/clock.js'
import { UntildoneError } from '../core/errors.js'
import { type LiveJob, partsOf } from '../core/job.js'
import type { WireJob } from '../core/wire.js'
import type { FileBytes } from '../stores/files.js'
import { isTombstone, type Store, type StoredJob, type WaitRow } from '../stores/store.js'
import type { Caller, Include } from './api.js'
import type { Cursors } from './cursor.js'
import type { Pauses } from './pauses.js'
import type { Registry } from './registry.js'
import { maySee } from './rights.js'
import type { TypeView } from './story/facts.js'
import type { TaughtBook } from './taught-book.js'
import { INLINE_RESULT_BYTES, iso, viewOf } from './view.js'
import type { Waiters } from './waiters.js'

const DEFAULT_RETENTION_MS = 30 * 86_400_000

export class EngineParts {
  constructor(
    readonly store: Store,
    readonly registry: Registry,
    readonly files: FileBytes,
    readonly clock: Clock,
    readonly entropy: Entropy,
    readonly waiters: Waiters,
    readonly cursors: Cursors,
    /** Tells the worker that a job is on its way into this lane, so that its claim can share the commit. A hint. */
    readonly onSubmitting: (lane: string, runAt: number) => void,
    /** Random and lasting: callback tokens are made of it, so that none is stored. */
    private readonly secret: string,
    /** Where this server is reached from outside; without a slash at the end. */
    public publicUrl: string,
    readonly pauses: Pauses,
    /** What this deployment decides about approvals. */
    readonly approvals: ApprovalRules,
    /** What people have taught about errors. */
    readonly taught: TaughtBook,
  ) {}

  newApprovalId(): string {
    // No `-` and `_` in it, so that a double click takes the whole.
    return `apr_${this.entropy
      .token(24)
      .replace(/[^A-Za-z0-9]/g, '')
      .slice(0, 20)}`
  }

  /** Lanes with jobs that no living worker serves, and since when; kept by the maintenance. */
  readonly unserved = new Map<string, number>()

  /** What the host of the workers adds to health and to the numbers of `doctor`; set by whoever runs children. */
  host: { checks(): Promise<Record<string, string>>; numbers(): Record<string, number> } = {
    checks: () => Promise.resolve({}),
    numbers: () => ({}),
  }

  /** What delivers jobs to workers adds to the same; null without a transport. */
  transport: { checks(): Record<string, string>; numbers(): Promise<Record<string, string | number>> } | null = null

  /** Told when the time of an approval is over. */
  onApprovalDue: (wait: WaitRow) => Promise<void> = () => Promise.resolve()

  /** The capability of one callback: the same whenever it is asked for, known to nobody who has not been told. */
  callbackOf(jobId: string, key: string): { url: string; token: string; hash: string } {
    const token = this.entropy.sha256(`${this.secret}\ncallback\n${jobId}\n${key}`)
    return { url: `${this.publicUrl}/v1/callbacks/${token}`, token, hash: this.entropy.sha256(token) }
  }

  /** When a finished job may go: after its type's retention, or the default when this process does not have the type. */
  readonly expiresAt = (finishedAt: number, live: LiveJob): number => {
    const type = this.registry.get(partsOf(live.lane).type)
    return finishedAt + (type?.handler.settings.retentionMs ?? DEFAULT_RETENTION_MS)
  }

  /**
   * The job, if this caller may see it.
   * @throws UntildoneError `job-not-found`, `job-expired`
   */
  async load(caller: Caller, id: string, values = INLINE_RESULT_BYTES): Promise<StoredJob> {
    await this.pauses.refresh()
    const found = await this.store.find(id, values)
    if (found === null) throw notFound(id)
    if (isTombstone(found)) {
      if (found.tenant !== caller.tenant) throw notFound(id)
      throw new UntildoneError('job-expired', `Job ${id} was ${found.status} and has been removed.`, {
        params: {
          jobId: id,
          finalStatus: found.status,
          finishedAt: iso(found.finishedAt),
          expiredAt: iso(found.expiredAt),
        },
      })
    }
    if (!maySee(caller, found.record)) throw notFound(id)
    return found
  }

  async get(caller: Caller, id: string, include: readonly Include[] = []): Promise<WireJob> {
    return this.view(await this.load(caller, id), include)
  }

  view(stored: StoredJob, include: readonly Include[] = []): WireJob {
    return viewOf(stored, this.store.now(), this.typeView(stored), include)
  }

  /** What its type says, whether anybody serves the lane it waits in, and whether that is paused. */
  typeView({ record, live }: StoredJob): TypeView {
    const unservedSince = live ? (this.unserved.get(live.lane) ?? null) : null
    const pause = live && live.worker === null ? this.pauses.of(partsOf(live.lane)) : null
    return { ...this.registry.viewOf(record.type), unservedSince, pause }
  }
}

/** The same words whether it never existed, belongs to somebody else or may not be seen. */
export function notFound(id: string): UntildoneError {
  return new UntildoneError('job-not-found', `There is no job ${id}.`, { params: { jobId: id } })
}
