// The load of the scale demo: customers of the gateway, each of whom asks for an analysis, waits for its end, fetches the
// result and asks for the next. They repeat what was not answered, with its key, at the other API.
import { type AnalysisClient, createAnalysisClient } from '../../sdk/client.js'
import { enter } from './journal.js'

/** Every so many orders are sent twice although the first answer came: a client that crashed would do that. */
const TWICE = 10
const FILLING = 'The harbour office asks for a short account of it. Twelve boats left before noon, and two came back.'

export interface Numbers {
  accepted: number
  completed: number
  /** Answers that said 503 or 429, and connections that broke. */
  refused: number
  broken: number
  /** Milliseconds of the slowest answer. */
  slowest: number
}

/** What becomes of the analyses that were in flight at one moment. */
export interface Aftermath {
  inFlight: number
  /** Of these, how many had lost their worker in the middle, and after how many milliseconds they ended. */
  lost: number[]
}

export class Customers {
  readonly numbers: Numbers = { accepted: 0, completed: 0, refused: 0, broken: 0, slowest: 0 }
  private readonly clients: AnalysisClient[]
  private readonly inFlight = new Map<string, Promise<void>>()
  private readonly patience = new Set<AbortController>()
  private order = 0
  private open = true

  constructor(
    private readonly urls: readonly string[],
    private readonly journal: string,
  ) {
    this.clients = urls.map((url) => createAnalysisClient({ url, fetch: this.fetch }))
  }

  get waiting(): number {
    return this.inFlight.size
  }

  /** Resolves when all of them have gone home. */
  async come(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.customer()))
  }

  /** No more orders; what is under way is waited for. */
  close(): void {
    this.open = false
  }

  /** They wait no longer. */
  abort(): void {
    this.close()
    for (const one of this.patience) one.abort()
  }

  /** Numbers since the last time, for those that are rates. */
  since(): Numbers {
    const now = { ...this.numbers }
    Object.assign(this.numbers, { refused: 0, broken: 0, slowest: 0 })
    return now
  }

  /** Follows what is in flight now to its end. */
  async follow(): Promise<Aftermath> {
    const began = Date.now()
    const followed = [...this.inFlight]
    const lost: number[] = []
    await Promise.all(
      followed.map(async ([id, ended]) => {
        await ended
        const took = Date.now() - began
        if (await this.lostItsWorker(id)) lost.push(took)
      }),
    )
    return { inFlight: followed.length, lost }
  }

  private async customer(): Promise<void> {
    while (this.open) {
      const order = ++this.order
      const patience = new AbortController()
      this.patience.add(patience)
      const id = await this.accepted(order, patience.signal)
      if (id !== null) {
        const ended = this.ended(order, id, patience.signal)
        this.inFlight.set(id, ended)
        await ended
        this.inFlight.delete(id)
      }
      this.patience.delete(patience)
    }
  }

  /** Asks until somebody takes it. A customer who is sent away before that has ordered nothing. */
  private async accepted(order: number, signal: AbortSignal): Promise<string | null> {
    const request = { text: `Order ${order}. ${FILLING}`, analyses: ['statistics' as const, 'summary' as const] }
    const key = `order-${order}`
    const sendings = order % TWICE === 0 ? 2 : 1
    let id: string | null = null
    for (let sent = 0, turn = order; sent < sendings; turn++) {
      try {
        const answer = await this.at(turn).submit(request, { idempotencyKey: key, signal })
        enter(this.journal, { what: 'accepted', order, key, id: answer.jobId })
        if (id === null) this.numbers.accepted++
        id ??= answer.jobId
        sent++
      } catch {
        if (signal.aborted) return id
      }
    }
    return id
  }

  private async ended(order: number, id: string, signal: AbortSignal): Promise<void> {
    try {
      const { status } = await this.at(order + 1).wait(id, { signal })
      if (status !== 'completed') throw new Error(`it is ${status}`)
      const said = await this.result(order, id, signal)
      if (said !== `About order ${order}.`) throw new Error(`its result says "${said}"`)
      enter(this.journal, { what: 'completed', order, id })
      this.numbers.completed++
    } catch (error) {
      const why = signal.aborted ? 'had not ended when the demo had to' : (error as Error).message
      enter(this.journal, { what: 'other', order, id, why })
    }
  }

  private async result(order: number, id: string, signal: AbortSignal): Promise<string | undefined> {
    for (let turn = order; ; turn++) {
      try {
        return (await this.at(turn).result(id, signal)).documents[0]!.summary?.text
      } catch (error) {
        if (signal.aborted || turn > order + 5) throw error
      }
    }
  }

  /** What the attempts of the job say; for the story that is told, not for the reckoning. */
  private async lostItsWorker(id: string): Promise<boolean> {
    for (const url of this.urls) {
      try {
        const answer = await fetch(`${url}/v1/jobs/${id}/attempts`)
        if (answer.ok) return /"outcome":\s*"lost"/.test(await answer.text())
      } catch {
        // The other one knows it as well.
      }
    }
    return false
  }

  private at(turn: number): AnalysisClient {
    return this.clients[turn % this.clients.length]!
  }

  private fetch: typeof fetch = async (...request) => {
    const began = Date.now()
    try {
      const answer = await fetch(...request)
      if (answer.status === 503 || answer.status === 429) this.numbers.refused++
      return answer
    } catch (error) {
      if (!request[1]?.signal?.aborted) this.numbers.broken++
      throw error
    } finally {
      this.numbers.slowest = Math.max(this.numbers.slowest, Date.now() - began)
    }
  }
}
