/** The little of a WebSocket that is used, so that the global one of browsers and the class of the package `ws` both fit. */

export interface SocketLike {
  send(data: string): void
  close(code?: number, reason?: string): void
  onopen: ((event: any) => any) | null
  onmessage: ((event: any) => any) | null
  onclose: ((event: any) => any) | null
  onerror: ((event: any) => any) | null
}

export type WebSocketClass = new (url: string, protocols?: string | string[]) => SocketLike

/** The given class, or the global one. @throws TypeError that says where to get one */
export function webSocketClass(given: WebSocketClass | undefined): WebSocketClass {
  const found = given ?? (globalThis as { WebSocket?: WebSocketClass }).WebSocket
  if (typeof found === 'function') return found
  throw new TypeError(
    "There is no WebSocket in this runtime. In Node 20: npm install ws, import WebSocket from 'ws', and give it: " +
      'client.socket({ WebSocket }). Or use client.events(), which needs none.',
  )
}
