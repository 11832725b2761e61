/** `untildone queues list`, `pause` and `resume`: how full the queues are, and whether anything of them is started. */
import { formatDuration } from '../../core/duration.js'
import { type CommandSpec, REASON } from '../command.js'
import { clean } from '../text.js'
import { printList } from './jobs-detail.js'

export const queuesList: CommandSpec = {
  usage: 'queues list',
  summary: 'how much waits and runs in each queue',
  examples: [['untildone queues list', 'OLDEST is how long the first of them has been waiting']],
  async run(context) {
    const queues = await context.client.queues.list({ signal: context.interrupted })
    const rows = queues.map((queue) => [
      clean(queue.name),
      queue.pause ? `paused by ${clean(queue.pause.actor.name ?? queue.pause.actor.id)}` : queue.paused ? 'paused' : '',
      `${queue.depth}`,
      queue.held === 0 ? '' : `${queue.held}`,
      queue.oldestAgeMs === null ? '' : formatDuration(queue.oldestAgeMs),
      queue.concurrency === null ? `${queue.running}` : `${queue.running} of ${queue.concurrency}`,
      clean(queue.pause?.reason ?? ''),
    ])
    const columns = [
      { title: 'QUEUE', key: true },
      { title: 'STATE' },
      { title: 'WAITING' },
      { title: 'HELD' },
      { title: 'OLDEST' },
      { title: 'RUNNING' },
      { title: 'REASON' },
    ]
    printList(context, queues, columns, rows, 'This server has no queues.')
  },
}

export const queuesPause: CommandSpec = {
  usage: 'queues pause <queue>',
  summary: 'start nothing of a queue; its jobs are still accepted',
  options: [REASON],
  examples: [
    ['untildone queues pause payments --reason "bank is down"', 'running jobs go on; a restart changes nothing'],
  ],
  async run(context, [name], options) {
    const queue = await context.client.queues.pause(name, { reason: options.reason, signal: context.interrupted })
    if (context.options.json) return context.printJson(queue)
    context.say(`Queue ${clean(queue.name)} is paused: ${queue.depth} waiting, ${queue.running} running.`)
  },
}

export const queuesResume: CommandSpec = {
  usage: 'queues resume <queue>',
  summary: 'go on with a queue',
  options: [REASON],
  examples: [['untildone queues resume payments', 'the worker looks at once']],
  async run(context, [name], options) {
    const queue = await context.client.queues.resume(name, { reason: options.reason, signal: context.interrupted })
    if (context.options.json) return context.printJson(queue)
    context.say(`Queue ${clean(queue.name)} goes on: ${queue.depth} waiting.`)
  },
}
