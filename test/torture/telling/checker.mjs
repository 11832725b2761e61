/**
 * The judge of the telling: what came at the receiver is held against what was submitted, what the store holds and what
 * the library says of its deliveries. Pure; knows nothing of processes or kills.
 *
 * W1 every event of a filter came at least once, W2 always under one id, W3 nothing came that is another's, W4 it was
 * signed, W5 it says what the history says, W6 the log names what came, W7 the log claims nothing that did not come.
 */
import { canaryOf, hearersOf } from './plan.mjs'

const TENANTS = ['a', 'b']
const TOLD = ['job.accepted', 'job.processing', 'job.completed', 'job.failed', 'job.cancelled']

/**
 * @param facts `jobs` (acknowledged: id, tenant, body, notify), `subscriptions` by name, `ledger` (posts in order:
 *   to, id, problem, body, answered), `log` (job id → deliveries as the API shows them), `store` (rows as tables.mjs reads
 *   them), `statusAfter` (of a history entry), `lies` (what was found out before)
 * @returns every violation as `{ invariant, job, text }`, and what was counted
 */
export function check({ jobs, subscriptions, ledger, log, store, statusAfter, lies = [] }) {
  const violations = [...lies]
  const found = (invariant, job, text) => violations.push({ invariant, job, text })
  const events = new Map(jobs.map((job) => [job.id, eventsOf(store.jobs.get(job.id), statusAfter)]))
  const known = new Map(jobs.map((job) => [job.id, job]))
  const came = new Map()
  for (const post of ledger) {
    const event = checkPost(post, { known, events, subscriptions }, found)
    if (event) came.set(`${post.to}\n${event.id}`, [...(came.get(`${post.to}\n${event.id}`) ?? []), post])
  }
  checkFacts(ledger, found)
  for (const job of jobs) {
    checkHeard(job, events.get(job.id), came, found)
    checkLog(job, { log: log.get(job.id) ?? [], came, subscriptions }, found)
  }
  for (const text of store.integrity) found('integrity', null, text)
  return { violations, counts: countAll(jobs, ledger, came, log) }
}

/** The events of a job by their id, as its history has them. */
function eventsOf(job, statusAfter) {
  const events = new Map()
  let before = null
  for (const entry of job?.history ?? []) {
    const status = statusAfter(entry)
    const id = `${job.id}:${entry.seq}`
    if (status !== before) events.set(id, { id, type: `job.${status}`, status, version: entry.seq })
    before = status
  }
  return events
}

/** W2 to W5 of a single request. @returns the event that it tells of, if it is one */
function checkPost({ post, to, id, problem, body }, { known, events, subscriptions }, found) {
  if (problem !== null) return found('W4', null, `post ${post} to ${to} does not verify: ${problem}`)
  const told = JSON.parse(body)
  const { jobId, status, version } = told.data
  const subscription = subscriptions.get(to)
  if (!subscription) return found('W3', jobId, `post ${post} went to ${to}, where nobody is`)
  for (const tenant of TENANTS)
    if (tenant !== subscription.tenant && body.includes(canaryOf(tenant)))
      found('W3', jobId, `post ${post} to ${to} carries bytes of tenant ${tenant}`)
  const job = known.get(jobId)
  if (!job) return found('W3', jobId, `post ${post} to ${to} is about a job that nobody submitted`)
  if (job.tenant !== subscription.tenant)
    return found('W3', jobId, `post ${post} to ${to} is about a job of tenant ${job.tenant}`)
  if (told.id !== id) found('W2', jobId, `post ${post} to ${to} has webhook-id ${id} and the event says ${told.id}`)
  const event = events.get(jobId).get(id)
  if (!event) return found('W2', jobId, `post ${post} to ${to} has webhook-id ${id}, which is no event of this job`)
  if (told.type !== event.type || status !== event.status || version !== event.version)
    found(
      'W5',
      jobId,
      `${id} told ${told.type}, ${status} at ${version}; its history says ${event.status} at ${event.version}`,
    )
  if (!hearersOf(job, event.type).has(to)) found('W3', jobId, `${event.type} came at ${to}, which did not ask for it`)
  return event
}

/** W5: under one id there is one set of facts, wherever and however often it came. */
function checkFacts(ledger, found) {
  const first = new Map()
  for (const { id, body, problem } of ledger) {
    if (problem !== null) continue
    const { type, data } = JSON.parse(body)
    const facts = JSON.stringify([type, data.jobId, data.status, data.done, data.version, data.previousStatus])
    if ((first.get(id) ?? facts) !== facts)
      found('W5', data.jobId, `under the id ${id} there are different facts: ${first.get(id)} and ${facts}`)
    first.set(id, facts)
  }
}

/** W1: whoever must hear of it did, and the receiver said yes. */
function checkHeard(job, events, came, found) {
  if (![...events.values()].some(({ type }) => /completed|failed|cancelled/.test(type)))
    found('L4', job.id, 'it has not ended')
  for (const { id, type } of events.values()) {
    if (!TOLD.includes(type)) continue
    for (const to of hearersOf(job, type)) {
      const posts = came.get(`${to}\n${id}`) ?? []
      if (posts.length === 0) found('W1', job.id, `${type} (${id}) never came at ${to}`)
      else if (!posts.some(({ answered }) => answered === 204))
        found('W1', job.id, `${type} (${id}) came at ${to} ${posts.length} times and was never answered with a yes`)
    }
  }
}

/** W6, W7: the log of a job and what came. */
function checkLog(job, { log, came, subscriptions }, found) {
  const names = new Map([...subscriptions.values()].map(({ id, name }) => [id, name]))
  const logged = new Map()
  for (const delivery of log) {
    const { id, webhookId, eventId, status, attempts, lastStatus } = delivery
    const key = `${names.get(webhookId)}\n${eventId}`
    if (logged.has(key)) found('W6', job.id, `${eventId} has two deliveries to ${names.get(webhookId)}`)
    logged.set(key, delivery)
    const posts = came.get(key) ?? []
    if (status !== 'completed') found('W1', job.id, `delivery ${id} of ${eventId} is ${status} at rest`)
    else if (!posts.some(({ answered }) => answered === 204))
      found('W7', job.id, `delivery ${id} of ${eventId} is completed, but the receiver never said yes`)
    if (status === 'completed' && lastStatus !== 204)
      found('W7', job.id, `delivery ${id} of ${eventId} says that it was answered ${lastStatus}`)
    if (attempts < posts.length)
      found('W6', job.id, `delivery ${id} of ${eventId} counts ${attempts} attempts; the receiver saw ${posts.length}`)
  }
  for (const [key, posts] of came) {
    if (!key.includes(`\n${job.id}:`) || logged.has(key)) continue
    const [to, eventId] = key.split('\n')
    found('W6', job.id, `${eventId} came at ${to} ${posts.length} times and is not in the log of its job`)
  }
}

function countAll(jobs, ledger, came, log) {
  const counts = { jobs: jobs.length, posts: ledger.length, events: came.size, again: ledger.length - came.size }
  const per = (plan) => ledger.filter((post) => post.plan === plan).length
  const attempts = [...log.values()].flat().reduce((sum, delivery) => sum + delivery.attempts, 0)
  return { ...counts, refused: per('500'), hungUp: per('hang up'), late: per('late'), attempts }
}
