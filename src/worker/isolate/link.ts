/**
 * One end of the line between a worker and the process of an isolated handler: frames of JSON, one per line, over a stream
 * of their own. Calls go both ways and overtake nothing. What is called, and where in the handler, its owner says.
 */
import type { Duplex } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { AsJson, noJson, Wire } from './wire.js'

/** A line that is longer is no frame of ours, and nobody's memory is to be filled by it. */
const FRAME_MAX = 256 * 1024 ** 2

/** Place of a call in the handler, as the worker numbers it; null outside of every branch and step. */
export type Place = { id: number; inside: string | null } | null

export interface CallFrame {
  t: 'call'
  id: number
  /** A number for a function that was handed over, a name for what the owner offers. */
  fn: number | string
  args: unknown[]
  at: Place
}
type DoneFrame = { t: 'done'; id: number } & ({ ok: true; value: unknown } | { ok: false; error: unknown })
export type Frame =
  | CallFrame
  | DoneFrame
  | { t: 'abort'; id: number; reason: unknown }
  /** The sender has nothing more to do by itself, having seen so many frames of the other side. */
  | { t: 'still'; seen: number }
  | { t: 'beat' }
  | { t: 'drain' }
  | { t: 'start'; start: unknown }
  | { t: 'loaded' }
  | { t: 'returned'; value: unknown }
  | { t: 'threw'; error: unknown }
  | { t: 'unfit'; error: unknown }
  | { t: 'found'; types: { name: string; version: string | null }[] }
  | { t: 'bye' }

export interface LinkOwner {
  /** Calls what has a name here. */
  named(name: string, args: unknown[]): unknown
  /** Runs a call of the other side at its place. */
  at<T>(place: Place, fn: () => T): T
  /** Where a call to the other side is made. */
  place(): Place
  /** Every other frame. */
  frame(frame: Exclude<Frame, CallFrame | DoneFrame | { t: 'abort' }>): void
  /** Something has come or gone that lets the handler go on. */
  moved(): void
  /** The line is over: the other side is gone, or does not speak like it. */
  closed(error: Error | null): void
  /** What a function of this side gives, on its way out. @default as it is */
  given?(value: unknown, fn: (...args: any[]) => unknown): unknown
  /** Intercepts calls of functions of the other side. @default they are made */
  calling?(call: () => Promise<unknown>): Promise<unknown>
  /** A call of the other side has ended here; false: nobody is there to be told. */
  answering?(at: Place, error: { error: unknown } | null): boolean
}

export class Link {
  readonly wire: Wire
  /** Frames sent and seen, for `still`. */
  sent = 0
  seen = 0
  private over = false
  /** Pieces of a line whose end has not come yet. */
  private rest: string[] = []
  private length = 0
  private readonly text = new StringDecoder('utf8')
  private calls = 0
  private readonly pending = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>()
  private readonly functions: ((...args: any[]) => unknown)[] = []
  private readonly numbers = new Map<unknown, number>()
  private readonly signals = new Map<AbortSignal, number>()
  private readonly remote = new Map<number, AbortController>()

  constructor(
    private readonly stream: Duplex,
    private readonly owner: LinkOwner,
  ) {
    this.wire = new Wire({
      hold: (fn) => this.hold(fn),
      stub:
        (id) =>
        (...args) =>
          this.made(() => this.call(id, args)),
      holdSignal: (signal) => this.holdSignal(signal),
      signal: (id) => this.controller(id).signal,
    })
    stream.on('data', (chunk: Buffer) => this.read(chunk))
    stream.on('error', () => undefined)
    stream.on('close', () => this.close(null))
    stream.on('end', () => this.close(null))
  }

  private made(call: () => Promise<unknown>): Promise<unknown> {
    return this.owner.calling ? this.owner.calling(call) : call()
  }

  /** @param fn see CallFrame */
  call(fn: number | string, args: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.calls
      const frame: CallFrame = {
        t: 'call',
        id,
        fn,
        args: args.map((one) => this.wire.encode(one)),
        at: this.owner.place(),
      }
      this.pending.set(id, { resolve, reject })
      if (!this.write(frame)) this.pending.delete(id)
    })
  }

  /** A call whose end nobody waits for. */
  tell(fn: string, args: unknown[]): void {
    void this.call(fn, args).catch(() => undefined)
  }

  send(frame: Frame): void {
    this.write(frame)
  }

  private write(frame: Frame): boolean {
    if (this.over) return false
    this.line(JSON.stringify(frame), frame)
    return true
  }

  private line(text: string, { t }: Pick<Frame, 't'>): void {
    if (t !== 'still' && t !== 'beat') {
      this.sent++
      this.owner.moved()
    }
    this.stream.write(`${text}\n`)
  }

  private read(chunk: Buffer): void {
    const [end, ...more] = this.text.write(chunk).split('\n') as [string, ...string[]]
    this.piece(end)
    for (const piece of more) {
      const line = this.rest.join('')
      this.rest = []
      this.length = 0
      if (!this.over) this.parse(line)
      this.piece(piece)
    }
  }

  private piece(text: string): void {
    this.rest.push(text)
    this.length += text.length
    if (this.length > FRAME_MAX) this.close(new Error(`A message of more than ${FRAME_MAX} characters.`))
  }

  private parse(line: string): void {
    try {
      this.take(JSON.parse(line) as Frame)
    } catch (error) {
      this.close(error as Error)
    }
  }

  private take(frame: Frame): void {
    if (frame.t !== 'still' && frame.t !== 'beat') {
      this.seen++
      this.owner.moved()
    }
    if (frame.t === 'call') void this.answer(frame)
    else if (frame.t === 'done') this.ended(frame)
    else if (frame.t === 'abort') this.controller(frame.id).abort(this.wire.decode(frame.reason))
    else this.owner.frame(frame)
  }

  private ended(frame: DoneFrame): void {
    const waiting = this.pending.get(frame.id)
    this.pending.delete(frame.id)
    if (frame.ok) waiting?.resolve(this.wire.decode(frame.value))
    else waiting?.reject(this.wire.decode(frame.error))
  }

  private async answer({ id, fn, args, at }: CallFrame): Promise<void> {
    const own = typeof fn === 'number' ? this.functions[fn] : undefined
    try {
      const given = this.wire.decode(args) as unknown[]
      const value = await this.owner.at(at, async () => {
        if (own) return own(...given)
        if (typeof fn === 'number') throw new TypeError(`There is no function ${fn}.`)
        return this.owner.named(fn, given)
      })
      if (this.owner.answering?.(at, null) === false || this.over) return
      this.answerWith(id, own && this.owner.given ? this.owner.given(value, own) : value)
    } catch (error) {
      if (this.owner.answering?.(at, { error }) === false) return
      this.write({ t: 'done', id, ok: false, error: this.wire.thrown(error) })
    }
  }

  private answerWith(id: number, value: unknown): void {
    const frame: DoneFrame = { t: 'done', id, ok: true, value: this.wire.encode(value) }
    let text: string
    try {
      text = JSON.stringify(frame)
    } catch (error) {
      // The other side writes it down, or not, and meets the error where this side would have met it.
      text = JSON.stringify({ ...frame, value: noJson(error) })
    }
    if (!this.over) this.line(text, frame)
  }

  private hold(fn: (...args: any[]) => unknown): number {
    const known = this.numbers.get(fn)
    if (known !== undefined) return known
    const id = this.functions.push(fn) - 1
    this.numbers.set(fn, id)
    return id
  }

  private holdSignal(signal: AbortSignal): number {
    const known = this.signals.get(signal)
    if (known !== undefined) return known
    const id = this.signals.size
    this.signals.set(signal, id)
    const abort = () => this.send({ t: 'abort', id, reason: this.wire.thrown(signal.reason) })
    // After the value that it is part of: only then does the other side know it.
    if (signal.aborted) queueMicrotask(abort)
    else signal.addEventListener('abort', abort, { once: true })
    return id
  }

  private controller(id: number): AbortController {
    let controller = this.remote.get(id)
    if (!controller) this.remote.set(id, (controller = new AbortController()))
    return controller
  }

  /** Calls that are under way are never answered. */
  close(error: Error | null): void {
    if (this.over) return
    this.over = true
    this.owner.closed(error)
  }
}

/** What a value is as a record would have it. */
export const asJson = (value: unknown) => new AsJson(value)
