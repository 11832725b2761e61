/**
 * Bugs on purpose in the telling, planted around the library and never in it, to show that the checker finds them.
 */
import { asking } from '../lib/plans.mjs'
import { over } from '../victim/seams.mjs'

export const BUGS = [
  'outbox written after the commit',
  'outbox emptied before its deliveries are stored',
  'delivery marked before the POST',
  'webhook-id minted per attempt',
]

const HONEST = { driver: (Driver) => Driver, store: (store) => store, post: (post) => post }

/** The places at which a bug can sit: the driver, the opened store, the sender. */
export function planted(bug, { passing }) {
  if (!bug) return HONEST
  if (!BUGS.includes(bug)) throw new Error(`There is no planted bug "${bug}".`)
  return { ...HONEST, ...MAKE[bug]({ passing }) }
}

const MAKE = {
  'outbox written after the commit': () => ({
    driver: (Driver) =>
      class extends Driver {
        transact(plan, write) {
          if (!write) return super.transact(plan, false)
          const late = []
          const answer = super.transact(() => without(plan(), late), true)
          if (late.length > 0) setImmediate(() => super.transact(() => again(late), true))
          return answer
        }
      },
  }),
  'outbox emptied before its deliveries are stored': () => ({
    store: (store) =>
      over(store, {
        webhooks: {
          ...store.webhooks,
          async tell({ happened, jobs }) {
            await store.webhooks.tell({ happened, jobs: new Map() })
            await store.submit([...jobs.values()].flat())
            return jobs.size
          },
        },
      }),
  }),
  'delivery marked before the POST': () => ({
    post: (post) => (request) => {
      void untilDelivered(post, request)
      return Promise.resolve({ delivered: true, status: 204, failure: null, durationMs: 1, retryAfterMs: null })
    },
  }),
  'webhook-id minted per attempt': () => ({
    store: (store) =>
      over(store, {
        async claim(request) {
          const claimed = await store.claim(request)
          return claimed.map((one) => (one.record.type === 'untildone.webhook' ? renamed(one) : one))
        },
      }),
  }),
}

/** The plan without what it writes into the outbox, which is kept for later. */
function without(plan, late) {
  return asking(plan, function* (statement) {
    if (!/^insert into outbox /.test(statement.sql)) return yield statement
    late.push(statement)
    return statement.params.map(() => 1)
  })
}

function* again(statements) {
  for (const statement of statements) yield statement
}

/** As long as the process lives it is delivered in the end; only a kill shows the bug. */
async function untilDelivered(post, { url, headers, body }) {
  for (let delivered = false; !delivered; ) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    ;({ delivered } = await post({ url, headers, body }))
  }
}

function renamed(claimed) {
  const { record, live } = claimed
  const input = JSON.parse(record.input)
  input.event.id = `${input.event.id}:${live.attempt}`
  return { ...claimed, record: { ...record, input: JSON.stringify(input) } }
}
