/** What `serve` does about errors that nobody caught: says so, fails the job that did it, and stops in good order. */
import { astray } from '../worker/stray.js'
import { cleanLines } from './text.js'

/** How many are written down: a log that cannot be written would be one after the other. */
const STRAYS_MAX = 20

/**
 * Errors that nobody caught. After one nobody knows what state this process is in, so it stops in good order and is started
 * again by whoever looks after it: the job that did it has failed an attempt, all others are given back, uncounted.
 */
export class Strays {
  private count = 0
  private stop: (() => void) | null = null
  constructor(private readonly say: (json: Record<string, unknown>, text: string) => void) {}

  get any(): boolean {
    return this.count > 0
  }

  met(error: unknown): void {
    const by = astray(error)
    if (++this.count > STRAYS_MAX) return
    const { message, stack = message } = error instanceof Error ? error : new Error(String(error))
    const where = by ? ` in the handler of ${by.type} (job ${by.jobId})` : ''
    this.say(
      { event: 'trouble', code: 'stray-error', message, stack, ...by },
      `trouble  nobody caught an error${where}, so this process stops: ${cleanLines(stack)}`,
    )
    this.stop?.()
  }

  /** `stop` is called once there is one, at once if there is. */
  onFirst(stop: () => void): void {
    this.stop = stop
    if (this.any) stop()
  }
}
