// The outside world of the scale demo, a process of its own: a model endpoint that writes down each effect before it
// answers, on one line of a file. It knows idempotency keys, as a vendor with a bill does: a repeat with the same key gets
// the first answer and is no effect. It knows nothing of jobs, workers and stores.
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [ledger, quickest, slowest] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
/** By key: the answer that the first request with it got, or is about to get. */
const answers = new Map()

createServer(async (request, response) => {
  let body = ''
  for await (const part of request) body += part
  const order = /^Order (\d+)\./.exec(JSON.parse(body).messages[1].content)?.[1]
  const key = request.headers['idempotency-key']
  const known = answers.get(key)
  appendFileSync(ledger, `${JSON.stringify({ what: known ? 'repeat' : 'effect', order: Number(order), key })}\n`)
  const content = `About order ${order}.`
  const later = new Promise((resolve) => setTimeout(resolve, quickest + Math.random() * (slowest - quickest)))
  answers.set(key, known ?? later)
  await (known ?? later)
  response.end(JSON.stringify({ choices: [{ message: { content } }] }))
}).listen(0, '127.0.0.1', function () {
  console.log(`http://127.0.0.1:${this.address().port}/v1`)
})
