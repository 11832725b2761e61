/**
 * Many submits in one transaction: all of them are stored or none is. A key of the batch stands for all its jobs; without
 * one each item may have its own.
 */
import { type FieldError, UntildoneError } from '../core/errors.js'
import type { NewJob, Submitted } from '../stores/store.js'
import type { BatchAnswer, Caller, SubmitBody } from './api.js'
import type { EngineParts } from './parts.js'
import { demand } from './rights.js'
import type { Submission } from './submit.js'

/** Answers of jobs that are there: nothing of the call is refused. */
const STORED = new Set<Submitted['outcome']>(['created', 'replayed', 'duplicate'])

export class Batches {
  constructor(
    private readonly parts: EngineParts,
    private readonly submission: Submission,
  ) {}

  async submit(
    caller: Caller,
    items: { body: SubmitBody; key: string | null }[],
    key: string | null,
  ): Promise<BatchAnswer> {
    demand(caller, 'jobs:submit')
    if (items.length === 0)
      throw new UntildoneError('validation-failed', 'A batch needs at least one item.', {
        errors: [{ pointer: '/items', code: 'too-small', message: 'must hold at least one item' }],
      })
    const twice = key === null ? -1 : items.findIndex((item) => item.key !== null)
    if (twice >= 0)
      throw new UntildoneError('validation-failed', 'A batch with an Idempotency-Key takes no key for single items.', {
        errors: [
          {
            pointer: `/items/${twice}/idempotencyKey`,
            code: 'conflict',
            message: 'leave it out, or send the batch without a key',
          },
        ],
      })
    const keyed =
      key === null
        ? null
        : {
            operation: 'batch',
            key,
            fingerprint: this.submission.fingerprint(items.map(({ body }) => body)),
            batch: true as const,
          }
    const before = keyed && (await this.submission.keyed(caller, keyed))
    if (before) return this.again(caller, before)
    const jobs: NewJob[] = []
    const known = new Map<number, string>()
    const errors: FieldError[] = []
    for (const [i, { body, key: itemKey }] of items.entries()) {
      const own =
        itemKey === null ? null : { operation: 'submit', key: itemKey, fingerprint: this.submission.fingerprint(body) }
      const before = own && (await this.submission.keyed(caller, own))
      if (before) {
        known.set(i, before)
        continue
      }
      try {
        jobs.push(await this.submission.prepare(caller, body, own, `/items/${i}`))
      } catch (error) {
        if (error instanceof UntildoneError && error.code === 'input-invalid') errors.push(...error.errors)
        else throw error
      }
    }
    if (errors.length > 0)
      throw new UntildoneError(
        'input-invalid',
        `${errors.length} members of the batch are not valid. Nothing was stored.`,
        { errors },
      )
    if (keyed) {
      // The key of the batch rides on its first job; so no item has a key of its own.
      jobs[0]!.idempotency = keyed
    }
    for (const { live } of jobs) this.parts.onSubmitting(live.lane, live.runAt)
    const answers = await this.parts.store.submit(jobs)
    if (keyed && answers[0]!.outcome === 'replayed') return this.again(caller, answers[0]!.jobId)
    const refused = answers.find(({ outcome }) => !STORED.has(outcome))
    if (refused) await this.submission.replayed(caller, refused)
    let next = 0
    const duplicates: number[] = []
    const stored = await Promise.all(
      items.map(async (_, i) => {
        const before = known.get(i)
        if (before !== undefined) return this.parts.get(caller, before)
        const job = jobs[next]!
        const answer = answers[next++]!
        if (answer.outcome === 'created') return this.submission.fresh(job)
        if (answer.outcome === 'duplicate') duplicates.push(i)
        const id = await this.submission.replayed(caller, answer)
        return answer.outcome === 'duplicate' ? this.submission.existing(caller, id) : this.parts.get(caller, id)
      }),
    )
    return { items: stored, replayed: answers.every(({ outcome }) => outcome === 'replayed'), duplicates }
  }

  /** The jobs of a batch that was stored before, as they are now. */
  private async again(caller: Caller, first: string): Promise<BatchAnswer> {
    const stored = await this.parts.load(caller, first)
    return {
      items: await Promise.all((stored.record.options.batch ?? [first]).map((id) => this.parts.get(caller, id))),
      replayed: true,
      duplicates: [],
    }
  }
}
