/**
 * Who is told of what in the torture of the telling: subscriptions, the jobs that are submitted, and a second opinion on
 * which of the one must hear of which of the other. Takes nothing from the library.
 */

const ENDS = ['job.completed', 'job.failed', 'job.cancelled']

/**
 * Subscriptions by name; the name is also the path at the receiver. Tenant `b` has jobs of the same types, groups and
 * tags as `a`, so that only the tenant keeps them apart.
 */
export const SUBSCRIPTIONS = {
  ends: { tenant: 'a', filter: { types: ['told.*'] } },
  eu: {
    tenant: 'a',
    events: ['job.failed', 'job.cancelled'],
    filter: { tags: ['eu', 'ch'] },
    payload: 'full',
    signing: 'ed25519',
  },
  group: {
    tenant: 'a',
    events: ['job.accepted', 'job.processing', ...ENDS],
    filter: { groupId: 'g1' },
    format: 'cloudevents',
  },
  neighbour: { tenant: 'b', payload: 'full' },
}

/** Where jobs of `a` send what they name in `notify`; signed with the secret of the tenant's signer. */
export const NOTIFY = 'notify'

const SCRIPTS = [
  'complete',
  'complete',
  'complete',
  'fail',
  'fail',
  'transient',
  'slow',
  'cancelQueued',
  'cancelRunning',
]

/**
 * A job to submit: tenant, body (without `notify`), what it names (`name`: a subscription, or `NOTIFY` for an address) and
 * what the client does besides.
 */
export function drawTold(r, serial) {
  const tenant = r.happens(0.8) ? 'a' : 'b'
  const script = r.pick(SCRIPTS)
  const body = {
    type: r.pick(['told.small', 'told.small', 'told.large', 'plain']),
    input: { script, serial, canary: canaryOf(tenant), waitMs: r.int(20, 200) },
    ...(r.happens(0.4) ? { groupId: r.pick(['g1', 'g2']) } : {}),
    ...(r.happens(0.4) ? { tags: r.pick([['eu'], ['us'], ['us', 'ch']]) } : {}),
    ...(script === 'cancelQueued' ? { runAt: '2200-01-01T00:00:00Z' } : {}),
  }
  const names = tenant === 'b' || r.happens(0.6) ? [] : [r.pick([NOTIFY, NOTIFY, 'eu'])]
  const notify = names.map((name) => ({
    name,
    events: r.pick([undefined, undefined, ['job.completed', 'job.processing']]),
  }))
  return { tenant, body, notify, act: script.startsWith('cancel') ? script : null }
}

/** A text that only jobs of this tenant hold; nobody else may ever see a byte of it. */
export const canaryOf = (tenant) => `canary-of-${tenant}-${'x'.repeat(20)}`

/** Names of those who must hear of this event of this job: its own opinion, written from the documentation. */
export function hearersOf({ tenant, body, notify }, type) {
  const hearers = new Set()
  for (const [name, { tenant: owner, events = ENDS, filter = {} }] of Object.entries(SUBSCRIPTIONS)) {
    if (owner !== tenant || !events.includes(type)) continue
    const { types, groupId, tags } = filter
    if (types && !types.some((one) => (one.endsWith('*') ? body.type.startsWith(one.slice(0, -1)) : body.type === one)))
      continue
    if (groupId && body.groupId !== groupId) continue
    if (tags && !tags.some((tag) => body.tags?.includes(tag))) continue
    hearers.add(name)
  }
  for (const { name, events = ENDS } of notify) if (events.includes(type)) hearers.add(name)
  return hearers
}
