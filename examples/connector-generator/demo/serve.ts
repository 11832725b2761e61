// The example to look around in: server and sites on fixed ports, so that the addresses of the README can be typed.
import { resolve } from 'node:path'
import { settingsFrom } from '../lib/parts.js'
import { type RunningSite, serveSite } from '../sites/serve.js'
import { harbor, ledger, opal } from '../sites/sites.js'
import { start } from '../start.js'

export async function serve(port: number): Promise<void> {
  const sites: RunningSite[] = []
  for (const [index, site] of [harbor(), ledger(), opal()].entries()) {
    const running = await serveSite(site, port === 0 ? 0 : port + 1 + index)
    sites.push(running)
    console.log(`${site.name.padEnd(12)} ${running.origin}`)
  }
  const { model, hosts } = settingsFrom(process.env)
  const running = await start({
    port,
    dataDir: resolve('.untildone/connector-generator'),
    hosts: [...sites.map(({ host }) => host), ...hosts],
    seeds: sites.map(({ origin }) => origin),
    model,
  })
  console.log(`${'server'.padEnd(12)} ${running.url}  (documentation at ${running.url}/docs)`)
  console.log(
    `${'reads with'.padEnd(12)} ${model ? `${model.name} at ${model.baseUrl}` : 'the deterministic extractor'}`,
  )
  const stop = async () => {
    await running.stop()
    await Promise.all(sites.map((site) => site.close()))
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop())
}
