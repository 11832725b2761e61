// The load of figure (a), in a process of its own: presses one address with autocannon, keeps exact latencies.
import autocannon from 'autocannon'
import { percentile } from './lib/sample.mjs'

process.once('message', async ({ url, connections, seconds, body, keyed }) => {
  const press = (duration, name) => {
    let made = 0
    const latencies = []
    const why = new Map()
    const instance = autocannon({
      url,
      connections,
      duration,
      requests: [
        {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
          // Without keys the request is built once and sent again and again.
          ...(keyed
            ? {
                setupRequest: (request) => ({
                  ...request,
                  headers: { ...request.headers, 'idempotency-key': `${name}-${++made}` },
                }),
              }
            : {}),
        },
      ],
    })
    instance.on('response', (_client, status, _bytes, ms) => {
      if (status === 202) latencies.push(ms)
      else why.set(status, (why.get(status) ?? 0) + 1)
    })
    return new Promise((resolve, reject) => {
      instance.on('done', (result) => resolve({ result, latencies, why }))
      instance.on('error', reject)
    })
  }
  const warm = await press(1, 'warm')
  const { result, latencies, why } = await press(seconds, 'press')
  latencies.sort((a, b) => a - b)
  process.send({
    perSecond: latencies.length / result.duration,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    accepted: warm.latencies.length + latencies.length,
    failed: result.errors + result.timeouts + [...why.values()].reduce((sum, n) => sum + n, 0),
    why: JSON.stringify({ errors: result.errors, timeouts: result.timeouts, status: Object.fromEntries(why) }),
  })
})
