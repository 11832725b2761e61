/** The judge of the telling is shown a telling that is right, and then each kind of wrong that it must name. */
import { describe, expect, it } from 'vitest'
import { statusAfter } from '../../../src/core/lifecycle.js'
import { check } from './checker.mjs'
import { canaryOf } from './plan.mjs'

/** One job of each tenant; that of `a` is heard by two subscriptions and by the address that it names. */
function facts(): any {
  const history = [
    { seq: 1, event: 'submitted', state: 'queued', phase: 'queued', epoch: 0 },
    { seq: 2, event: 'claimed', state: 'running', phase: 'running', epoch: 1 },
    { seq: 3, event: 'succeeded', state: 'completed', phase: 'clean', epoch: 1 },
  ]
  const body = { type: 'told.small', groupId: 'g1', tags: ['us'] }
  const mine = { id: 'm', tenant: 'a', body, notify: [{ name: 'notify' }] }
  const theirs = { id: 't', tenant: 'b', body, notify: [] }
  const ledger: any[] = []
  const log = new Map<string, any[]>([
    ['m', []],
    ['t', []],
  ])
  const tell = (to: string, id: string, version: number, status: string) => {
    const data = { jobId: id, status, done: version === 3, version, previousStatus: null }
    const event = { id: `${id}:${version}`, type: `job.${status}`, data }
    const about = { plan: '204', problem: null, answered: 204 }
    ledger.push({ post: ledger.length + 1, to, id: event.id, ...about, body: JSON.stringify(event) })
    const delivery = { id: `d${ledger.length}`, webhookId: `wh-${to}`, eventId: event.id }
    log.get(id)!.push({ ...delivery, status: 'completed', attempts: 1, lastStatus: 204 })
  }
  tell('ends', 'm', 3, 'completed')
  tell('notify', 'm', 3, 'completed')
  tell('group', 'm', 1, 'accepted')
  tell('group', 'm', 2, 'processing')
  tell('group', 'm', 3, 'completed')
  tell('neighbour', 't', 3, 'completed')
  const tenants = { ends: 'a', eu: 'a', group: 'a', notify: 'a', neighbour: 'b' }
  const subscriptions = Object.entries(tenants).map(
    ([name, tenant]) => [name, { name, tenant, id: `wh-${name}` }] as const,
  )
  return {
    jobs: [mine, theirs],
    subscriptions: new Map(subscriptions),
    ledger,
    log,
    store: {
      jobs: new Map(['m', 't'].map((id) => [id, { id, history: structuredClone(history) }])),
      integrity: [] as string[],
    },
    statusAfter,
  }
}

function change(post: any, make: (event: any) => void) {
  const event = JSON.parse(post.body)
  make(event)
  post.body = JSON.stringify(event)
}

describe('checker of the telling', () => {
  it('finds nothing in a telling that is right, also when some of it came twice', () => {
    const f = facts()
    f.ledger.push({ ...f.ledger[0], post: 7, answered: null })
    f.log.get('m')[0].attempts = 3
    const { violations, counts } = check(f)
    expect(violations).toEqual([])
    expect(counts).toMatchObject({ jobs: 2, posts: 7, events: 6, again: 1 })
  })

  const wrongs: [what: string, invariant: string, make: (f: any) => void][] = [
    ['an end that never came', 'W1', (f) => f.ledger.shift()],
    ['an end that came and was never taken', 'W1', (f) => Object.assign(f.ledger[0], { answered: null })],
    ['an address named by the job that heard nothing', 'W1', (f) => f.ledger.splice(1, 1)],
    ['a beginning that never came', 'W1', (f) => f.ledger.splice(3, 1)],
    ['a delivery that was given up', 'W1', (f) => Object.assign(f.log.get('m')[0], { status: 'failed' })],
    ['a webhook-id of its own for a second try', 'W2', (f) => f.ledger.push({ ...f.ledger[0], id: 'm:3:2' })],
    ['an event that says another id', 'W2', (f) => change(f.ledger[0], (event) => Object.assign(event, { id: 'm:2' }))],
    ['a job that nobody submitted', 'W3', (f) => f.jobs.pop()],
    ['a job of the neighbour', 'W3', (f) => f.ledger.push({ ...f.ledger[5], to: 'ends' })],
    ['bytes of the neighbour', 'W3', (f) => change(f.ledger[0], (event) => (event.data.job = canaryOf('b')))],
    ['an event that was not asked for', 'W3', (f) => f.ledger.push({ ...f.ledger[2], to: 'ends' })],
    ['a job that does not fit the filter', 'W3', (f) => f.ledger.push({ ...f.ledger[0], to: 'eu' })],
    [
      'a signature that does not fit',
      'W4',
      (f) => Object.assign(f.ledger[0], { problem: 'webhook-signature-mismatch' }),
    ],
    ['another status', 'W5', (f) => change(f.ledger[0], (event) => Object.assign(event.data, { status: 'failed' }))],
    ['another version', 'W5', (f) => change(f.ledger[0], (event) => Object.assign(event.data, { version: 2 }))],
    ['two facts under one id', 'W5', (f) => change(f.ledger[4], (event) => Object.assign(event.data, { done: false }))],
    ['a request that the log does not name', 'W6', (f) => f.log.get('m').shift()],
    ['more requests than attempts', 'W6', (f) => f.ledger.push({ ...f.ledger[0], post: 7 })],
    ['two deliveries of one event', 'W6', (f) => f.log.get('m').push({ ...f.log.get('m')[0], id: 'd9' })],
    ['a delivery that nobody said yes to', 'W7', (f) => Object.assign(f.ledger[0], { answered: 500 })],
    ['an answer that was not given', 'W7', (f) => Object.assign(f.log.get('m')[0], { lastStatus: null })],
    ['a job that has not ended', 'L4', (f) => f.store.jobs.get('m').history.pop()],
    ['a damaged database', 'integrity', (f) => f.store.integrity.push('row 3 missing from index')],
  ]
  it.each(wrongs)('names %s (%s)', (_what, invariant, make) => {
    const f = facts()
    make(f)
    expect(check(f).violations.map((one: { invariant: string }) => one.invariant)).toContain(invariant)
  })
})
