/**
 * Proof of the checker: three bugs are planted around the library, and the very same checker must find each. Prints how.
 */
import { chance, progress, say, table } from './lib/common.mjs'
import { BUGS } from './victim/bugs.mjs'
import { World } from './world.mjs'

/** What provokes each bug: where to kill, or to let the machine sleep so that an attempt finishes late. */
const PROVOKE = {
  'acknowledge before commit': { window: 'before commit', point: 'submit:before-commit', deepest: 3 },
  'finish without epoch': { suspend: true, only: ['lingering'] },
  'step announced before its record': {
    window: 'effect done, step unrecorded',
    point: 'step:before-commit',
    deepest: 6,
  },
}
const TRIES = 15

export async function plantedBugs({ dist, core, seed }) {
  // All at once: each has a world of its own, and spends most of its time on coming to rest.
  const rows = await Promise.all(
    BUGS.map(async (bug) => {
      const found = await hunt({ dist, core, bug, seed })
      progress(() => `planted: ${bug}`)
      return found ?? [bug, 'NOT FOUND', `${TRIES} tries`, '']
    }),
  )
  say(table([['planted bug', 'found by', 'after', 'what the checker said'], ...rows]))
  const missed = rows.filter(([, by]) => by === 'NOT FOUND').length
  return { found: rows.length - missed, missed }
}

async function hunt({ dist, core, bug, seed }) {
  const r = chance(seed)
  const { window, point, deepest, suspend, only } = PROVOKE[bug]
  const world = await new World({ dist, core, name: 'planted', bug }).open({
    seed: r.int(1, 1e9),
    most: 12,
    only: only ?? ['complete', 'transient', 'slow'],
  })
  try {
    world.client.start()
    for (let tries = 1; tries <= TRIES; tries++) {
      world.client.resume()
      if (suspend) await world.sleepIn(() => world.client.done.size >= 6 * tries, 10_000)
      else await world.killIn({ window, point, countdown: r.int(1, deepest) })
      const { violations } = await world.judge({ restMs: 20_000 })
      if (violations.length === 0) continue
      const invariants = [...new Set(violations.map(({ invariant }) => invariant))]
      const after = suspend
        ? `${world.suspends} sleep${world.suspends > 1 ? 's' : ''} of a worker`
        : `${tries} kill${tries > 1 ? 's' : ''}`
      const first = violations.find(({ invariant }) => invariant === invariants.sort()[0])
      return [bug, invariants.join(', '), after, first.text]
    }
    return null
  } finally {
    await world.close()
  }
}
