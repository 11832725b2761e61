// (g) What supervision adds to a child: its own group and private directory, the limits of the OS, the look for what it
// left behind, the removal of its directory. Supervised and bare children alternate, so that both meet the same weather,
// and get the same environment.
import { spawn } from 'node:child_process'
import { load } from './lib/product.mjs'
import { median } from './lib/sample.mjs'
import { now } from './lib/tools.mjs'

const { runProcess } = await load('process/index.js')
const PROGRAMS = [
  { name: 'a Node child', command: process.execPath, args: ['-e', '0'], count: 60, aim: { ratioBelow: 1.15 } },
  { name: '/bin/true', command: '/bin/true', args: [], count: 300 },
]
const WARMUP = 5

export async function measure({ quick, runs, log }) {
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
  return rows
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
