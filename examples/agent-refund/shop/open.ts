// The shop as a service: its file, filled on its first day, behind HTTP until it is closed.
import { fill } from './samples.js'
import { type RunningShop, serveShop } from './server.js'
import { Shop } from './shop.js'

export async function openShop(path: string, port = 0): Promise<RunningShop> {
  const shop = fill(new Shop(path))
  const running = await serveShop(shop, port)
  return {
    ...running,
    async close() {
      await running.close()
      shop.close()
    },
  }
}
