/**
 * Webhooks under kill -9: one life of the server after the other, each ended somewhere between the end of a job and the
 * record that a receiver has heard of it, or from outside at any moment. Every so many kills all comes to rest and is judged.
 */
import { OUTSIDE } from '../campaign.mjs'
import { chance, progress, say, table } from '../lib/common.mjs'
import { DEEPEST, TELLING } from '../lib/windows.mjs'
import { BUGS } from './bugs.mjs'
import { Stage } from './stage.mjs'

const NAMES = Object.keys(TELLING)

/** @returns violations of all rounds, kills per window, and the counts at the end */
export async function telling({ dist, core, kills, seed, roundOf = 30 }) {
  const r = chance(seed)
  const hits = new Map([...NAMES, OUTSIDE].map((name) => [name, new Map()]))
  const times = (name) => [...hits.get(name).values()].reduce((sum, n) => sum + n, 0)
  const hit = (name, point) => hits.get(name).set(point, (hits.get(name).get(point) ?? 0) + 1)
  const violations = []
  let missed = 0
  let done = 0
  let verdict
  const stage = await new Stage({ dist, core, name: 'telling' }).open({ seed: r.int(1, 1e9), most: 40 })
  try {
    while (done < kills) {
      const round = Math.min(kills, done + roundOf)
      stage.load.resume()
      while (done < round) {
        const least = Math.min(...NAMES.map(times))
        const outside = least > 0 && r.happens(0.4)
        const window = r.pick(NAMES.filter((name) => times(name) === least))
        const arm = outside ? null : { window, point: r.pick(TELLING[window]), countdown: r.int(1, DEEPEST[window]) }
        const life = await stage.begin(arm)
        const killed = await stage.end(life, outside ? { afterMs: r.int(50, 900) } : {})
        if (killed) hit(killed.killed, killed.point)
        else if (outside) hit(OUTSIDE, 'SIGKILL')
        else if (++missed > 5 + kills / 10)
          throw new Error(`The point ${arm.point} is not reached: the torture and the library have drifted apart.`)
        else continue
        done++
        progress(() => `${done} of ${kills} kills, ${stage.load.accepted} jobs accepted`)
      }
      verdict = await stage.judge()
      say(
        `  at rest after ${done} kills: ${verdict.counts.jobs} jobs, ${verdict.counts.posts} requests at the receiver, ${verdict.violations.length} violations`,
      )
      violations.push(...verdict.violations)
      if (violations.length > 0) break
    }
  } finally {
    await stage.close({ keep: violations.length > 0 })
  }
  return { violations, hits, done, missed, verdict, resent: stage.resent, complaints: [...stage.complaints] }
}

/** Where to kill so that a bug shows. */
const PROVOKE = {
  'outbox written after the commit': { point: 'finish:after-commit', deepest: 3 },
  'outbox emptied before its deliveries are stored': { point: 'tell:after-commit', deepest: 3 },
  'delivery marked before the POST': { point: 'post:begun', deepest: 10 },
  'webhook-id minted per attempt': { point: 'post:answered', deepest: 10 },
}
const TRIES = 15

/** The same judge is shown each planted bug. */
export async function plantedInTelling({ dist, core, seed }) {
  // All at once: each has a stage of its own, and spends most of its time on coming to rest.
  const rows = await Promise.all(
    BUGS.map(async (bug) => {
      const found = await hunt({ dist, core, bug, seed })
      progress(() => `planted: ${bug}`)
      return found ?? [bug, 'NOT FOUND', `${TRIES} kills`, '']
    }),
  )
  say(table([['planted bug', 'found by', 'after', 'what the checker said'], ...rows]))
  const missed = rows.filter(([, by]) => by === 'NOT FOUND').length
  return { found: rows.length - missed, missed }
}

async function hunt({ dist, core, bug, seed }) {
  const r = chance(seed)
  const { point, deepest } = PROVOKE[bug]
  const stage = await new Stage({ dist, core, name: 'planted', bug }).open({ seed: r.int(1, 1e9), most: 12 })
  try {
    for (let kills = 1; kills <= TRIES; kills++) {
      stage.load.resume()
      const life = await stage.begin({ window: 'planted', point, countdown: r.int(1, deepest) })
      await stage.end(life)
      const { violations } = await stage.judge()
      if (violations.length === 0) continue
      const invariants = [...new Set(violations.map(({ invariant }) => invariant))].sort()
      const first = violations.find(({ invariant }) => invariant === invariants[0])
      return [bug, invariants.join(', '), `${kills} kill${kills > 1 ? 's' : ''}`, first.text]
    }
    return null
  } finally {
    await stage.close()
  }
}
