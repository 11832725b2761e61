// The example to look around in: the server on a fixed port, the shop on the next one or wherever SHOP_URL says, and a file
// with the keys of its people.
import { join, resolve } from 'node:path'
import { keptKeys } from '../people.js'
import { openShop } from '../shop/open.js'
import { start } from '../start.js'

export async function serve(port: number): Promise<void> {
  const dataDir = resolve('.untildone/agent-refund')
  const own = process.env.SHOP_URL ? null : await openShop(join(dataDir, 'shop.db'), port === 0 ? 0 : port + 1)
  const shop = process.env.SHOP_URL ?? own!.url
  const running = await start({ port, dataDir, shop })
  const keys = join(dataDir, 'people.env')
  await keptKeys(running.app, keys)
  const { OPENAI_BASE_URL, OPENAI_MODEL } = process.env
  const agent = OPENAI_BASE_URL && OPENAI_MODEL ? `${OPENAI_MODEL} at ${OPENAI_BASE_URL}` : 'the deterministic reader'
  for (const [what, where] of [
    ['shop', shop],
    ['agent', agent],
    ['keys', keys],
    ['server', `${running.url}  (documentation at ${running.url}/docs)`],
  ])
    console.log(`${what!.padEnd(8)} ${where}`)
  const stop = async () => {
    await running.stop()
    await own?.close()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop())
}
