// Serves a site: its pages, and the API that they describe, on a port of its own. `%ORIGIN%` in a page is the address.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ApiShape, RecordApi } from './record-api.js'

export interface SitePage {
  type: string
  body: string
}

export interface Site {
  name: string
  /** By path. */
  pages: Record<string, SitePage>
  api: ApiShape
}

export interface RunningSite {
  origin: string
  /** `127.0.0.1:54321`, as the crawler's list of hosts has it. */
  host: string
  api: RecordApi
  /** Paths of pages, as they were asked for. */
  visits: string[]
  /** Statuses to answer with once, by path. */
  trouble: Map<string, number[]>
  /** Pages that are answered only when this resolves, by path. */
  holds: Map<string, Promise<void>>
  close(): Promise<void>
}

/** @param port 0: any that is free */
export async function serveSite(site: Site, port = 0): Promise<RunningSite> {
  const api = new RecordApi(site.api)
  const visits: string[] = []
  const trouble = new Map<string, number[]>()
  const holds = new Map<string, Promise<void>>()
  let origin = ''
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', origin)
    const { method = 'GET', headers } = request
    const answer = api.answer({ method, url, headers: headers as Record<string, string>, body: await textOf(request) })
    if (answer) {
      send(
        response,
        answer.status,
        { 'content-type': 'application/json', ...answer.headers },
        JSON.stringify(answer.body),
      )
      return
    }
    visits.push(url.pathname)
    await holds.get(url.pathname)
    const page = site.pages[url.pathname]
    const status = trouble.get(url.pathname)?.shift() ?? (page ? 200 : 404)
    if (!page || status !== 200) send(response, status, { 'content-type': 'text/plain' }, `${status}`)
    else send(response, 200, { 'content-type': page.type }, page.body.replaceAll('%ORIGIN%', origin))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  origin = `http://${host}`
  return {
    origin,
    host,
    api,
    visits,
    trouble,
    holds,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  response.writeHead(status, headers).end(body)
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString('utf8')
}
