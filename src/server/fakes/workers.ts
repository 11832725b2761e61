import { UntildoneError, type WireWorker } from '../../core/index.js'

/** Two workers: `w-1` is up until it is drained, `w-0` has ended. */
export class FakeWorkers {
  private state: WireWorker['state'] = 'up'
  constructor(private readonly calls: string[]) {}

  list(all: boolean): WireWorker[] {
    return [worker(this.state), ...(all ? [worker('gone', 'w-0')] : [])]
  }

  drain(id: string, reason: string | null | undefined): WireWorker {
    if (id !== 'w-1') throw new UntildoneError('not-found')
    this.calls.push(`drain ${id}${reason ? `: ${reason}` : ''}`)
    this.state = 'draining'
    return worker(this.state)
  }
}

function worker(state: WireWorker['state'], id = 'w-1'): WireWorker {
  return {
    ...{ id, host: 'host-1', pid: 17, state },
    startedAt: '2026-11-22T09:00:00.000Z',
    lastSeenAt: '2026-11-22T09:59:58.000Z',
    leaseUntil: '2026-11-22T10:00:28.000Z',
    types: [{ name: 'greet', version: '1' }],
    queues: null,
    running: 1,
    jobs: [{ type: 'greet', running: 1, oldestAgeMs: 2500 }],
  }
}
