// `node examples/agent-refund/shop.mjs [port] [file]`: the shop alone, on that port (8001), with its SQLite file (shop.db).
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url, { fsCache: false })
const { openShop } = await jiti.import('./shop/open.ts')
const shop = await openShop(process.argv[3] ?? 'shop.db', Number(process.argv[2] ?? 8001))
console.log(`shop     ${shop.url}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void shop.close())
