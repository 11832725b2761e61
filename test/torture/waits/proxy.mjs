/**
 * A bad line between clients and server: cuts connections, in the middle of a frame too, holds bytes back, splits them,
 * drips some, and lets a few fall silent without closing them. Bytes that it does deliver are in order and unchanged.
 */
import { writeSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { chance } from '../lib/common.mjs'

const { TORTURE_SEED, TORTURE_SILENT } = process.env
const r = chance(Number(TORTURE_SEED))
/** Of a hundred lines so many drip, and so many fall silent some time. */
const DRIPPING = 3
const SILENT = Number(TORTURE_SILENT)
const TICK_MS = 100
/** A connection is cut once in this time on average. */
const LIFE_MS = 45_000

const lines = new Set()
const counts = { opened: 0, cut: 0, refused: 0, silenced: 0 }
let port = 0
let bad = true

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

class Line {
  silent = false
  #ends
  #drips = r.int(1, 100) <= DRIPPING

  constructor(client) {
    const server = connect(port, '127.0.0.1')
    this.#ends = [client, server]
    for (const end of this.#ends) {
      end.setNoDelay(true)
      end.on('error', () => this.cut())
      end.on('close', () => this.cut())
    }
    server.on('error', () => counts.refused++)
    this.#pump(client, server, false)
    this.#pump(server, client, true)
    lines.add(this)
    counts.opened++
  }

  cut() {
    if (!lines.delete(this)) return
    for (const end of this.#ends) end.destroy()
  }

  #pump(from, to, down) {
    from.on('end', () => to.end())
    from.on('data', async (chunk) => {
      from.pause()
      for (const piece of this.#pieces(chunk, down)) {
        if (piece.waitMs > 0) await sleep(piece.waitMs)
        if (this.silent || to.destroyed) return
        if (!to.write(piece.bytes)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve))
        if (piece.last) {
          counts.cut++
          return this.cut()
        }
      }
      from.resume()
    })
  }

  /** How this chunk goes over the line. */
  #pieces(bytes, down) {
    if (!bad) return [{ bytes, waitMs: 0 }]
    if (down && this.#drips) {
      const pieces = []
      for (let at = 0; at < bytes.length; at += 200) pieces.push({ bytes: bytes.subarray(at, at + 200), waitMs: 50 })
      return pieces
    }
    const middle = r.int(0, bytes.length)
    if (r.happens(0.002)) return [{ bytes: bytes.subarray(0, middle), waitMs: r.int(0, 30), last: true }]
    if (r.happens(0.1)) {
      return [
        { bytes: bytes.subarray(0, middle), waitMs: 0 },
        { bytes: bytes.subarray(middle), waitMs: r.int(1, 60) },
      ]
    }
    return [{ bytes, waitMs: r.happens(0.2) ? r.int(1, 40) : 0 }]
  }
}

const server = createServer({ noDelay: true }, (client) => {
  client.on('error', () => {})
  if (port === 0) client.destroy()
  else new Line(client)
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  writeSync(3, `${JSON.stringify({ ready: `http://127.0.0.1:${server.address().port}` })}\n`)
})

setInterval(() => {
  if (!bad) return
  for (const line of lines) {
    if (r.next() >= TICK_MS / LIFE_MS) continue
    if (r.int(1, 100) <= SILENT) {
      line.silent = true
      counts.silenced++
    } else {
      counts.cut++
      line.cut()
    }
  }
}, TICK_MS)

createInterface({ input: process.stdin })
  .on('line', (text) => {
    const order = JSON.parse(text)
    if (order.port !== undefined) port = order.port
    if (order.bad !== undefined) bad = order.bad
    if (order.counts) writeSync(3, `${JSON.stringify({ counts })}\n`)
  })
  .on('close', () => process.exit(0))
