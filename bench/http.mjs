// (a) Durable submits over HTTP, beside the same server with the store call left out. The load comes from a second process.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LOCAL, load, sqlite } from './lib/product.mjs'
import { INPUT, inFolder, openApp } from './lib/tools.mjs'

const { createServer, listen } = await load('server/index.js')

const CONNECTIONS = [1, 16, 64]
/** One connection waits for one fsync per submit, which no server can help; many share it. */
const AIMED = 16
const BODY = JSON.stringify({ type: 'noop', input: INPUT })

export async function measure({ quick, runs, dir, log }) {
  const seconds = quick ? 1 : 3
  const found = new Map()
  log(`  bodies of ${BODY.length} bytes, ${seconds} s each, no worker`)
  for (let run = 0; run < runs; run++) {
    for (const keyed of [false, true]) {
      for (const connections of CONNECTIONS) {
        // One after the other, so that both meet the same weather.
        for (const stored of [false, true]) {
          const name = `${connections} ${keyed} ${stored}`
          const answer = await inFolder(dir, (folder) => press(folder, { connections, keyed, stored, seconds }))
          found.set(name, [...(found.get(name) ?? []), answer])
        }
      }
    }
  }
  const rows = []
  for (const keyed of [false, true]) {
    for (const connections of CONNECTIONS) {
      const of = (stored, what) => found.get(`${connections} ${keyed} ${stored}`).map((answer) => answer[what])
      const label = `${connections} connection${connections > 1 ? 's' : ''}, ${keyed ? 'with' : 'no'} Idempotency-Key`
      const compare = (what) => ({ values: of(true, what), beside: ['without the store', of(false, what)] })
      const aimed = connections === AIMED
      rows.push(
        {
          figure: 'a',
          name: label,
          unit: 'submits/s',
          ...compare('perSecond'),
          aim: { ratio: 0.4 },
        },
        { figure: 'a', name: `${label}: p99`, unit: 'ms', ...compare('p99'), aim: aimed ? { below: 10 } : undefined },
      )
    }
  }
  return rows
}

/** Starts a server over a fresh database, presses it from another process and counts what is stored. */
async function press(folder, { connections, keyed, stored, seconds }) {
  const store = sqlite(join(folder, 'bench.db'))
  const app = await openApp(folder, { worker: false, store: stored ? store : withoutStore(store) })
  const listening = await listen(createServer(app.engine), { port: 0 })
  const press = fork(fileURLToPath(new URL('./load.mjs', import.meta.url)))
  try {
    press.send({ url: `${listening.url}/v1/jobs`, connections, seconds, body: BODY, keyed })
    const [answer] = await once(press, 'message')
    if (answer.failed > 0) throw new Error(`${answer.failed} requests failed: ${answer.why}`)
    const { unfinished } = await app.engine.check(LOCAL)
    if (stored && unfinished < answer.accepted)
      throw new Error(`${answer.accepted} submits were acknowledged and ${unfinished} are stored.`)
    return answer
  } finally {
    press.kill()
    await listening.close()
    await app.stop()
  }
}

/** The same store, whose submit and look-up of keys answer at once: HTTP, JSON, validation and view stay. */
function withoutStore(factory) {
  return {
    async open(env) {
      const store = await factory.open(env)
      store.submit = async (jobs) => jobs.map(({ record }) => ({ outcome: 'created', jobId: record.id }))
      store.keyed = async () => null
      return store
    },
  }
}
