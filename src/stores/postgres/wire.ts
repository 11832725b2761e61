/**
 * How statements travel over one connection: those that are asked in one turn of the loop leave together and are answered
 * together. `pg` asks for an answer to each, and each is then a packet of its own, which costs the server a call and wakes this
 * process. Knows no statement.
 */
import type { Duplex } from 'node:stream'
import type { PoolClient } from 'pg'
import { driverModule, parserOf } from './connections.js'

export interface Question {
  /** Under which the connection keeps it prepared; null: it does not. */
  name: string | null
  text: string
  values?: readonly (string | null)[]
}

export interface Answer {
  /** Such as `COMMIT`, or `ROLLBACK` where that is what a commit became. */
  command: string
  rowCount: number
  rows: any[]
}

const wires = new WeakMap<PoolClient, Wire>()

/** While statements may be on their way over it, its client is asked nothing else. */
export function wireOf(client: PoolClient): Wire {
  const known = wires.get(client)
  if (known) return known
  const made = new Wire(client)
  wires.set(client, made)
  return made
}

export class Wire {
  private packet: Packet | null = null
  private held = false
  private readonly kept = new Kept()
  private readonly stream: Duplex

  constructor(private readonly client: PoolClient) {
    this.stream = (client as unknown as { connection: { stream: Duplex } }).connection.stream
  }

  /**
   * Leaves with what else is asked in this turn. Where one fails, the server passes over those that follow it in the packet: they
   * fail with the same error.
   */
  ask(question: Question): Promise<Answer> {
    if (!this.held) {
      this.held = true
      this.stream.cork()
      process.nextTick(() => {
        this.seal()
        this.held = false
        this.stream.uncork()
      })
    }
    if (this.packet === null) {
      this.packet = packetOf(this.kept)
      this.client.query(this.packet)
    }
    return this.packet.add(question)
  }

  /** Is carried out whatever becomes of what was asked before. */
  askAlone(question: Question): Promise<Answer> {
    this.seal()
    const answer = this.ask(question)
    this.seal()
    return answer
  }

  /** The server begins with what has been asked in this turn, and answers when the rest is there. */
  push(): void {
    if (!this.held) return
    this.stream.uncork()
    this.stream.cork()
  }

  private seal(): void {
    this.packet?.end()
    this.packet = null
  }
}

/** How the rows of a statement are read. */
interface Shape {
  names: string[]
  parsers: ((text: string) => unknown)[]
  empty: Record<string, unknown>
}

interface Prepared {
  /** Its name at the server. */
  name: string
  /** Null: it has no rows. Undefined: that is not known yet. */
  shape: Shape | null | undefined
}

/** What a connection has prepared. */
class Kept {
  private readonly all = new Map<string, Prepared>()
  private doubts = 0

  get(name: string): Prepared | undefined {
    return this.all.get(name)
  }

  add(name: string): Prepared {
    const prepared: Prepared = { name: this.doubts === 0 ? name : `${name}.${this.doubts}`, shape: undefined }
    this.all.set(name, prepared)
    return prepared
  }

  /** An error came before it was known whether they are prepared; next time they are, under another name. */
  doubt(prepared: ReadonlySet<Prepared>): void {
    if (prepared.size === 0) return
    this.doubts++
    for (const [name, one] of this.all) if (prepared.has(one)) this.all.delete(name)
  }
}

/** What `pg` calls of a query, and a query of its connection. */
interface Connection {
  parse(of: { name: string; text: string }): void
  bind(to: { statement: string; values: readonly (string | null)[] }): void
  describe(what: { type: 'P' }): void
  execute(what: object): void
  sync(): void
}
interface Field {
  name: string
  dataTypeID: number
}

interface Waiting {
  prepared: Prepared | null
  /** With it, it was prepared. */
  first: boolean
  shape: Shape | null
  answer: Answer
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}

interface Packet {
  submit(connection: unknown): void
  add(question: Question): Promise<Answer>
  end(): void
}

let Made: (new (kept: Kept) => Packet) | null = null

function packetOf(kept: Kept): Packet {
  Made ??= packets()
  return new Made(kept)
}

/** Several statements that `pg` takes for one query. A class made late: `pg` is an optional peer. */
function packets(): new (kept: Kept) => Packet {
  // Where queries follow each other without waiting, `pg` takes none that are not of this class.
  const Query = driverModule().Query as unknown as new (text: string) => { callback?: () => void }
  return class extends Query implements Packet {
    private connection: Connection | null = null
    private readonly waiting: Waiting[] = []
    /** Which of them is being answered. */
    private at = 0
    private over = false

    constructor(private readonly kept: Kept) {
      super('')
    }

    submit(connection: Connection): void {
      this.connection = connection
    }

    add({ name, text, values = [] }: Question): Promise<Answer> {
      return new Promise((resolve, reject) => {
        const known = name === null ? undefined : this.kept.get(name)
        const prepared = known ?? (name === null ? null : this.kept.add(name))
        const answer = { command: '', rowCount: 0, rows: [] }
        this.waiting.push({ prepared, first: known === undefined, shape: null, answer, resolve, reject })
        const { connection } = this
        // One that cannot be asked anything any more says so in a moment.
        if (connection === null) return
        const statement = prepared?.name ?? ''
        if (known === undefined) connection.parse({ name: statement, text })
        connection.bind({ statement, values })
        if (prepared?.shape === undefined) connection.describe({ type: 'P' })
        connection.execute({})
      })
    }

    end(): void {
      this.connection?.sync()
    }

    handleRowDescription({ fields }: { fields: Field[] }): void {
      const waiting = this.waiting[this.at]!
      waiting.shape = shapeOf(fields)
      if (waiting.prepared) waiting.prepared.shape = waiting.shape
    }

    handleDataRow({ fields }: { fields: (string | null)[] }): void {
      const { shape, prepared, answer } = this.waiting[this.at]!
      answer.rows.push(rowOf((shape ?? prepared!.shape)!, fields))
    }

    handleCommandComplete({ text }: { text: string }): void {
      const { prepared, answer } = this.waiting[this.at++]!
      if (prepared && prepared.shape === undefined) prepared.shape = null
      const words = text.split(' ')
      answer.command = words[0]!
      // Of `CREATE TABLE` and the like there is no number.
      answer.rowCount = Number(words.at(-1)) || 0
    }

    handleReadyForQuery(): void {
      this.callback?.()
      for (const { resolve, answer } of this.waiting) resolve(answer)
    }

    handleError(error: unknown): void {
      this.callback?.()
      // A line that is lost is told to each query, and so may one be that has failed.
      if (this.over) return
      this.over = true
      const unsure = new Set<Prepared>()
      for (const [i, { first, prepared, answer, resolve, reject }] of this.waiting.entries()) {
        if (i < this.at) resolve(answer)
        else {
          if (first && prepared) unsure.add(prepared)
          reject(error)
        }
      }
      this.kept.doubt(unsure)
    }
  }
}

function shapeOf(fields: readonly Field[]): Shape {
  const names = fields.map(({ name }) => name)
  return {
    names,
    parsers: fields.map(({ dataTypeID }) => parserOf(dataTypeID)),
    empty: Object.fromEntries(names.map((name) => [name, null])),
  }
}

function rowOf({ names, parsers, empty }: Shape, fields: readonly (string | null)[]): Record<string, unknown> {
  // Like this all rows of a statement have one hidden class.
  const row = { ...empty }
  for (let i = 0; i < names.length; i++) {
    const text = fields[i]
    if (text !== null && text !== undefined) row[names[i]!] = parsers[i]!(text)
  }
  return row
}
