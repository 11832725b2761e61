/**
 * The side of the process in which an isolated handler runs: the `job` object whose calls are carried out by the worker,
 * and the end of the handler. Records nothing itself. Must stay light: it is loaded once per attempt.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { createReadStream, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duplex, Readable } from 'node:stream'
import type { JobContext, OpenFile } from '../../define/context.js'
import type { JobHandler } from '../../define/define-job.js'
import { checkDecision } from '../decision.js'
import type { Start } from './host.js'
import { asJson, Link, type LinkOwner, type Place } from './link.js'

type Fn = (...args: any[]) => unknown

export interface GuestOptions {
  /** Loads the module and finds the handler in it. */
  load(start: Pick<Start, 'module' | 'project' | 'type' | 'version'>): Promise<JobHandler>
  /** Types that the module exports, for whoever only wants to know. */
  types(start: Pick<Start, 'module' | 'project'>): Promise<{ name: string; version: string | null }[]>
  /** The worker lets it go, or is gone. */
  leave(well: boolean): void
}

export class Guest implements LinkOwner {
  private readonly link: Link
  private readonly places = new AsyncLocalStorage<Place>()
  private readonly asData = new WeakSet<Fn>()
  private handler: JobHandler | null = null
  private draining = false
  private undoing = false
  private moves = 0
  private checking = false

  constructor(
    stream: Duplex,
    private readonly options: GuestOptions,
  ) {
    this.link = new Link(stream, this)
  }

  frame(frame: Parameters<LinkOwner['frame']>[0]): void {
    if (frame.t === 'start') void this.start(frame.start as Start)
    else if (frame.t === 'drain') this.draining = true
    else if (frame.t === 'bye') this.options.leave(true)
  }

  closed(): void {
    this.options.leave(false)
  }

  private async start(start: Start): Promise<void> {
    if (start.job === null) return this.check(start)
    try {
      this.handler = await this.options.load(start)
    } catch (error) {
      return this.link.send({ t: 'unfit', error: this.link.wire.thrown(error) })
    }
    this.link.send({ t: 'loaded' })
    if (start.beatMs !== null) setInterval(() => this.link.send({ t: 'beat' }), start.beatMs).unref()
    this.undoing = start.undoing
    const { draining, ...data } = this.link.wire.decode(start.job) as JobContext<any>
    this.draining = draining
    try {
      const value = await this.places.run(null, async () => this.handler!.run(this.jobOf(data)))
      this.link.send({ t: 'returned', value: this.link.wire.encode(value, false) })
    } catch (error) {
      this.link.send({ t: 'threw', error: this.link.wire.thrown(error) })
    }
  }

  private async check(start: Start): Promise<void> {
    try {
      this.link.send({ t: 'found', types: await this.options.types(start) })
    } catch (error) {
      this.link.send({ t: 'unfit', error: this.link.wire.thrown(error) })
    }
  }

  named(name: string, [output, context]: unknown[]): unknown {
    if (name !== 'verify') throw new TypeError(`There is no ${name}.`)
    return this.handler?.settings.verify?.(output, context as { input: unknown })
  }

  at<T>(place: Place, fn: () => T): T {
    return this.places.run(place, fn)
  }

  place(): Place {
    return this.places.getStore() ?? null
  }

  /** What goes into a record is written as a record has it. */
  given(value: unknown, fn: Fn): unknown {
    return this.asData.has(fn) ? value : asJson(value)
  }

  /** Code between two calls runs in microtasks; what it starts is a move. Two turns of the loop without one mean that it waits. */
  moved(): void {
    this.moves++
    if (this.checking) return
    this.checking = true
    void this.untilStill()
  }

  private async untilStill(): Promise<void> {
    for (let seen = -1; seen !== this.moves; ) {
      seen = this.moves
      await turn()
      await turn()
    }
    this.checking = false
    this.link.send({ t: 'still', seen: this.link.seen })
  }

  /** A call that nobody waits for must not end the process when it fails. */
  private async ask(name: string, args: unknown[]): Promise<any> {
    return this.link.call(name, args)
  }

  private jobOf(data: Omit<JobContext<any>, 'draining'>): JobContext<any, any> {
    const guest = this
    const plain =
      (name: string) =>
      (...args: unknown[]) =>
        seen(this.ask(name, args))
    const log = Object.assign(this.note('log'), {
      ...{ debug: this.note('log.debug'), warn: this.note('log.warn'), error: this.note('log.error') },
    })
    return {
      ...data,
      get draining() {
        return guest.draining
      },
      step: plain('step') as never,
      stage: plain('stage') as never,
      first: plain('first') as never,
      process: plain('process') as never,
      sleep: plain('sleep') as never,
      waitFor: plain('waitFor') as never,
      callback: (name: string, options?: object) => seen(this.callback(name, options)) as never,
      approve: (gate: string, request: unknown) => {
        if (typeof request === 'function') this.asData.add(request as Fn)
        return seen(this.ask('approve', [gate, request]))
      },
      call: (child: { name: string }, input: unknown, options?: object) =>
        seen(this.ask('call', [{ name: child.name }, input, options])),
      map: ((...args: Parameters<Guest['map']>) => seen(this.map(...args))) as never,
      read: (name: string, fn: Fn) => seen(this.read(name, fn)) as never,
      open: (id: string) => seen(this.open(id)),
      file: (source: string | Uint8Array, options?: { name?: string }) => seen(this.file(source, options)),
      decision: (entry) => {
        checkDecision(entry, this.undoing ? null : (this.place()?.inside ?? null))
        if (!this.undoing) this.link.tell('decision', [asJson(entry)])
      },
      progress: (stage, update) => this.link.tell('progress', [stage, asJson(update ?? {})]),
      warn: (code, message) => this.link.tell('warn', [code, message]),
      log,
    }
  }

  private note(name: string) {
    return (message: string, data?: unknown) => {
      try {
        JSON.stringify(data)
        this.link.tell(name, [message, asJson(data)])
      } catch (error) {
        this.link.tell(name, [message, { note: `The data of this line cannot be written as JSON: ${error}` }])
      }
    }
  }

  private async callback(name: string, options?: object) {
    const made = await this.ask('callback', [name, options])
    return { ...made, result: () => seen(made.result()) }
  }

  /** The handler gets what it has read, not what JSON makes of it. */
  private async read(name: string, fn: Fn): Promise<unknown> {
    let value: unknown
    await this.ask('read', [name, async () => (value = await fn())])
    return value
  }

  /** The items stay here: what is no data need not become any. */
  private async map(name: string, items: readonly unknown[], fn: Fn, options: { key?: Fn } = {}): Promise<unknown> {
    const { key, ...more } = options
    const keys = key && items.map((item, i) => String(key(item, i)))
    return this.ask('map', [
      name,
      items.length,
      (i: number, context: unknown) => fn(items[i], context),
      { ...more, keys },
    ])
  }

  private async open(id: string): Promise<OpenFile> {
    const file = (await this.ask('open', [id])) as OpenFile
    return { ...file, stream: () => Readable.toWeb(createReadStream(file.path)) as ReadableStream<Uint8Array> }
  }

  /** Bytes go through the private folder of this process, which is removed with it. */
  private async file(source: string | Uint8Array, options: { name?: string } = {}): Promise<string> {
    if (typeof source === 'string') return this.ask('file', [source, options])
    const path = join(tmpdir(), `untildone-file-${randomBytes(6).toString('hex')}`)
    writeFileSync(path, source, { mode: 0o600 })
    return this.ask('file', [path, { ...options, name: options.name ?? null }])
  }
}

function seen<T>(called: Promise<T>): Promise<T> {
  called.catch(() => undefined)
  return called
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
