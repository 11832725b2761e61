// The demo: what a client of the older API does and sees, and then what the connectors can do. All that it prints was
// answered by a server; what the connectors did is looked up at the APIs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningSite, serveSite } from '../sites/serve.js'
import { HARBOR_KEY, harbor, LEDGER_TOKEN, ledger, opal } from '../sites/sites.js'
import { type Running, start } from '../start.js'
import { type Answer, OldApi } from './old-api.js'

const line = (text = '') => console.log(text)

export async function demo(load: (file: string) => Promise<any>): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-connector-demo-'))
  const sites = await Promise.all([harbor(), ledger(), opal()].map((site) => serveSite(site)))
  const running = await start({ dataDir: dir, hosts: sites.map(({ host }) => host), seeds: [] })
  try {
    line('Connectors out of documentation, over the older API. Nothing leaves this machine.\n')
    line(`  server  ${running.url}`)
    const [first, second, third] = sites as [RunningSite, RunningSite, RunningSite]
    const api = new OldApi(running.url, line)

    line('\nHarbor Desk: an OpenAPI document, an API key, numbered pages')
    const desk = await toConnector(api, 'harbor', 'Harbor Desk', first, ['Account', 'Ticket'])
    const harborModule = await load(write(dir, 'harbor', desk.result.files))
    const atDesk = { objects: harborModule.createConnector({ apiKey: HARBOR_KEY }).accounts, collection: 'accounts' }
    const { idAttribute: accountId } = harborModule.objectClasses.Account
    const account = { name: 'Seven Seas', email: 'hello@sevenseas.example' }
    const isDesk = await use({ ...atDesk, id: accountId, site: first }, account, { seats: 40 })

    line('\nLedger: HTML prose only, a bearer token, cursors, PUT')
    const books = await toConnector(api, 'ledger', 'Ledger', second, ['Customer'])
    const ledgerModule = await load(write(dir, 'ledger', books.result.files))
    const inBooks = {
      objects: ledgerModule.createConnector({ token: LEDGER_TOKEN }).customers,
      collection: 'customers',
    }
    const { idAttribute: customerId } = ledgerModule.objectClasses.Customer
    const customer = { company: 'Seven Seas', currency: 'EUR' }
    const areBooks = await use({ ...inBooks, id: customerId, site: second }, customer, { credit_limit: 900 })

    line('\nOpal CRM: names its objects, but not their fields')
    await api.job('opal', 'discovery', { applicationName: 'Opal CRM', startUrls: [third.origin] })
    await api.job('opal', 'scrape', {})
    const refused = await api.job('opal', 'digester', { objectClass: 'Account' })
    for (const text of refused.errors ?? []) line(`                ${text}`)

    await tellSession(api, running, 'harbor')
    if (isDesk && areBooks && refused.status === 'failed') return 0
    line('\nThis is not what was promised, so it ends with exit code 1.')
    return 1
  } finally {
    await running.stop()
    await Promise.all(sites.map((site) => site.close()))
    rmSync(dir, { recursive: true, force: true })
  }
}

async function toConnector(
  api: OldApi,
  session: string,
  name: string,
  site: RunningSite,
  classes: string[],
): Promise<Answer> {
  const found = await api.job(session, 'discovery', { applicationName: name, startUrls: [site.origin] })
  for (const url of found.result.candidateLinks) line(`                ${new URL(url).pathname}`)
  await api.job(session, 'scrape', {})
  for (const objectClass of classes) {
    const { result } = await api.job(session, 'digester', { objectClass })
    const { attributes, auth, paging, operations } = result.objectClass
    const can = Object.keys(operations).filter((one) => operations[one])
    line(
      `                ${objectClass}: ${attributes.length} fields, ${can.join(' ')}; auth ${auth.kind}, paging ${paging.kind}`,
    )
  }
  const made = await api.job(session, 'codegen', {})
  line(`                ${made.result.files.map(({ path }: { path: string }) => path).join(' ')}`)
  line(`                ${made.result.checkedWith}, strict: nothing to complain about`)
  return made
}

function write(dir: string, name: string, files: { path: string; content: string }[]): string {
  const folder = mkdtempSync(join(dir, `${name}-`))
  for (const { path, content } of files) writeFileSync(join(folder, path), content)
  return join(folder, 'index.ts')
}

interface Used {
  objects: any
  collection: string
  /** Name of the member that addresses an object. */
  id: string
  site: RunningSite
}

/** Lists, creates and changes, and says what the API has of it; false if that is not what it should be. */
async function use(
  { objects, collection, id, site: { api } }: Used,
  object: object,
  changes: object,
): Promise<boolean> {
  let count = 0
  for await (const _ of objects.list()) count++
  const there = api.records(collection).length
  line(`  connector     list    ${count} of ${there} ${collection}, in ${api.requests.length} requests`)
  const created = await objects.create(object)
  const stored = () => JSON.stringify(api.records(collection).at(-1))
  line(`                create  ${stored()}`)
  await objects.update(created[id], changes)
  line(`                update  ${stored()}`)
  return count === there && stored() === JSON.stringify({ [id]: created[id], ...object, ...changes })
}

async function tellSession(api: OldApi, { parts }: Running, id: string): Promise<void> {
  line(`\nThe session "${id}": what is there, and which job it is from`)
  const jobs = await api.jobs(id)
  for (const { part, jobId, at } of parts.sessions.read(id)!.parts) {
    const job = jobs.find((one) => one.jobId === jobId)
    line(`  ${part.padEnd(20)}  ${at}  ${job?.jobType} ${jobId} ${job?.status}`)
  }
}
