// Those who wait in (h), in a process of their own: through the client library, one connection each.
import WebSocket from 'ws'
import { load } from './lib/product.mjs'

const { createClient } = await load('client/index.js')

const clock = () => Number(process.hrtime.bigint()) / 1e6

process.on('message', async ({ url, kind, ids }) => {
  const arrivals = await Promise.all(
    ids.map(async (id) => {
      await KINDS[kind](createClient({ url }), id)
      return [id, clock()]
    }),
  )
  process.send({ arrivals })
})

const KINDS = {
  poll: (client, id) => client.result(id),
  async watch(client, id) {
    for await (const { done } of client.watch(id)) if (done) return
    throw new Error('The watch has ended before its job.')
  },
  async socket(client, id) {
    for await (const item of client.socket({ WebSocket }).subscribe({ jobId: [id] }))
      if (('job' in item ? item.job : item.data).done) return
    throw new Error('The subscription has ended before its job.')
  },
}
