// The whole way, from a site to a connector that works at the API that the site describes.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningSite } from './sites/serve.js'
import { HARBOR_KEY, harbor, LEDGER_TOKEN, ledger, opal } from './sites/sites.js'
import { all, type Bench, bench, importConnector, serveAll } from './support.js'

let sites: Awaited<ReturnType<typeof serveAll>>
let jobs: Bench
let [harborSite, ledgerSite, opalSite] = [] as RunningSite[]
beforeAll(async () => {
  sites = await serveAll(harbor(), ledger(), opal())
  ;[harborSite, ledgerSite, opalSite] = sites.running
  jobs = await bench({ sites: sites.running })
})
afterAll(async () => {
  await jobs?.stop()
  await sites?.close()
})

async function toConnector(session: string, applicationName: string, origin: string, objectClasses: string[]) {
  const found = await jobs.run('discovery.getCandidateLinks', session, { applicationName, startUrls: [origin] })
  const scraped = await jobs.run('scrape.getRelevantDocumentation', session, {})
  const digests = []
  for (const objectClass of objectClasses)
    digests.push(await jobs.run('digester.getObjectClass', session, { objectClass }))
  const made = await jobs.run('codegen.generateConnector', session, {})
  return { found, scraped, digests, made }
}

test('Harbor', async () => {
  const out = await toConnector('s-harbor', 'Harbor Desk', harborSite!.origin, ['Account', 'Ticket'])
  console.log(JSON.stringify(out.made.error ?? out.made.result, null, 1).slice(0, 3000), harborSite!.visits)
  const { createConnector } = await importConnector((out.made.result as any).files, jobs.dir)
  const c = createConnector({ apiKey: HARBOR_KEY })
  console.log((await all(c.accounts.list({ pageSize: 10 }))).length, harborSite!.api.requests)
  console.log(await c.accounts.create({ name: 'x', email: 'y' }), await c.accounts.update('acc-1', { name: 'z' }))
})
test('Ledger', async () => {
  const out = await toConnector('s-ledger', 'Ledger', ledgerSite!.origin, ['Customer'])
  console.log(JSON.stringify(out.made.error ?? out.made.result, null, 1).slice(0, 3000), ledgerSite!.visits)
  const { createConnector } = await importConnector((out.made.result as any).files, jobs.dir)
  const c = createConnector({ token: LEDGER_TOKEN })
  console.log((await all(c.customers.list())).length, ledgerSite!.api.requests)
  console.log(
    await c.customers.create({ company: 'x', currency: 'EUR' }),
    await c.customers.update('C-1000', { company: 'z' }),
  )
})
test('Opal', async () => {
  const out = await toConnector('s-opal', 'Opal', opalSite!.origin, ['Account'])
  console.log(JSON.stringify(out.digests, null, 1), opalSite!.visits, out.found.result, out.scraped.result)
})
