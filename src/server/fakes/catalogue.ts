/** The one job type and the one queue of the fake engine: shown, paused and resumed. Never in the package. */
import { UntildoneError, type WireJobType } from '../../core/index.js'
import { blankTypeStory, jobType, queue } from './samples.js'

export class Catalogue {
  /** `type/greet`, `queue/default`. */
  readonly paused = new Set<string>()

  /** @param calls what is done is noted there */
  constructor(
    private readonly calls: string[],
    private readonly completion: () => WireJobType['completion'],
  ) {}

  types(): WireJobType[] {
    return [{ ...jobType(this.completion()), paused: this.paused.has('type/greet') }]
  }

  type(name: string): WireJobType {
    if (name !== 'greet') throw new UntildoneError('not-found')
    return this.types()[0]!
  }

  typeStory(name: string, from: string | null) {
    this.type(name)
    return blankTypeStory(name, from)
  }

  pauseType(name: string, on: boolean, reason: string | null | undefined) {
    this.pause('type', name, on, reason)
    return this.type(name)
  }

  queues() {
    return [queue(this.paused.has('queue/default'))]
  }

  pauseQueue(name: string, on: boolean, reason: string | null | undefined) {
    this.pause('queue', name, on, reason)
    return queue(on)
  }

  private pause(kind: 'type' | 'queue', name: string, on: boolean, reason: string | null | undefined): void {
    if (name !== (kind === 'type' ? 'greet' : 'default')) throw new UntildoneError('not-found')
    this.calls.push(`${on ? 'pause' : 'resume'} ${kind}/${name}${reason ? `: ${reason}` : ''}`)
    if (on) this.paused.add(`${kind}/${name}`)
    else this.paused.delete(`${kind}/${name}`)
  }
}
