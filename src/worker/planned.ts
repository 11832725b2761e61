/**
 * Places of a worker, counted by queue and type.
 */

/** Those that are taken, or that a claim plans to fill: lanes of one queue or type share its limit. */
export class Planned {
  total = 0
  private readonly queues = new Map<string, number>()
  private readonly types = new Map<string, number>()
  add(queue: string, type: string, by: number): void {
    this.total += by
    this.queues.set(queue, this.queue(queue) + by)
    this.types.set(type, this.type(type) + by)
  }
  queue(name: string): number {
    return this.queues.get(name) ?? 0
  }
  type(name: string): number {
    return this.types.get(name) ?? 0
  }
}
