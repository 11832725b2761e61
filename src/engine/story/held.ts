/**
 * What is said of a job that a limit of its type holds: which limit, under which key, and how many others there are, as far
 * as that was read with the job.
 */
import type { JobLimits } from '../../core/job.js'
import type { Facts } from './facts.js'
import { count, iso, quoted, span } from './words.js'

const WHY = {
  concurrency: 'as many of its kind as may run at once do so',
  order: 'the one before it has not ended',
  rate: 'as many of its kind as may start in this time have',
} as const
type Kind = keyof typeof WHY

/** A job that was told its instant waits for its rate. */
function kindOf({ job: { live } }: Facts): Kind {
  return live!.held === null || live!.held === 'granted' ? 'rate' : live!.held
}

export function held(facts: Facts): string {
  return WHY[kindOf(facts)]
}

/** The limits it was submitted under, with the numbers that count now. */
function limitsOf({ job: { record }, type: { numbers } }: Facts): JobLimits {
  const { concurrency, order, rate } = record.options.limits ?? {}
  return {
    ...(concurrency ? { concurrency: { ...concurrency, limit: numbers?.concurrency ?? concurrency.limit } } : {}),
    ...(order === undefined ? {} : { order }),
    ...(rate ? { rate: { ...rate, ...numbers?.rate } } : {}),
  }
}

/** For operators: the limit with its key and number. */
export function limit(facts: Facts): string {
  const kind = kindOf(facts)
  const { concurrency, order, rate } = limitsOf(facts)
  if (kind === 'concurrency' && concurrency) return `${kind}${keyed(concurrency.key)}, ${concurrency.limit} at once`
  if (kind === 'order' && order !== undefined) return `${kind}${keyed(order)}`
  if (kind === 'rate' && rate) return `${kind}${keyed(rate.key)}, ${rate.limit} in ${span(rate.perMs)}`
  return kind
}

/** For callers: whom it waits for; null where nothing is known of it. */
export function line(facts: Facts): string | null {
  const { live, heldBy } = facts.job
  const { concurrency, order, rate } = limitsOf(facts)
  switch (kindOf(facts)) {
    case 'concurrency': {
      if (!concurrency) return null
      const those = `jobs ${whose(concurrency.key)}`
      return heldBy?.running == null
        ? `Waiting: other ${those} come first.`
        : `Waiting: ${heldBy.running} of ${concurrency.limit} ${those} are running.`
    }
    case 'order': {
      if (order === undefined) return null
      const ahead = heldBy?.ahead ?? null
      if (ahead === null) return `Waiting its turn: other jobs ${whose(order)} come first.`
      return `Waiting its turn: ${count(ahead, 'job')} ${whose(order)} ${ahead === 1 ? 'comes' : 'come'} first.`
    }
    case 'rate': {
      if (!rate) return null
      const most = `at most ${rate.limit} in ${span(rate.perMs)} start ${whose(rate.key)}`
      return live!.held === 'granted' ? `Waiting: ${most}; it starts ${iso(live!.runAt)}.` : `Waiting: ${most}.`
    }
  }
}

function keyed(key: string): string {
  return key === '' ? '' : ` ${quoted(key)}`
}

function whose(key: string): string {
  return key === '' ? 'of this type' : `for ${key}`
}
