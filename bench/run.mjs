// `npm run bench`: measures the figures, each in a process of its own, and prints one table of what was reached beside
// what was aimed at. Slow is not wrong: the exit code is 0 unless something broke.
//   npm run bench -- [--store postgres] [--quick] [--only a,b] [--runs 3] [--dir <folder>] [--save]
import { fork } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureBuilt, root } from '../scripts/lib/ensure.mjs'

const FIGURES = {
  a: 'http',
  b: 'engine',
  c: 'latency',
  d: 'claim',
  e: 'steps',
  f: 'streams',
  g: 'children',
  h: 'telling',
  i: 'postgres',
  j: 'postgres-claim',
  k: 'postgres-latency',
}
const TITLES = {
  a: 'durable submits over HTTP',
  b: 'no-op jobs through the engine',
  c: 'submit to handler start, idle engine',
  d: 'claims among many jobs',
  e: 'memoized steps',
  f: 'live streams and sockets',
  g: 'supervised children',
  h: 'end of a job to who waits for it in another process',
  i: 'no-op jobs on PostgreSQL, beside peers',
  j: 'claims among many jobs on PostgreSQL',
  k: 'three processes on one PostgreSQL',
}
/** What is measured without --only, by store. */
const OF_STORE = { sqlite: 'abcdefgh', postgres: 'ijk' }
const RESULTS = { sqlite: 'results.md', postgres: 'results-postgres.md' }
const here = (file) => new URL(file, import.meta.url)

if (process.env.UNTILDONE_BENCH_FIGURE) {
  const { measure } = await import(here(`./${FIGURES[process.env.UNTILDONE_BENCH_FIGURE]}.mjs`))
  process.once('message', async (how) => {
    process.send(await measure({ ...how, log: console.log }))
    process.disconnect()
  })
} else await main()

async function main() {
  const { values: options } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      store: { type: 'string', default: 'sqlite' },
      runs: { type: 'string' },
      dir: { type: 'string' },
      save: { type: 'boolean', default: false },
    },
  })
  const chosen = options.only?.split(',') ?? [...(OF_STORE[options.store] ?? '')]
  const runs = Number(options.runs ?? (options.quick ? 1 : 3))
  if (chosen.length === 0 || !chosen.every((letter) => letter in FIGURES) || !Number.isInteger(runs) || runs < 1) {
    console.error(
      `bench: --store is sqlite or postgres; --only takes some of ${Object.keys(FIGURES)}; --runs takes a whole number of 1 or more.`,
    )
    process.exit(2)
  }
  if (!process.env.UNTILDONE_BENCH_DIST) await ensureBuilt()
  // Imported only now: they load the build.
  const { defaultFolder, describeMachine } = await import('./lib/machine.mjs')
  const { load } = await import('./lib/product.mjs')
  const { judge, markdownTable, textTable } = await import('./lib/table.mjs')
  const { databaseClass } = await load('stores/sqlite/database.js')

  const dir = options.dir ?? defaultFolder()
  mkdirSync(dir, { recursive: true })
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

  const machine = describeMachine(dir, databaseClass().name)
  console.log(machine.join('\n'))
  console.log(`medians of ${runs} run${runs === 1 ? '' : 's, ± the farthest of them'}${options.quick ? ', quick' : ''}`)
  const judged = []
  const said = []
  let broken = 0
  for (const letter of chosen) {
    const began = performance.now()
    console.log(`\n(${letter}) ${TITLES[letter]}`)
    const { rows, text } = await figure(letter, { quick: options.quick, runs, dir: join(dir, letter) })
    if (!rows) {
      broken++
      console.log(`  BROKEN: this figure could not be measured; see above.`)
      continue
    }
    judged.push(...rows.map(judge))
    said.push(text)
    console.log(`  measured in ${((performance.now() - began) / 1000).toFixed(0)} s`)
  }
  console.log(`\n${textTable(judged)}\n`)
  const missed = judged.filter(({ met }) => met === false)
  const aimed = judged.filter(({ met }) => met !== null).length
  console.log(
    missed.length === 0 ? `All ${aimed} aims are met.` : `${aimed - missed.length} of ${aimed} aims are met. NOT met:`,
  )
  for (const { figure: letter, name, reached, ratio, aim } of missed)
    console.log(`  (${letter}) ${name}: ${reached}${ratio ? `, ratio ${ratio}` : ''}; the aim is ${aim}`)
  if (options.save) save(RESULTS[options.store], machine, runs, markdownTable(judged), said)
  process.exitCode = broken > 0 ? 1 : 0
}

/** One figure in a fresh process: no heap, no compiled code and no page cache of another figure helps or hurts it. */
function figure(letter, how) {
  const child = fork(fileURLToPath(import.meta.url), [], {
    env: { ...process.env, UNTILDONE_BENCH_FIGURE: letter },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  let rows = null
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
    process.stdout.write(chunk)
  })
  child.once('message', (message) => {
    rows = message
  })
  child.send(how)
  return new Promise((resolve) => child.once('close', (code) => resolve({ rows: code === 0 ? rows : null, text })))
}

function save(file, machine, runs, table, said) {
  const text = `<!-- Written by npm run bench, option --save -->
# Results

${new Date().toISOString().slice(0, 10)}, medians of ${runs} runs

${machine.map((line) => `- ${line}`).join('\n')}

${table}

\`\`\`
${said.join('').trimEnd()}
\`\`\`
`
  writeFileSync(join(root, 'bench', file), text)
  console.log(`Saved in bench/${file}`)
}
