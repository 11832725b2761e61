/**
 * Proof of the checker over PostgreSQL: each planted bug gets a system of its own and the faults that provoke it, and the
 * very same checker must find it. Prints how, and how long it took.
 */
import { dirname } from 'node:path'
import { audibly, chance, dropFolder, say, sleep, table } from '../lib/common.mjs'
import { SHORT_LEASES } from '../lib/leases.mjs'
import { variant } from '../lib/variant.mjs'
import { BUGS } from './bugs.mjs'
import { Cast } from './cast.mjs'
import { inflict, plan } from './nemesis.mjs'

const TRIES = 8
const PER_TRY = 4
const AT_ONCE = 3
const NOTHING = 'nothing at all'
const BY_THE_WAY = new Set(['internal', 'process'])

/** @param names of the bugs to plant; all when left out @returns how many were found, and what was found where there was none */
export async function plantedBugs({ dist, core, seed, names = Object.keys(BUGS) }) {
  const rows = []
  // Whoever finds something where nothing is planted finds nothing anywhere.
  const control = await audibly(() => 'planted: nothing', hunt({ dist, core, seed, name: NOTHING, tries: 1 }))
  rows.push([NOTHING, control ? `${control.by}, WRONGLY` : '', `${PER_TRY} faults`, '', control?.text ?? ''])
  let missed = 0
  // Several at once: each has a world of its own, and spends much of its time on coming to rest.
  const next = names.values()
  await Promise.all(Array.from({ length: AT_ONCE }, inTurn))
  say(table([['planted bug', 'found by', 'after', 'in', 'what the checker said'], ...rows]))
  return { found: names.length - missed, missed, planted: names.length, control }

  async function inTurn() {
    for (const name of next) await one(name)
  }

  async function one(name) {
    const began = Date.now()
    const found = await audibly(() => `planted: ${name}`, hunt({ dist, core, seed, name }))
    const took = `${((Date.now() - began) / 1000).toFixed(0)} s`
    if (!found) missed++
    say(
      `  ${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s  ${found ? `found by ${found.by}` : 'NOT FOUND'}: ${name}`,
    )
    rows.push(found ? [name, found.by, `${found.faults} faults`, took, found.text] : [name, 'NOT FOUND', '', took, ''])
  }
}

async function hunt({ dist, core, seed, name, tries: mostTries }) {
  const {
    edits,
    faults = null,
    only = ['complete', 'transient', 'slow'],
    most = 40,
    lastMs = 0,
    perTry = PER_TRY,
    lasting = false,
    aside = [],
    tries: triesOfBug = TRIES,
  } = BUGS[name] ?? { edits: [] }
  const r = chance(seed)
  const copy = variant(dist, 'planted', [...SHORT_LEASES, ...edits])
  const cast = await new Cast({ dist: copy, core, name: 'planted' }).open({
    seed: r.int(1, 1e9),
    most,
    only,
    workers: 2,
  })
  try {
    for (let tries = 1; tries <= (mostTries ?? triesOfBug); tries++) {
      await cast.resume()
      for (const fault of plan(r, perTry, faults)) await inflict(cast, fault)
      if (lasting) await cast.faultsOver()
      await sleep(lastMs)
      const violations = (await cast.judge({ restMs: 25_000 })).violations.filter(
        ({ invariant }) => !aside.includes(invariant),
      )
      if (violations.length === 0) continue
      const by = [...new Set(violations.map(({ invariant }) => invariant))].sort()
      // What a process says when it ends of itself tells the least: it may be the bug, or a trap on the way to it.
      const first = violations.find(({ invariant }) => !BY_THE_WAY.has(invariant)) ?? violations[0]
      for (const { invariant, text } of violations) if (invariant === 'process') say(`  note, ${name}: ${text}`)
      return { by: by.join(', '), faults: tries * perTry, text: first.text.slice(0, 150) }
    }
    return null
  } finally {
    await cast.close()
    dropFolder(dirname(copy))
  }
}
