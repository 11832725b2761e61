/**
 * What handlers in other processes meet: a place outside that writes down who came, and lets them wait there until the
 * test lets them go. So a test knows what runs where, and nobody needs to sleep.
 */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from '../../src/testing/until.js'

export interface Visit {
  point: string
  worker: string
  job: string
  attempt: number
  /** Whether the visitor still waits for an answer. */
  waiting: boolean
}

export class World {
  readonly visits: Visit[] = []
  private readonly held = new Set<string>()
  private readonly answers = new Map<Visit, ServerResponse>()
  private constructor(private readonly server: Server) {}

  static async open(): Promise<World> {
    const server = createServer((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part) => parts.push(part))
      request.on('end', () => world.receive(JSON.parse(String(Buffer.concat(parts))), response))
    })
    // A visitor that was frozen for a while finds its connection as it left it.
    server.keepAliveTimeout = 0
    const world = new World(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return world
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  private receive(about: Omit<Visit, 'waiting'>, response: ServerResponse): void {
    const visit: Visit = { ...about, waiting: this.held.has(about.point) }
    this.visits.push(visit)
    if (!visit.waiting) return void response.end('{}')
    this.answers.set(visit, response)
    response.on('close', () => {
      visit.waiting = false
      this.answers.delete(visit)
    })
  }

  /** From now on whoever comes to this point waits there. */
  hold(point: string): void {
    this.held.add(point)
  }

  /** Lets them go on, and those that come later. */
  release(point: string): void {
    this.held.delete(point)
    for (const [visit, response] of this.answers) if (visit.point === point) response.end('{}')
  }

  releaseAll(): void {
    for (const point of [...this.held]) this.release(point)
  }

  at(point: string): Visit[] {
    return this.visits.filter((visit) => visit.point === point)
  }

  /** Resolves with the visits of a point once there are so many. */
  async reached(point: string, count = 1, which: (visit: Visit) => boolean = () => true): Promise<Visit[]> {
    return await until(
      () => {
        const found = this.at(point).filter(which)
        return found.length >= count && found
      },
      `${count} at ${point}`,
      20_000,
    )
  }

  /** Resolves with the first such visit. */
  some(which: (visit: Visit) => boolean): Promise<Visit> {
    return until(() => this.visits.find(which), 'a visit', 20_000)
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}
