/**
 * Group commit: operations that arrive in one turn of the loop share a transaction, and each is answered only after its
 * commit. While a commit is under way the next batch collects. Knows no operation: what a batch does is in batch.ts.
 */
import { UntildoneError } from '../../core/errors.js'
import { Batch, carryOut, type Waiting } from './batch.js'
import type { WebhookBook } from './outbox.js'
import type { PauseBook } from './pauses.js'
import type { Driver, Plan } from './plan.js'
import type { Told } from './shared.js'
import type { Tx } from './tx.js'

export class Commits {
  private batch = new Batch()
  /** Commits that are not answered yet. */
  private readonly flying = new Set<Promise<void>>()
  /** How many of them are under way: where one is over, the next begins before those of the first are answered. */
  private under = 0
  /** Those of `alone`. */
  private readonly single = new Set<Promise<void>>()
  private closed = false

  /** @param told is called with what each transaction leaves, once it is committed and answered */
  constructor(
    private readonly driver: Driver,
    private readonly newTx: () => Tx,
    private readonly book: PauseBook,
    private readonly webhookBook: WebhookBook,
    private readonly told: (tx: Tx) => void,
    /** What other processes are told right behind a commit. */
    private readonly behind: (tx: Tx) => Told | null,
  ) {}

  enqueue<K extends 'submits' | 'records' | 'moves' | 'others' | 'claims'>(
    kind: K,
    input: Batch[K][number]['input'],
  ): Promise<any> {
    if (this.closed) return Promise.reject(new UntildoneError('store-unavailable', 'The store is closed.'))
    return new Promise((resolve, reject) => {
      ;(this.batch[kind] as Waiting<unknown, unknown>[]).push({ input, resolve, reject })
      if (this.under < this.driver.flights && this.batch.size === 1) this.driver.defer(() => this.flush())
    })
  }

  write<T>(plan: (tx: Tx) => Plan<T>): Promise<T> {
    return this.enqueue('others', plan)
  }
  /** In a commit of its own, which waits for none of the others: what must not be late because of what they wait for. */
  alone<T>(plan: (tx: Tx) => Plan<T>): Promise<T> {
    // Where one commit at a time is carried out there is nothing to overtake.
    if (this.driver.flights === 1) return this.write(plan)
    if (this.closed) return Promise.reject(new UntildoneError('store-unavailable', 'The store is closed.'))
    return new Promise((resolve, reject) => {
      const batch = new Batch()
      batch.others.push({ input: plan, resolve: resolve as (answer: unknown) => void, reject })
      const flight: Promise<void> = this.commit(batch, () => {}).finally(() => this.single.delete(flight))
      this.single.add(flight)
    })
  }

  /** Waits for no commit. */
  read<T>(plan: () => Plan<T>): Promise<T> {
    if (this.closed) return Promise.reject(new UntildoneError('store-unavailable', 'The store is closed.'))
    return this.driver.transact(plan, false)
  }

  private flush(): void {
    const batch = this.batch
    if (batch.size === 0 || this.under >= this.driver.flights) return
    this.batch = new Batch()
    this.under++
    let over = false
    const land = () => {
      if (over) return
      over = true
      this.under--
      if (this.batch.size > 0) this.driver.defer(() => this.flush())
    }
    const flight: Promise<void> = this.commit(batch, land).finally(() => {
      land()
      this.flying.delete(flight)
    })
    this.flying.add(flight)
  }

  /** @param land is called when it is over, before anybody is answered */
  private async commit(batch: Batch, land: () => void): Promise<void> {
    try {
      await this.commitTogether(batch, land)
    } catch (error) {
      this.book.forget()
      this.webhookBook.forget()
      if (batch.size === 1) return batch.waiting[0]!.reject(this.driver.explain(error))
      const explained = this.driver.explain(error)
      // The store itself refuses (disk full, gone): nothing of the batch can work, and nothing of it is stored. Not where a
      // lock did not come in time: few operations need it.
      if (explained instanceof UntildoneError && explained.code !== 'internal' && reasonOf(explained) !== 'slow') {
        for (const waiting of batch.waiting) waiting.reject(explained)
        return
      }
      // One operation is wrong, or waits: find it by carrying out each alone, so that it does not take the others with it.
      for (const single of batch.single()) await this.commit(single, () => {})
    }
  }

  private async commitTogether(batch: Batch, land: () => void): Promise<void> {
    let tx: Tx | null = null
    const plan = () => {
      // A transaction that met another one is run again from its beginning. What it held meanwhile, others have passed over.
      tx?.marks?.clear()
      tx = this.newTx()
      return carryOut(batch, tx, this.book, this.webhookBook)
    }
    const answers = await this.driver
      .transact(plan, true, () => this.behind(tx!))
      .catch((error) => {
        tx?.marks?.clear()
        throw error
      })
    // Who is answered may write at once: that is in the next commit, and its own is not in its way.
    land()
    for (const { of, with: values } of answers) for (let i = 0; i < of.length; i++) of[i]!.resolve(values[i])
    this.tell(tx!)
  }

  private tell(tx: Tx): void {
    this.told(tx)
    if (tx.guessed === null) return
    void this.webhookBook.guessedWrong(tx.guessed).then((wrong) => {
      if (wrong) this.told({ ...tx, changes: [], seen: [], toOutbox: true, behind: null })
    })
  }

  /** What was accepted for the next commit is still carried out; what comes after that is refused. */
  async close(): Promise<void> {
    while (this.flying.size > 0 || this.batch.size > 0) {
      this.flush()
      await Promise.race(this.flying)
    }
    this.closed = true
    await Promise.all(this.single)
  }
}

const reasonOf = ({ params }: UntildoneError): unknown => (params as { reason?: unknown } | undefined)?.reason
