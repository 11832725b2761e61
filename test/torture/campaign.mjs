/**
 * The kills: one life of the server after the other, each ended by SIGKILL in the window that has had the fewest, some
 * from outside at any moment. Every so many kills everything comes to rest and is judged.
 */
import { chance, progress, say, table } from './lib/common.mjs'
import { DEEPEST, WINDOWS } from './lib/windows.mjs'
import { World } from './world.mjs'

const NAMES = Object.keys(WINDOWS)
export const OUTSIDE = 'any moment, from outside'

/** @returns violations of all rounds, kills per window, and the counts at the end */
export async function campaign({ dist, core, kills, seed, roundOf = 50 }) {
  const r = chance(seed)
  const world = await new World({ dist, core, name: 'kills' }).open({ seed: r.int(1, 1e9), most: 40 })
  const hits = new Map([...NAMES, OUTSIDE].map((name) => [name, new Map()]))
  const times = (name) => [...hits.get(name).values()].reduce((sum, n) => sum + n, 0)
  const hit = (name, point) => hits.get(name).set(point, (hits.get(name).get(point) ?? 0) + 1)
  const violations = []
  const missed = new Map()
  let done = 0
  let verdict
  try {
    world.client.start()
    while (done < kills) {
      const round = Math.min(kills, done + roundOf)
      world.client.resume()
      while (done < round) {
        const suspend = r.happens(0.15)
        // One in ten from outside; the rest go where they have been fewest.
        if (r.happens(0.1)) {
          await world.killAfter(r.int(0, 500), { suspend, politely: r.happens(0.4) ? r.int(1, 400) : 0 })
          hit(OUTSIDE, 'SIGKILL')
          done++
        } else {
          const least = Math.min(...NAMES.map(times))
          const window = r.pick(NAMES.filter((name) => times(name) === least))
          const point = window === 'start-up' ? null : r.pick(WINDOWS[window])
          const killed = await world.killIn({ window, point, countdown: r.int(1, DEEPEST[window]) }, { suspend })
          if (killed === null) {
            missed.set(point ?? window, (missed.get(point ?? window) ?? 0) + 1)
            if (missed.get(point ?? window) > 5)
              throw new Error(
                `The point ${point ?? window} is never reached: the torture and the library have drifted apart.`,
              )
            continue
          }
          hit(killed.killed, killed.point)
          done++
        }
        progress(
          () =>
            `${done} of ${kills} kills, ${world.client.counts.accepted} jobs accepted, ${world.client.done.size} seen done`,
        )
      }
      verdict = await world.judge()
      say(`  at rest after ${done} kills: ${verdict.counts.accepted} jobs, ${verdict.violations.length} violations`)
      violations.push(...verdict.violations)
      if (violations.length > 0) break
    }
  } finally {
    await world.close({ keep: violations.length > 0 })
  }
  return {
    violations,
    hits,
    done,
    verdict,
    missed,
    dir: world.dir,
    suspends: world.suspends,
    client: { ...world.client.counts, cutOff: world.client.cutOff },
    complaints: [...world.complaints],
  }
}

/** Kills per window, with the points inside each. */
export function histogram(hits) {
  const most = Math.max(...[...hits.values()].map((points) => sum(points)))
  const rows = [...hits].map(([name, points]) => [
    name,
    sum(points),
    '█'.repeat(Math.max(1, Math.round((sum(points) / most) * 30))),
    [...points]
      .sort()
      .map(([point, n]) => `${point.split(':').at(-1)} ${n}`)
      .join(', '),
  ])
  return table([['window', 'kills', '', 'where exactly'], ...rows])
}

const sum = (points) => [...points.values()].reduce((a, b) => a + b, 0)
