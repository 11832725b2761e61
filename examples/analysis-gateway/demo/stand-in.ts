// A stand-in for a language model in the demo: it answers each text with its first sentence, and the first requests not at
// all. Its address is OpenAI's, its judgement is nobody's.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StandIn {
  baseUrl: string
  /** What it has answered so far, as HTTP statuses. */
  answered: number[]
  close(): void
}

export async function standIn(refusals: readonly number[]): Promise<StandIn> {
  const answered: number[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    const text: string = JSON.parse(body).messages[1].content
    const refusal = refusals[answered.length]
    answered.push(refusal ?? 200)
    if (refusal) return void response.writeHead(refusal, { 'retry-after': '1' }).end()
    const [content = text] = /^.*?[.!?](?=\s|$)/s.exec(text) ?? []
    response.end(JSON.stringify({ choices: [{ message: { content } }] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    answered,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
