/** `untildone workers list` and `drain`: who runs jobs, which ones, and letting one take no more of them. */
import { formatDuration } from '../../core/duration.js'
import type { WireWorker } from '../../core/wire.js'
import { type CommandSpec, REASON } from '../command.js'
import { ago, clean, count } from '../text.js'
import { printList } from './jobs-detail.js'

export const workersList: CommandSpec = {
  usage: 'workers list',
  summary: 'who runs jobs, and which',
  details: `All processes that share the database are in it; webhooks are delivered by a worker of their own.
Lost is who has not been heard of for 30 s: its jobs go on elsewhere.`,
  options: [{ flags: '--all', text: 'those that have ended in order, too' }],
  examples: [['untildone workers list', 'OLDEST is how long the first of its jobs has been running']],
  async run(context, _args, { all }) {
    const workers = await context.client.workers.list({ all: all === true, signal: context.interrupted })
    const now = context.now()
    const columns = [
      { title: 'WORKER', key: true },
      { title: 'STATE' },
      { title: 'HOST', shrinkTo: 8 },
      { title: 'PID' },
      { title: 'RUNNING' },
      { title: 'OLDEST' },
      { title: 'SEEN' },
      { title: 'SINCE' },
      { title: 'QUEUES', shrinkTo: 6 },
      { title: 'TYPES', shrinkTo: 8 },
    ]
    const rows = workers.map((worker) => [
      worker.id,
      worker.state,
      clean(worker.host),
      `${worker.pid}`,
      running(worker),
      worker.jobs[0] ? formatDuration(worker.jobs[0].oldestAgeMs) : '',
      ago(worker.lastSeenAt, now),
      ago(worker.startedAt, now),
      clean(worker.queues?.join(' ') ?? 'all'),
      clean(worker.types?.map(({ name }) => name).join(' ') ?? ''),
    ])
    printList(context, workers, columns, rows, 'No worker is there. Start one: untildone serve --roles worker')
  },
}

export const workersDrain: CommandSpec = {
  usage: 'workers drain <id>',
  summary: 'let a worker take no more jobs',
  details: `It hears of it within 5 s, wherever it runs. Running steps end, however long they take, and
their jobs go on elsewhere; nothing counts as a try. Its process stays, without work, until it
is started again: TERM stops it.`,
  options: [REASON],
  examples: [['untildone workers drain w-7Q2mZ0aB --reason "host is to be replaced"', 'then stop its process']],
  async run(context, [id], options) {
    const worker = await context.client.workers.drain(id, { reason: options.reason, signal: context.interrupted })
    if (context.options.json) return context.printJson(worker)
    context.say(SAID[worker.state](worker))
  },
}

const SAID: Record<WireWorker['state'], (worker: WireWorker) => string> = {
  up: ({ id }) => `Worker ${id} will drain.`,
  draining: ({ id, running }) =>
    `Worker ${id} takes no more jobs from its next heartbeat on; ${running === 0 ? 'nothing runs now' : `${count(running, 'job')} may end the current step`}. See: untildone workers list`,
  lost: ({ id }) =>
    `Worker ${id} has not been heard of lately; its jobs go on elsewhere. Should it come back, it drains.`,
  gone: ({ id }) => `Worker ${id} has ended already.`,
}

/** `3`, or with several types `ocr 2, mail 1`. */
function running({ running, jobs }: WireWorker): string {
  if (jobs.length < 2) return `${running}`
  return `${running}: ${jobs.map((one) => `${clean(one.type)} ${one.running}`).join(', ')}`
}
