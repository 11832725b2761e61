/**
 * Reads a PostgreSQL of the library from outside, past every proxy: all rows of one instant, and the few questions that are
 * asked while everything moves. Only reads; no rule lives here.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { ROOT } from '../lib/common.mjs'
import { HOMELESS, homeless, QUERIES, storeOf } from '../tables.mjs'
import { NARROW } from './jobs.mjs'

const { Client } = createRequire(join(ROOT, 'package.json'))('pg')
const NUMBERS = new Set([20, 21, 23, 26, 700, 701, 1700])
const parsers = { getTypeParser: (oid) => (NUMBERS.has(oid) ? Number : (text) => text) }

/** What must be empty once every job has ended. */
const LEFT = {
  'jobs that are not done': 'select id from live',
  waits: 'select job_id as id from waits',
  'places in limits': 'select job_id as id from slots',
  'places in line': 'select job_id as id from held',
  duties: 'select job_id as id from duties',
  'child processes': 'select job_id as id from processes',
  'names held until the end': 'select job_id as id from uniques where expires_at is null',
  'things to tell': 'select id from outbox',
}

/** True of every instant. */
const ALWAYS = {
  S4: `select l.id, 'it is both unfinished and done' as text from live l join outcomes o on o.job_id = l.id`,
  limit: `select min(l.id) as id, count(*) || ' jobs of one limit of ${NARROW} have a worker' as text
    from live l join jobs j on j.id = l.id where j.type = 'torture.narrow' and l.worker is not null
    group by j.input::json ->> 'lane' having count(*) > ${NARROW}`,
}

export async function connectTo(url) {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 3000,
    query_timeout: 20_000,
    types: parsers,
  })
  client.on('error', () => {})
  await client.connect()
  await client.query('set search_path to untildone')
  return client
}

/** @returns the rows as the judge wants them, and as they are */
export async function readStore(url) {
  const client = await connectTo(url)
  try {
    await client.query('begin isolation level repeatable read read only')
    const all = async (sql) => (await client.query(sql)).rows
    const tables = {}
    for (const [name, sql] of Object.entries(QUERIES)) tables[name] = await all(sql)
    tables.mailbox = await all('select job_id, signal_id, name, taken_by from mailbox')
    tables.effects = await all('select job_id, step, state from effects')
    tables.workers = await all('select * from workers')
    tables.waits = await all('select * from waits')
    const integrity = []
    for (const [table, sql] of HOMELESS) integrity.push(...(await all(sql)).map((row) => homeless(table, row)))
    const left = []
    for (const [what, sql] of Object.entries(LEFT)) left.push(...(await all(sql)).map(({ id }) => ({ what, id })))
    await client.query('commit')
    return { tables, store: { ...storeOf(tables), integrity, left, mailbox: tables.mailbox, effects: tables.effects } }
  } finally {
    await client.end()
  }
}

/** How many jobs are not done, whoever knows of them. */
export async function unfinished(url) {
  const client = await connectTo(url)
  try {
    return (await client.query('select count(*) as n from live')).rows[0].n
  } finally {
    await client.end()
  }
}

/** Looks again and again at what must hold at every instant; the database may be away meanwhile. */
export class Watch {
  found = []
  looks = 0
  #client = null
  #running = true
  #loop

  constructor(url) {
    this.url = url
    this.#loop = this.#run()
  }

  async #run() {
    while (this.#running) {
      try {
        this.#client ??= await connectTo(this.url)
        for (const [invariant, sql] of Object.entries(ALWAYS))
          for (const { id, text } of (await this.#client.query(sql)).rows) this.found.push({ invariant, job: id, text })
        this.looks++
      } catch {
        await this.#client?.end().catch(() => {})
        this.#client = null
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  async close() {
    this.#running = false
    await this.#loop
    await this.#client?.end().catch(() => {})
  }
}
