/**
 * A process with the options that the command line has not: server and worker of the library as it ships, behind a pooler
 * that lends connections for one transaction. Prints the `ready` line of `untildone serve`.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const { DIST, UNTILDONE_DATABASE, ROLES } = process.env
const from = (file) => import(pathToFileURL(join(DIST, file)).href)
const [{ createUntildone }, { createServer, listen }, { postgres }, { loadJobs }] = await Promise.all([
  from('index.js'),
  from('server/index.js'),
  from('stores/postgres/index.js'),
  from('cli/load-jobs.js'),
])

const roles = ROLES.split(',')
const { handlers } = await loadJobs({ dir: join(import.meta.dirname, 'jobs'), cwd: process.cwd() })
const app = await createUntildone({
  handlers,
  store: postgres(UNTILDONE_DATABASE, { pooler: 'transaction' }),
  worker: roles.includes('worker') && { slots: 4 },
  maintenance: roles.includes('maintenance'),
})
const listening = roles.includes('api') ? await listen(createServer(app.engine), { port: 0 }) : null
await app.start()
console.log(JSON.stringify({ event: 'ready', url: listening?.url ?? null }))
