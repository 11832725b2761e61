/** A WebSocket as a client would use it, message by message. Never in the package. */
import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'

interface Closing {
  code: number
  reason: string
}

export class SocketClient {
  readonly ws: WebSocket
  readonly closed: Promise<Closing>
  readonly pings: number[] = []
  readonly #messages: any[] = []
  #wake: (() => void) | null = null
  #closing: Closing | null = null

  private constructor(ws: WebSocket) {
    this.ws = ws
    ws.on('message', (data) => {
      this.#messages.push(JSON.parse(String(data)))
      this.#wake?.()
    })
    ws.on('error', () => {})
    this.closed = new Promise((resolve) =>
      ws.once('close', (code, reason) => {
        this.#closing = { code, reason: String(reason) }
        resolve(this.#closing)
        this.#wake?.()
      }),
    )
  }

  /** An open socket, or the answer that refused it. */
  static async open(
    url: string,
    options: { headers?: Record<string, string>; protocols?: string[]; autoPong?: boolean } = {},
  ): Promise<{ socket: SocketClient; refusal: null } | { socket: null; refusal: Response }> {
    const { headers = {}, protocols = ['untildone.v1'], autoPong = true } = options
    const ws = new WebSocket(url.replace(/^http/, 'ws'), protocols, { headers, autoPong })
    const client = new SocketClient(ws)
    return new Promise((resolve, reject) => {
      ws.once('open', () => resolve({ socket: client, refusal: null }))
      ws.once('unexpected-response', (_request, answer) => {
        read(answer).then((refusal) => {
          ws.terminate()
          resolve({ socket: null, refusal })
        }, reject)
      })
      ws.once('error', reject)
    })
  }

  send(value: unknown): void {
    this.ws.send(typeof value === 'string' ? value : JSON.stringify(value))
  }

  /** The next message; null when the socket was closed before it came. */
  async next(): Promise<any> {
    while (this.#messages.length === 0 && !this.#closing) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#messages.shift() ?? null
  }

  async take(count: number): Promise<any[]> {
    const messages: any[] = []
    while (messages.length < count) {
      const message = await this.next()
      if (message === null) throw new Error(`Closed with ${this.#closing!.code} after ${messages.length} of ${count}.`)
      messages.push(message)
    }
    return messages
  }

  /** What came and was not taken. */
  get waiting(): readonly any[] {
    return this.#messages
  }
}

async function read(answer: IncomingMessage): Promise<Response> {
  const chunks: Uint8Array[] = []
  for await (const chunk of answer) chunks.push(chunk)
  const headers = new Headers()
  for (const [name, value] of Object.entries(answer.headers)) headers.set(name, String(value))
  return new Response(Buffer.concat(chunks), { status: answer.statusCode!, headers })
}
