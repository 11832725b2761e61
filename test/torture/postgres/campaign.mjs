/**
 * Rounds of faults over several processes and one PostgreSQL; after each everything is healed, comes to rest and is judged.
 * The database grows old with the rounds, as in life.
 */
import { chance, progress, say, table } from '../lib/common.mjs'
import { FOR_MANY } from '../lib/scripts.mjs'
import { Cast } from './cast.mjs'
import { FAULTS, inflict, lanesOf, plan, REDIS_FAULTS } from './nemesis.mjs'

/** @returns violations, faults by name and windows hit */
export async function campaign({
  dist,
  core,
  seed,
  minutes,
  perRound,
  only = FOR_MANY,
  faults = null,
  transport = null,
}) {
  const r = chance(seed)
  const cast = await new Cast({ dist, core, name: 'postgres' }).open({
    seed: r.int(1, 1e9),
    most: 250,
    only,
    transport,
  })
  const until = Date.now() + minutes * 60_000
  const counts = new Map(Object.keys({ ...FAULTS, ...REDIS_FAULTS }).map((name) => [name, { done: 0, missed: 0 }]))
  const hits = new Map()
  const violations = []
  let rounds = 0
  let injected = 0
  let verdict
  let longest = 0
  try {
    do {
      const lanes = lanesOf(plan(r, perRound, faults, transport))
      await cast.resume()
      const go = async (lane) => {
        for (const fault of lane) {
          const hit = await inflict(cast, fault)
          const count = counts.get(fault.name)
          if (hit.missed) count.missed++
          else {
            count.done++
            injected++
          }
          if (hit.at) hits.set(hit.at, (hits.get(hit.at) ?? 0) + 1)
          progress(
            () =>
              `round ${rounds + 1}: ${injected} faults, ${cast.client.counts.accepted} jobs accepted, ${fault.name}`,
          )
        }
      }
      await Promise.all(lanes.map(go))
      verdict = await cast.judge()
      rounds++
      longest = Math.max(longest, verdict.restedMs)
      const { accepted } = verdict.counts
      say(
        `  at rest after round ${rounds}: ${injected} faults, ${accepted} jobs, ${verdict.rescues} rescues, ${(verdict.restedMs / 1000).toFixed(1)} s to rest, ${verdict.violations.length} violations`,
      )
      violations.push(...verdict.violations)
    } while (violations.length === 0 && Date.now() < until)
  } finally {
    await cast.close({ keep: violations.length > 0 })
  }
  return {
    ...{ violations, counts, hits, rounds, injected, verdict, longest, dir: cast.dir, deaths: cast.deaths },
    ...{ looks: cast.watch.looks, client: { ...cast.client.counts, cutOff: cast.client.cutOff } },
  }
}

/** Faults by name. */
export function faultTable(counts) {
  const rows = [...counts].filter(([, { done, missed }]) => done + missed > 0)
  return table([
    ['fault', 'done', 'its moment did not come'],
    ...rows.map(([name, { done, missed }]) => [name, done, missed]),
  ])
}

/** Where processes were killed or stopped. */
export function windowTable(hits) {
  return table([['window', 'hits'], ...[...hits].sort().map(([name, n]) => [name, n])])
}
