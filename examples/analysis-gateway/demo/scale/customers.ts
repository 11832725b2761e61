// The load of the scale demo: customers of the gateway, each of whom asks for an analysis, waits for its end, fetches the
// result and asks for the next. They repeat what was not answered, with its key, at the other API.
import { type AnalysisClient, type AnalysisClientOptions, createAnalysisClient } from '../../sdk/client.js'
import { enter } from './journal.js'

/** Every so many orders are sent twice although the first answer came: a client that crashed would do that. */
const TWICE = 10
const FILLING = 'The harbour office asks for a short account of it. Twelve boats left before noon, and two came back.'

/** Orders have a key and are repeated with it; looks at a status or a result need none. */
export interface Requests {
  orders: number
  looks: number
}

/** Since somebody asked the last time. */
export interface Numbers {
  /** Answers that said 503 or 429. */
  refused: number
  /** Requests whose connection broke before there was an answer. */
  broken: Requests
  /** Requests that nobody was there to listen to, so that nothing was sent. */
  unheard: Requests
  /** Milliseconds of the slowest answer, or of the request that has waited longest for one until now. */
  slowest: number
}

/** What becomes of the analyses that are in flight at one moment. */
export interface Followed {
  inFlight: number
  /** When all have ended, or their customers have gone. */
  after: Promise<Aftermath>
}

export interface Aftermath {
  inFlight: number
  /** How many of these have ended with the result of their order. */
  ended: number
  /** Of each that had lost its worker in the middle: after how many milliseconds it ended. */
  lost: number[]
}

const nothing = (): Numbers => ({
  ...{ refused: 0, slowest: 0 },
  ...{ broken: { orders: 0, looks: 0 }, unheard: { orders: 0, looks: 0 } },
})

export class Customers {
  accepted = 0
  completed = 0
  private numbers = nothing()
  private readonly clients: AnalysisClient[]
  private readonly inFlight = new Map<string, Promise<boolean>>()
  /** When each request began that has no answer yet. */
  private readonly open = new Map<symbol, number>()
  private readonly patience = new Set<AbortController>()
  private order = 0
  private orders = true

  constructor(
    private readonly urls: readonly string[],
    private readonly journal: string,
    /** For tests. */
    private readonly how: Pick<AnalysisClientOptions, 'fetch' | 'sleep'> = {},
  ) {
    this.clients = urls.map((url) => createAnalysisClient({ url, ...how, fetch: this.fetch }))
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
    this.orders = false
  }

  /** They wait no longer. */
  abort(): void {
    this.close()
    for (const one of this.patience) one.abort()
  }

  /** What happened since the last time. */
  since(): Numbers {
    const { numbers } = this
    const now = Date.now()
    for (const began of this.open.values()) numbers.slowest = Math.max(numbers.slowest, now - began)
    this.numbers = nothing()
    return numbers
  }

  /** Follows what is in flight now to its end. */
  follow(): Followed {
    const began = Date.now()
    const followed = [...this.inFlight]
    const inFlight = followed.length
    const after = async (): Promise<Aftermath> => {
      const lost: number[] = []
      let ended = 0
      await Promise.all(
        followed.map(async ([id, end]) => {
          if (await end) ended++
          const took = Date.now() - began
          if (await this.lostItsWorker(id)) lost.push(took)
        }),
      )
      return { inFlight, ended, lost }
    }
    return { inFlight, after: after() }
  }

  private async customer(): Promise<void> {
    while (this.orders) {
      const order = ++this.order
      const patience = new AbortController()
      this.patience.add(patience)
      const id = await this.taken(order, patience.signal)
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
  private async taken(order: number, signal: AbortSignal): Promise<string | null> {
    const request = { text: `Order ${order}. ${FILLING}`, analyses: ['statistics' as const, 'summary' as const] }
    const key = `order-${order}`
    const sendings = order % TWICE === 0 ? 2 : 1
    let id: string | null = null
    for (let sent = 0, turn = order; sent < sendings; turn++) {
      try {
        const answer = await this.at(turn).submit(request, { idempotencyKey: key, signal })
        enter(this.journal, { what: 'accepted', order, key, id: answer.jobId })
        if (id === null) this.accepted++
        id ??= answer.jobId
        sent++
      } catch {
        if (signal.aborted) return id
      }
    }
    return id
  }

  /** True: with the result of this order. */
  private async ended(order: number, id: string, signal: AbortSignal): Promise<boolean> {
    try {
      const { status } = await this.at(order + 1).wait(id, { signal })
      if (status !== 'completed') throw new Error(`it is ${status}`)
      const said = await this.result(order, id, signal)
      if (said !== `About order ${order}.`) throw new Error(`its result says "${said}"`)
      enter(this.journal, { what: 'completed', order, id })
      this.completed++
      return true
    } catch (error) {
      const why = signal.aborted ? 'had not ended when the demo had to' : (error as Error).message
      enter(this.journal, { what: 'other', order, id, why })
      return false
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
        const answer = await (this.how.fetch ?? fetch)(`${url}/v1/jobs/${id}/attempts`)
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

  private fetch: typeof fetch = async (url, init) => {
    const began = Date.now()
    const request = Symbol('request')
    this.open.set(request, began)
    try {
      const answer = await (this.how.fetch ?? fetch)(url, init)
      if (answer.status === 503 || answer.status === 429) this.numbers.refused++
      return answer
    } catch (error) {
      const { broken, unheard } = this.numbers
      const code = (error as { cause?: { code?: string } }).cause?.code
      if (!init?.signal?.aborted)
        (code === 'ECONNREFUSED' ? unheard : broken)[init?.method === 'POST' ? 'orders' : 'looks']++
      throw error
    } finally {
      this.open.delete(request)
      this.numbers.slowest = Math.max(this.numbers.slowest, Date.now() - began)
    }
  }
}
