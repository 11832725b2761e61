// The shop behind HTTP, with the troubles that real services have, on order.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Refused, type Shop } from './shop.js'

/**
 * What goes wrong with the next request to a path: it is refused as busy; the connection breaks, or hangs, before anything
 * was done; or the work is done and the answer never arrives.
 */
export const TROUBLES = ['busy', 'break-before', 'break-after', 'hang-before', 'hang-after'] as const
export type Trouble = (typeof TROUBLES)[number]

export interface RunningShop {
  url: string
  /** The next `times` requests whose path begins like this go wrong. */
  trouble(path: string, how: Trouble, times?: number): void
  close(): Promise<void>
}

/** Serves it on loopback. @param port 0 = any that is free */
export async function serveShop(shop: Shop, port = 0): Promise<RunningShop> {
  const troubles: { path: string; how: Trouble; left: number }[] = []
  const trouble = (path: string, how: Trouble, times = 1) => void troubles.push({ path, how, left: times })
  const order = (method: string | undefined, body: any) =>
    method === 'GET' ? troubles.filter(({ left }) => left > 0) : trouble(body.path, body.how, body.times)
  const next = (path: string): Trouble | null => {
    const found = troubles.find((one) => one.left > 0 && path.startsWith(one.path))
    if (found) found.left--
    return found?.how ?? null
  }
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://shop')
    const parts = pathname.split('/').slice(1).map(decodeURIComponent)
    const how = parts[0] === 'trouble' ? null : next(pathname)
    if (how === 'busy') return send(response, 503, { code: 'busy', error: 'The shop is busy.' })
    if (how === 'break-before') return request.socket.destroy()
    if (how === 'hang-before') return
    const body = await readBody(request)
    let status = 200
    let answer: unknown
    try {
      answer =
        parts[0] === 'trouble'
          ? order(request.method, body)
          : carryOut(shop, `${request.method} ${parts[0]} ${parts[2] ?? ''}`.trim(), parts[1] ?? '', {
              key: request.headers['idempotency-key'] as string | undefined,
              order: searchParams.get('order') ?? undefined,
              body,
            })
    } catch (error) {
      const { code = 'broken', message } = error as Refused
      status = error instanceof Refused ? error.status : 500
      answer = { code, error: message }
    }
    if (how === 'break-after') return request.socket.destroy()
    if (how !== 'hang-after') send(response, status, answer ?? {})
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    trouble,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function carryOut(
  shop: Shop,
  what: string,
  id: string,
  { key, order, body }: { key?: string; order?: string; body: any },
): unknown {
  const keyed = () => {
    if (key) return key
    throw new Refused(400, 'no-key', 'Send an Idempotency-Key.')
  }
  switch (what) {
    case 'GET orders':
      return shop.order(id)
    case 'GET tickets':
      return shop.ticket(id)
    case 'GET people':
      return shop.permissions(id)
    case 'GET refunds':
      return shop.findRefund(id) ?? { receipt: null }
    case 'GET effects':
      return shop.effects(order)
    case 'POST orders refunds':
      return shop.refund(id, body, keyed())
    case 'POST refunds void':
      return shop.voidRefund(id, keyed())
    case 'POST tickets answer':
      return shop.answer(id, body.text, keyed())
    // The people of the shop.
    case 'PUT people':
      return shop.allow(id, body)
    case 'PATCH orders':
      return shop.changeRefundable(id, body.refundable)
    case 'PATCH tickets':
      return shop.addToTicket(id, body.text)
  }
  throw new Refused(404, 'nothing-here', 'There is nothing here.')
}

async function readBody(request: IncomingMessage): Promise<any> {
  let all = ''
  for await (const chunk of request.setEncoding('utf8')) all += chunk
  if (all === '') return {}
  try {
    return JSON.parse(all)
  } catch {
    return {}
  }
}

function send(response: ServerResponse, status: number, answer: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
}
