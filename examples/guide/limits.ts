/** Limits and uniqueness in handler options; docs/guide/limits.md. */
import { defineJob } from 'untildone'
import { z } from 'zod'

// #region concurrency
export const render = defineJob('render', {
  input: z.object({ customer: z.string(), page: z.number() }),
})

export const renderHandler = render.handler(
  { limits: { concurrency: { key: ({ customer }) => customer, limit: 2 } } },
  async (job) => {
    await job.step('render', () => renderer.render(job.input.customer, job.input.page))
  },
)
// #endregion

// #region order
export const book = defineJob('book', {
  input: z.object({ account: z.string(), cents: z.int() }),
})

export const bookHandler = book.handler({ limits: { order: ({ account }) => account } }, async (job) => {
  await job.step('book', ({ key }) => ledger.push(`${job.input.account} ${job.input.cents} ${key.length}`))
})
// #endregion

// #region rate
export const notify = defineJob('notify', {
  input: z.object({ tenant: z.string(), text: z.string() }),
})

export const notifyHandler = notify.handler(
  { limits: { rate: { key: ({ tenant }) => tenant, limit: 30, per: '1m', burst: 5 } } },
  async (job) => {
    await job.step('send', () => sent.push(job.input.text))
  },
)
// #endregion

// #region unique
export const sync = defineJob('sync', {
  input: z.object({ shop: z.string(), since: z.string() }),
})

export const syncHandler = sync.handler({ unique: { key: ({ shop }) => shop } }, async (job) => {
  await job.sleep('work', '1m')
})
// #endregion

// #region window
export const digest = defineJob('digest', { input: z.object({ user: z.string() }) })

export const digestHandler = digest.handler({ unique: { for: '10m', onDuplicate: 'reject' } }, () => undefined)
// #endregion

/** Counts how many pages of a customer are rendered at once. */
export const renderer = {
  busy: new Map<string, number>(),
  most: 0,
  async render(customer: string, page: number): Promise<number> {
    const busy = (this.busy.get(customer) ?? 0) + 1
    this.busy.set(customer, busy)
    this.most = Math.max(this.most, busy)
    for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
    this.busy.set(customer, this.busy.get(customer)! - 1)
    return page
  },
}

/** What the handlers did, for the tests. */
export const ledger: string[] = []
export const sent: string[] = []
