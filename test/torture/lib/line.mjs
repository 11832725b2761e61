/**
 * The line from a client to whichever server lives now. Waits while none does; what a death cut off is no answer.
 */
import { Agent, request } from 'node:http'
import { sleep } from './common.mjs'

export class Line {
  #urls = null
  #turn = 0
  /** Requests that were cut off. */
  errors = 0
  #up = null
  #closed = false
  #agent = new Agent({ keepAlive: true, maxSockets: 32 })

  constructor() {
    this.down()
  }

  /** Where the next request goes; null while nobody lives. */
  get url() {
    return this.#urls === null ? null : this.#urls[this.#turn++ % this.#urls.length]
  }

  down() {
    this.#urls = null
    this.#up ??= defer()
  }

  /** @param urls one, or several that are asked in turn */
  up(urls) {
    this.#urls = [urls].flat()
    this.#up?.resolve()
    this.#up = null
  }

  /** Whoever waits gets null. */
  close() {
    this.#closed = true
    this.#agent.destroy()
    this.down()
    this.#up.resolve()
  }

  /** One request to whichever server lives now. Null when it died meanwhile. */
  async send(method, path, { body, headers = {}, raw } = {}) {
    while (this.#urls === null && !this.#closed) await this.#up.promise
    const { url } = this
    if (url === null) return null
    const data = raw ?? (body === undefined ? null : JSON.stringify(body))
    return new Promise((resolve) => {
      const failed = () => {
        this.errors++
        resolve(null)
      }
      const out = request(
        `${url}${path}`,
        {
          method,
          agent: this.#agent,
          headers: {
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...(data === null ? {} : { 'content-length': Buffer.byteLength(data) }),
            ...headers,
          },
        },
        (answer) => {
          const parts = []
          answer.on('data', (part) => parts.push(part))
          answer.on('error', failed)
          answer.on('aborted', failed)
          answer.on('end', () => {
            if (!answer.complete) return failed()
            const text = Buffer.concat(parts).toString('utf8')
            resolve({ status: answer.statusCode, headers: answer.headers, json: text ? JSON.parse(text) : null })
          })
        },
      )
      out.setTimeout(20_000, () => out.destroy())
      out.on('error', failed)
      out.end(data ?? undefined)
    })
  }

  /** The same request until a server answers it: 5xx and silence are not answers. Null when the line was closed. */
  async insist(method, path, options) {
    for (;;) {
      const answer = await this.send(method, path, options)
      if (answer !== null && answer.status < 500) return answer
      if (this.#closed) return null
      await sleep(answer === null ? 5 : 30)
    }
  }
}

function defer() {
  let resolve
  const promise = new Promise((ok) => {
    resolve = ok
  })
  return { promise, resolve }
}
