// The whole way through the older API, from the address of a site to a connector that works at the API that the site
// describes. What the connector did is looked up at the API itself.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningSite } from './sites/serve.js'
import { HARBOR_KEY, harbor, LEDGER_TOKEN, ledger, opal } from './sites/sites.js'
import { all, type Bench, bench, importConnector, serveAll } from './support.js'

let sites: Awaited<ReturnType<typeof serveAll>>
let jobs: Bench
let harborSite: RunningSite
let ledgerSite: RunningSite
let opalSite: RunningSite
beforeAll(async () => {
  sites = await serveAll(harbor(), ledger(), opal())
  ;[harborSite, ledgerSite, opalSite] = sites.running as [RunningSite, RunningSite, RunningSite]
  jobs = await bench(sites.running)
})
afterAll(async () => {
  await jobs?.stop()
  await sites?.close()
})

/** Everything up to the digester. */
async function scraped(session: string, applicationName: string, { origin }: RunningSite) {
  const discovery = await jobs.run(session, 'discovery', { applicationName, startUrls: [origin] })
  const scrape = await jobs.run(session, 'scrape', {})
  return { discovery, scrape }
}

test('a site with an OpenAPI document: API key, numbered pages', { timeout: 60_000 }, async () => {
  const { discovery, scrape } = await scraped('harbor', 'Harbor Desk', harborSite)
  expect(discovery).toMatchObject({
    status: 'finished',
    result: {
      candidateLinks: ['/developers/openapi.yaml', '/developers/getting-started'].map(
        (path) => harborSite.origin + path,
      ),
      searchQuery: 'Harbor Desk API documentation',
      totalFound: 2,
    },
  })
  expect(scrape.result).toMatchObject({ totalProcessed: 2, totalSkipped: 0 })
  // robots.txt keeps /internal/ to itself, and no other host was asked.
  expect(harborSite.visits).not.toContain('/internal/metrics')

  const account = await jobs.run('harbor', 'digester', { objectClass: 'Account' })
  const ticket = await jobs.run('harbor', 'digester', { objectClass: 'ticket' })
  expect(account.result.objectClass).toMatchObject({
    idAttribute: 'id',
    baseUrl: `${harborSite.origin}/api/v1`,
    auth: { kind: 'header', name: 'X-Harbor-Key' },
    paging: { kind: 'page', page: 'page', size: 'per_page', first: 1, pages: ['meta', 'pages'] },
  })
  expect(fieldsOf(account.result)).toEqual([
    'id string readonly',
    'created_at datetime readonly',
    'parent object readonly',
    'name string required',
    'email string required',
    'tier string basic|plus|premium',
    'seats integer',
    'active boolean',
    'tags array',
  ])
  expect(fieldsOf(ticket.result)).toEqual([
    'id integer readonly',
    'account_id string required',
    'subject string required',
    'priority string low|normal|urgent',
    'opened_on date readonly',
  ])

  const made = await jobs.run('harbor', 'codegen', {})
  expect(made.result).toMatchObject({
    language: 'typescript',
    entry: 'index.ts',
    objectClasses: [
      { name: 'Account', operations: ['list', 'get', 'create', 'update'] },
      { name: 'ticket', operations: ['list', 'get', 'create', 'update'] },
    ],
    checkedWith: expect.stringMatching(/^TypeScript \d/),
  })
  const { createConnector, ConnectorError } = await importConnector(made.result.files, jobs.dir)
  const connector = createConnector({ apiKey: HARBOR_KEY })
  const { api } = harborSite
  const accounts = await all<any>(connector.accounts.list())
  expect(accounts.map(({ id }) => id)).toEqual(api.records('accounts').map(({ id }) => id))
  expect(api.requests.filter((request) => request.startsWith('GET /api/v1/accounts'))).toEqual(
    [1, 2, 3].map((page) => `GET /api/v1/accounts?page=${page}`),
  )
  const created = await connector.accounts.create({ name: 'New', email: 'new@harbor.example', tags: ['us'] })
  expect(api.records('accounts').at(-1)).toEqual({
    id: created.id,
    name: 'New',
    email: 'new@harbor.example',
    tags: ['us'],
  })
  await connector.accounts.update('acc-2', { seats: 99 })
  expect(api.records('accounts')[1]).toMatchObject({ id: 'acc-2', name: 'Harbor account 2', seats: 99 })
  expect(await connector.tickets.get(3)).toMatchObject({ id: 3, subject: 'Question 3' })
  await expect(createConnector({ apiKey: 'wrong' }).accounts.get('acc-1')).rejects.toThrow(ConnectorError)
  // The same file that stands in the result can be fetched from the product.
  const [{ file, content }] = made.result.files
  expect(await (await fetch(`${jobs.url}/v1/files/${file}`)).text()).toBe(content)
})

test('a site in HTML prose only: bearer token, cursors, PUT', { timeout: 60_000 }, async () => {
  const { discovery } = await scraped('ledger', 'Ledger', ledgerSite)
  expect(discovery.result.candidateLinks.toSorted()).toEqual(
    ['authentication', 'conventions', 'customers'].map((page) => `${ledgerSite.origin}/api/${page}`),
  )
  const customer = await jobs.run('ledger', 'digester', { objectClass: 'Customer' })
  expect(customer.result.objectClass).toMatchObject({
    idAttribute: 'customer_id',
    baseUrl: `${ledgerSite.origin}/v2`,
    auth: { kind: 'bearer' },
    paging: { kind: 'cursor', cursor: 'cursor', size: 'limit', next: ['paging', 'next_cursor'] },
    operations: { update: { method: 'PUT', path: '/customers/{id}' } },
  })
  expect(fieldsOf(customer.result)).toEqual([
    'customer_id string readonly',
    'company string required',
    'vat_number string',
    'currency string required EUR|USD|CHF',
    'credit_limit number',
    'balance number readonly',
    'blocked boolean',
    'opened date readonly',
  ])

  const made = await jobs.run('ledger', 'codegen', {})
  const { createConnector } = await importConnector(made.result.files, jobs.dir)
  const connector = createConnector({ token: LEDGER_TOKEN })
  const { api } = ledgerSite
  const customers = await all<any>(connector.customers.list({ pageSize: 5 }))
  expect(customers.map(({ customer_id: id }) => id)).toEqual(api.records('customers').map(({ customer_id: id }) => id))
  expect(api.requests).toHaveLength(4)
  expect(api.requests[1]).toMatch(/^GET \/v2\/customers\?limit=5&cursor=/)
  await connector.customers.create({ company: 'New & Co', currency: 'CHF' })
  expect(api.records('customers').at(-1)).toMatchObject({ company: 'New & Co', currency: 'CHF' })
  // PUT empties what is left out, so the connector reads before it writes.
  await connector.customers.update('C-1003', { blocked: true })
  expect(api.records('customers')[3]).toMatchObject({
    company: 'Ledger customer 4',
    credit_limit: 503.5,
    blocked: true,
  })
})

test('a site that does not say enough: failed at once, in the documented words', async () => {
  await scraped('opal', 'Opal CRM', opalSite)
  const digest = await jobs.run('opal', 'digester', { objectClass: 'Account' })
  expect(digest).toMatchObject({
    status: 'failed',
    errors: [
      'Failed to extract schema from documentation',
      "Insufficient documentation coverage for object 'Account'",
      'Consider uploading more comprehensive API documentation',
    ],
  })
  expect(await jobs.attempts(digest.jobId)).toEqual(['error permanent'])
  const { error } = await jobs.job(digest.jobId)
  expect(error).toMatchObject({
    code: 'insufficient-documentation',
    class: 'permanent',
    details: { missing: ["fields of 'Account'"], chunks: 1 },
  })
  // Nothing of it is in the session, and the generator has nothing to work with.
  expect(jobs.parts.sessions.read('opal')!.parts.map(({ part }) => part)).toEqual(['candidateLinks', 'documentation'])
  expect((await jobs.run('opal', 'codegen', {})).errors).toEqual([
    'Invalid input: the session has not digested any object class; run the digester first.',
  ])
})

test('more documentation mends it', { timeout: 60_000 }, async () => {
  const text = '# The Account object\n\n- `id` (string, read-only)\n- `name` (string, required)\n- `city` (string)\n'
  await jobs.run('opal', 'documentation', { name: 'fields.md', text })
  const digest = await jobs.run('opal', 'digester', { objectClass: 'Account' })
  expect(fieldsOf(digest.result)).toEqual(['id string readonly', 'name string required', 'city string'])
  expect(digest.result.sources).toEqual([`${opalSite.origin}/docs`, 'upload:fields.md'])
  // What the documentation does not have, the job says; see the warnings.
  expect((await jobs.job(digest.jobId)).warnings.map(({ message }) => message)).toEqual([
    "No endpoint is documented to update 'Account'; the connector will not have it.",
    'No paging is documented; one answer is taken for the whole list.',
  ])
})

test('the session says what is there and which job it is from', async () => {
  const session = jobs.parts.sessions.read('harbor')!
  const list = (await (await fetch(`${jobs.url}/session/harbor/jobs`)).json()) as { jobs: any[] }
  expect(session.parts.map(({ part, jobType }) => `${part} from ${jobType}`)).toEqual([
    'candidateLinks from discovery.getCandidateLinks',
    'documentation from scrape.getRelevantDocumentation',
    'objectClass:Account from digester.getObjectClass',
    'objectClass:ticket from digester.getObjectClass',
    'connector from codegen.generateConnector',
  ])
  for (const { jobId, jobType, at } of session.parts) {
    const job = list.jobs.find((one) => one.jobId === jobId)
    expect(job).toMatchObject({ jobType, status: 'finished' })
    // Written before the job was finished.
    expect(Date.parse(at)).toBeLessThanOrEqual(Date.parse((await jobs.job(jobId)).finishedAt!))
  }
})

function fieldsOf({ objectClass }: any): string[] {
  return objectClass.attributes.map(({ name, type, required, readonly, values }: any) =>
    [name, type, readonly && 'readonly', required && 'required', values?.join('|')].filter(Boolean).join(' '),
  )
}
