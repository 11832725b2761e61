// (g) What supervision adds to a child: its own group and private directory, the limits of the OS, the look for what it
// left behind, the removal of its directory. Supervised and bare children alternate, so that both meet the same weather,
// and get the same environment. And jobs whose handler runs in a process of its own, beside Node processes that do no more
// than import the same module, as many at a time.
import { spawn } from 'node:child_process'
import { isolated, isolatedHandler } from './lib/isolated-jobs.mjs'
import { load } from './lib/product.mjs'
import { median } from './lib/sample.mjs'
import { assertFinished, ends, inFolder, now, openApp } from './lib/tools.mjs'

const { runProcess } = await load('process/index.js')
const PROGRAMS = [
  { name: 'a Node child', command: process.execPath, args: ['-e', '0'], count: 60, aim: { ratioBelow: 1.15 } },
  { name: '/bin/true', command: '/bin/true', args: [], count: 300 },
]
const WARMUP = 5

export async function measure({ quick, runs, log, dir }) {
  const rows = []
  for (const { name, command, args, count, aim } of PROGRAMS) {
    const [watched, plain, added] = [[], [], []]
    for (let run = 0; run < runs; run++) {
      const { supervised, bare } = await alternate(command, args, quick ? Math.ceil(count / 4) : count)
      watched.push(median(supervised))
      plain.push(median(bare))
      added.push((median(supervised) - median(bare)) * 1000)
    }
    rows.push({
      figure: 'g',
      name: `${name}, supervised`,
      unit: 'ms',
      values: watched,
      beside: ['bare spawn', plain],
      aim,
    })
    rows.push({ figure: 'g', name: `${name}, added by supervision`, unit: 'µs', values: added })
    log(`  ${name}: ${median(watched).toFixed(2)} ms supervised, ${median(plain).toFixed(2)} ms bare`)
  }
  const [jobs, imports] = [[], []]
  for (let run = 0; run < runs; run++) {
    const count = quick ? 10 : 60
    jobs.push(await inFolder(dir, (folder) => isolatedJobs(folder, count)))
    imports.push(await importsOnly(count))
  }
  const name = `jobs of 1 step with isolate: 'process', ${SLOTS} slots`
  rows.push({ figure: 'g', name, unit: 'jobs/s', values: jobs, beside: ['Node, importing the module', imports] })
  return rows
}

const SLOTS = 2

/** @returns jobs per second from the start of the worker to the last outcome */
async function isolatedJobs(folder, count) {
  const app = await openApp(folder, { handlers: [isolatedHandler], worker: { slots: SLOTS } })
  for (let n = 0; n < count; n++) await app.submit(isolated, {})
  const done = ends(app, count)
  const began = now()
  await app.start()
  await done
  const seconds = (now() - began) / 1000
  await assertFinished(app, count)
  await app.stop()
  return count / seconds
}

/** @returns processes per second */
async function importsOnly(count) {
  const module = new URL('lib/isolated-jobs.mjs', import.meta.url).href
  let left = count
  const lane = async () => {
    while (left-- > 0) {
      const code = await plainly(process.execPath, ['-e', `import('${module}')`])
      if (code !== 0) throw new Error(`The import ended with ${code}`)
    }
  }
  const began = now()
  await Promise.all(Array.from({ length: SLOTS }, lane))
  return count / ((now() - began) / 1000)
}

async function alternate(command, args, count) {
  const supervised = []
  const bare = []
  for (let n = -WARMUP; n < count; n++) {
    const began = now()
    const outcome = await runProcess({ command, args })
    const between = now()
    if (!outcome.ok) throw new Error(`${command} ended with ${outcome.cause}`)
    const code = await plainly(command, args)
    const ended = now()
    if (code !== 0) throw new Error(`${command} ended with ${code}`)
    if (n < 0) continue
    supervised.push(between - began)
    bare.push(ended - between)
  }
  return { supervised, bare }
}

/** What a supervised child gets of the environment. With all of it a bare Node child would read certificates, preload files … */
const ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => /^(PATH|HOME|LANG|TZ|TMPDIR|LC_.*)$/.test(name)),
)

/** Nothing but what everybody does: pipes that are read, and the end. */
function plainly(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: ENV, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.resume()
    child.stderr.resume()
    child.on('error', reject)
    child.on('close', resolve)
  })
}
