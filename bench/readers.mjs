// The readers of (f), in a process of their own: many event streams or WebSockets, and when each got each event. One more
// never reads.
import { request } from 'node:http'
import { connect } from 'node:net'
import WebSocket from 'ws'

/** Of the machine, so that two processes can be compared. */
const clock = () => Number(process.hrtime.bigint()) / 1e6
const arrivals = new Map()
const open = []

process.on('message', async (message) => {
  if (message.open) {
    const { url, kind, count } = message.open
    const one = kind === 'sse' ? stream : socket
    for (let i = 0; i < count; i += 50)
      await Promise.all(Array.from({ length: Math.min(50, count - i) }, () => one(url)))
    process.send({ opened: open.length })
  }
  if (message.deaf) {
    open.push(deaf(message.deaf))
    process.send({ deaf: true })
  }
  if (message.report) process.send({ arrivals: [...arrivals] })
})

function got(jobId) {
  const at = clock()
  const list = arrivals.get(jobId)
  if (list) list.push(at)
  else arrivals.set(jobId, [at])
}

function stream(url) {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/v1/events/stream`, { agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
        for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
          const frame = text.slice(0, end)
          text = text.slice(end + 2)
          if (frame.includes('event: ready')) resolve()
          const job = /"jobId":"([^"]+)"/.exec(frame)
          if (job) got(job[1])
        }
      })
    })
    asked.on('error', reject)
    asked.end()
    open.push(asked)
  })
}

function socket(url) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, 'untildone.v1')
    ws.on('error', reject)
    ws.on('open', () => ws.send('{"op":"subscribe","ref":1}'))
    ws.on('message', (data) => {
      const text = String(data)
      if (text.startsWith('{"op":"subscribed"')) return resolve()
      const job = /"jobId":"([^"]+)"/.exec(text)
      if (job) got(job[1])
    })
    open.push(ws)
  })
}

/** Asks for the stream and takes nothing of it. */
function deaf(url) {
  const { hostname, port } = new URL(url)
  const silent = connect(Number(port), hostname)
  silent.pause()
  silent.on('error', () => {})
  silent.write(`GET /v1/events/stream HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`)
  return silent
}
