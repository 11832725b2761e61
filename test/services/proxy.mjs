/**
 * A line to a server that can be cut, slowed and fall silent, as networks do. Between what is tested and any TCP server;
 * plain Node, so that harnesses can use it too.
 */
import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** @param target where the lines lead: `{ host, port }` */
export async function startProxy(target) {
  const proxy = new LineProxy(target)
  await proxy.listen()
  return proxy
}

class LineProxy {
  /** Milliseconds that everything is late, in both directions. */
  late = 0
  /** New lines are refused, as by a server that is down. */
  refusing = false
  /** How often something was sent after an answer had come: what is sent together counts once. */
  ways = 0
  /** Lines there have been. */
  count = 0
  #lines = new Set()
  #watches = []
  #server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))

  constructor(target) {
    this.target = target
  }

  listen() {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', () => {
        this.port = this.#server.address().port
        resolve()
      })
    })
  }

  /** The address with this line instead of the direct one. */
  through(url) {
    const changed = new URL(url)
    changed.hostname = '127.0.0.1'
    changed.port = String(this.port)
    return changed.href
  }

  /** Cuts all lines now; both ends are told. */
  cut() {
    for (const line of this.#lines) line.cut()
  }

  /** From now on nothing passes on these lines, and nobody is told: a cable that was pulled. New lines work. */
  silence() {
    for (const line of this.#lines) line.silent = true
  }

  /**
   * Does something to a line the next time it carries this text (or what matches it), before the text is passed on.
   * @param to `server` or `client`
   * @param action `cut`, `silence` or a function of the line; the text is passed on unless the line is cut or silent by then
   * @returns a promise of its having happened
   */
  when(to, text, action) {
    return new Promise((happened) => this.#watches.push({ to, text, action, happened }))
  }

  /** What was still to happen to a line does not happen any more. */
  forget() {
    this.#watches = []
  }

  async close() {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client) {
    this.count++
    client.on('error', () => {})
    if (this.refusing) {
      client.resetAndDestroy()
      return
    }
    const server = connect({ ...this.target, allowHalfOpen: true })
    server.on('error', () => line.cut())
    const line = {
      silent: false,
      last: 'client',
      cut: () => {
        this.#lines.delete(line)
        client.destroy()
        server.destroy()
      },
      /** The client loses it; what it has sent is still on its way. */
      drop: () => client.destroy(),
    }
    // A killed client resets its line; the server has to hear of it, as it would without us.
    client.on('error', () => {
      if (!line.silent) line.cut()
    })
    this.#lines.add(line)
    this.#carry(client, server, 'server', line)
    this.#carry(server, client, 'client', line)
  }

  #carry(from, into, to, line) {
    let before = Promise.resolve()
    const pass = (work) => {
      if (this.late === 0) return work()
      const at = Date.now() + this.late
      before = before.then(() => delay(Math.max(0, at - Date.now()))).then(work)
    }
    from.on('data', (chunk) => {
      if (line.silent) return
      if (to === 'server' && line.last !== to) this.ways++
      line.last = to
      this.#watch(chunk, to, line)
      if (!line.silent) pass(() => into.destroyed || into.write(chunk))
    })
    from.on('end', () => {
      if (!line.silent) pass(() => into.end())
    })
    from.on('close', () => {
      if (!line.silent && from.destroyed && into.destroyed) this.#lines.delete(line)
    })
  }

  #watch(chunk, to, line) {
    const text = chunk.toString('latin1')
    for (const watch of [...this.#watches]) {
      if (watch.to !== to || !(watch.text instanceof RegExp ? watch.text.test(text) : text.includes(watch.text)))
        continue
      this.#watches.splice(this.#watches.indexOf(watch), 1)
      if (watch.action === 'cut') {
        line.silent = true
        line.cut()
      } else if (watch.action === 'silence') line.silent = true
      else watch.action(line)
      watch.happened()
    }
  }
}
