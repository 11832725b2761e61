/**
 * What processes that share a database tell each other after their commits, and how each looks for itself what it was not
 * told. All of it is hints: told late, twice or not at all, it changes when something is noticed and nothing else.
 */
import type { Change } from '../store.js'
import { bytesOf, changeOf, merged, sentOf, type Text, weight } from './news.js'

/** What one process tells the others. */
export interface Told {
  texts: readonly string[]
  /** False: those that carry out jobs or duties (`attend`). */
  toAll: boolean
}

/** A line to the other processes. Texts may be lost, doubled or late. */
export interface Bell {
  /** Characters that a text may have. */
  readonly most: number
  /** Tells the others. Resolves when more may be told; never rejects. */
  ring(told: Told): Promise<void>
  /** From now on this process hears what is not told to all, too; `heard` gets null when it does. */
  attend(): void
  /** Resolves when more may be told than was told right behind a commit. */
  rest(): Promise<void>
  /** `heard` gets what others tell, and null whenever something may have been missed. */
  listen(heard: (text: string | null) => void): void
  /** Calls `fn` in about so many milliseconds, until the bell is closed. */
  later(fn: () => void, ms: number): void
  /** Whether what is told arrives, as far as is known. */
  readonly works: boolean
  close(): Promise<void>
}

export interface SharedOptions {
  /** Names this process among the others. */
  name: string
  /** Passes on what another process has changed. */
  tell: (changes: readonly Change[]) => void
  /** Another process has left something in the outbox. */
  tellOutbox: () => void
  /** Jobs as they are now; those that are gone are left out. */
  look: (ids: readonly string[]) => Promise<Change[]>
}

/** While nobody else has been heard for so long, there is nobody to tell. */
const ALONE_AFTER_MS = 15_000
const HERE_EVERY_MS = 5000
/** How often jobs that somebody waits for are looked at by those who are told of changes, and by those who are not. */
const LOOK_MS = 5000
const LOOK_UNTOLD_MS = 500
/** Who has read something lately soon reads again. */
const READS_FOR_MS = 30_000
/** Between two looks because something was missed. */
const REST_MS = 100
/** Texts of one round. What does not fit is not told; the others learn that, and look. */
const TEXTS = 24
/** Jobs looked at by one statement. */
const CHUNK = 500

/** What is known of another process. */
interface Other {
  /** When it was heard last. */
  at: number
  turn: number
}

interface Watched {
  count: number
  revision: number
  done: boolean
}

export class Shared {
  private readonly watched = new Map<string, Watched>()
  private readonly gapListeners = new Set<() => void>()
  /** The last word on each job since the last round. */
  private waiting = new Map<string, Change>()
  private outbox = false
  private stirred = false
  private ringing = false
  private readonly others = new Map<string, Other>()
  /** How many in this process read jobs that others may change, and when the last one stopped. */
  private readers = 0
  private readAt = Number.NEGATIVE_INFINITY
  private turn = 0
  private resting = false
  private gapAgain = false
  private looking = false
  private lookAgain = false
  private closed = false
  /** How texts of this process can be told. */
  private readonly mine: string

  /** @param now milliseconds of a clock that never goes back */
  constructor(
    private readonly bell: Bell,
    private readonly options: SharedOptions,
    private readonly now: () => number,
  ) {
    this.mine = JSON.stringify({ by: options.name }).slice(0, -1)
    bell.listen((text) => this.heard(text))
    this.here()
    this.regularly()
    const again = () => {
      this.here()
      bell.later(again, HERE_EVERY_MS)
    }
    bell.later(again, HERE_EVERY_MS)
  }

  /** Whether another process has been heard of lately. */
  get alone(): boolean {
    const since = this.now() - ALONE_AFTER_MS
    for (const [name, { at }] of this.others) if (at < since) this.others.delete(name)
    return this.others.size === 0
  }

  /** Whether somebody reads in another process. */
  private isRead(): boolean {
    for (const { turn } of this.others.values()) if (reads(turn)) return true
    return false
  }

  /** How the texts of this process begin. */
  private get head(): string {
    if (reads(this.turn) && this.readers === 0 && this.readAt < this.now() - READS_FOR_MS) this.turn++
    return `${this.mine},"turn":${this.turn}`
  }

  /** After a commit of this process. */
  publish(changes: readonly Change[], outbox: boolean): void {
    if (this.closed || this.alone) return
    this.collect(changes, outbox)
    if (!this.ringing) void this.round()
  }

  /**
   * Texts that go right behind a commit of this process, should it be one: whoever waits for them hears of it without
   * another way there and back. Null where others were told a moment ago, so that these are gathered, or where nobody is there.
   * Where nobody reads they go to those that work, without what is for readers: once it is committed, `toReaders` follows.
   */
  behind(changes: readonly Change[], outbox: boolean): Told | null {
    if (this.closed || this.ringing || this.alone) return null
    this.collect(changes, outbox)
    if (this.waiting.size === 0 && !this.outbox) return null
    this.ringing = true
    const told = this.take()
    void this.bell.rest().then(() => this.round())
    return told
  }

  /** After a commit of which only those that work were told: somebody may read by now, who saw nothing of it. */
  toReaders(changes: readonly Change[]): void {
    if (this.isRead()) this.publish(changes, false)
  }

  private collect(changes: readonly Change[], outbox: boolean): void {
    this.outbox ||= outbox
    const isRead = this.isRead()
    for (const change of changes) {
      // Nor is it worth telling what it was before.
      if (change.forReaders && !isRead) {
        this.waiting.delete(change.jobId)
        continue
      }
      const before = this.waiting.get(change.jobId)
      this.waiting.set(change.jobId, before ? merged(before, change) : change)
    }
  }

  /** Something changed that no job tells of: the others look anew. */
  stir(): void {
    if (this.closed || this.alone) return
    this.stirred = true
    if (!this.ringing) void this.round()
  }

  private async round(): Promise<void> {
    this.ringing = true
    while ((this.waiting.size > 0 || this.outbox || this.stirred) && !this.closed) {
      await this.bell.ring(this.take())
    }
    this.ringing = false
  }

  private take(): Told {
    const changes = [...this.waiting.values()]
    this.waiting = new Map()
    const told = { texts: this.texts(changes), toAll: this.isRead() }
    this.outbox = false
    this.stirred = false
    return told
  }

  private texts(changes: readonly Change[]): string[] {
    const { outbox, stirred } = this
    // Ends and requests to stop first: somebody may wait for them.
    const sorted = [...changes].sort((a, b) => weight(b) - weight(a))
    const texts: string[] = []
    let rows: string[] = []
    let length = 0
    const { head } = this
    const room = this.bell.most - head.length - 60
    const told = () => (rows.length > 0 ? `,"changes":[${rows.join(',')}]` : '')
    for (const change of sorted) {
      const row = JSON.stringify(sentOf(change))
      const size = bytesOf(row) + 1
      if (size > room) continue // a name so long is looked at by those who wait
      if (length + size > room) {
        texts.push(`${head}${told()}}`)
        rows = []
        length = 0
        if (texts.length === TEXTS) break
      }
      rows.push(row)
      length += size
    }
    const all = texts.length < TEXTS
    const flags = `${outbox ? ',"outbox":1' : ''}${all && !stirred ? '' : ',"more":1'}`
    return [...texts, `${head}${flags}${all ? told() : ''}}`]
  }

  private heard(text: string | null): void {
    // The line brings back what was sent.
    if (this.closed || text?.startsWith(this.mine)) return
    if (text === null) {
      // The line is new: others may not know of us, nor we of them.
      this.here()
      this.gap()
      return
    }
    let told: Text
    try {
      told = JSON.parse(text)
    } catch {
      this.gap()
      return
    }
    const before = this.others.get(told.by)
    const turn = Math.max(told.turn ?? 1, before?.turn ?? 0)
    this.others.set(told.by, { at: this.now(), turn })
    // It may have begun before us and told things that we have not told it are here.
    if (!before) {
      this.here()
      this.gap()
    }
    // From now on it is told what is for readers. Until now it was not.
    if (reads(turn) && before?.turn !== turn) this.tellAll(`${this.head},"more":1,"to":${JSON.stringify(told.by)}}`)
    const changes = (told.changes ?? []).map(changeOf)
    this.saw(changes)
    if (changes.length > 0) this.options.tell(changes)
    if (told.outbox) this.options.tellOutbox()
    if (told.more && (told.to ?? this.options.name) === this.options.name) this.gap()
  }

  /** Jobs or duties are carried out in this process: from now on it hears of what is to be done. */
  attend(): void {
    this.bell.attend()
  }

  /** Somebody in this process reads what others change: from now on they tell it. */
  follow(): () => void {
    this.readers++
    if (!reads(this.turn)) {
      this.turn++
      this.here()
    }
    let over = false
    return () => {
      if (over) return
      over = true
      this.readers--
      this.readAt = this.now()
    }
  }

  /**
   * Somebody waits for this job: it is looked at now and then, should its changes not be told.
   * @param reads whether what is for readers is waited for, too
   */
  watch(jobId: string, reads = true): () => void {
    const unfollow = reads ? this.follow() : null
    const watched = this.watched.get(jobId) ?? { count: 0, revision: -1, done: false }
    watched.count++
    this.watched.set(jobId, watched)
    let over = false
    return () => {
      if (over) return
      over = true
      unfollow?.()
      if (--watched.count === 0 && this.watched.get(jobId) === watched) this.watched.delete(jobId)
    }
  }

  onGap(listener: () => void): () => void {
    this.gapListeners.add(listener)
    return () => this.gapListeners.delete(listener)
  }

  /** What those who wait here are told in any case: a look that finds it says nothing new. */
  saw(changes: readonly Change[]): void {
    if (this.watched.size === 0) return
    for (const { jobId, revision, done } of changes) this.note(jobId, revision, done)
  }

  private note(jobId: string, revision: number, done: boolean): void {
    const watched = this.watched.get(jobId)
    if (!watched) return
    watched.revision = Math.max(watched.revision, revision)
    watched.done ||= done
  }

  /** Now, and once more after a while if it is said again: a busy neighbour must not keep everybody looking. */
  private gap(): void {
    if (this.resting) {
      this.gapAgain = true
      return
    }
    this.resting = true
    this.bell.later(() => {
      this.resting = false
      if (this.gapAgain) this.gap()
    }, REST_MS)
    this.gapAgain = false
    for (const listener of this.gapListeners) listener()
    void this.look()
  }

  /** Looks at every job that somebody waits for. */
  private async look(): Promise<void> {
    if (this.looking) {
      this.lookAgain = true
      return
    }
    this.looking = true
    try {
      do {
        this.lookAgain = false
        const ids = [...this.watched.keys()]
        for (let at = 0; at < ids.length && !this.closed; at += CHUNK) {
          const found = await this.options.look(ids.slice(at, at + CHUNK))
          const fresh = found.filter(({ jobId, revision, done }) => {
            const watched = this.watched.get(jobId)
            return watched && (revision > watched.revision || (done && !watched.done))
          })
          this.saw(fresh)
          if (fresh.length > 0) this.options.tell(fresh)
        }
      } while (this.lookAgain && !this.closed)
    } catch {
      // The database is away; the next look is soon.
    } finally {
      this.looking = false
    }
  }

  private regularly(): void {
    const ms = this.bell.works ? LOOK_MS : LOOK_UNTOLD_MS
    this.bell.later(() => {
      if (!this.bell.works) for (const listener of this.gapListeners) listener()
      void this.look().then(() => this.regularly())
    }, ms)
  }

  /** A sign of life, so that the others know that there is somebody to tell. */
  private here(): void {
    if (!this.closed) this.tellAll(`${this.head}}`)
  }

  private tellAll(text: string): void {
    void this.bell.ring({ texts: [text], toAll: true })
  }

  async close(): Promise<void> {
    this.closed = true
    await this.bell.close()
  }
}

const reads = (turn: number): boolean => turn % 2 === 1
