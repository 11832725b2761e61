/**
 * A disk that misbehaves (F38 to F41): it is full for a while, a sync fails, writes are cut short, files are taken away.
 * What was promised is kept after a restart, and what was refused with "nothing was stored" is not there.
 */
import { join } from 'node:path'
import { dropFolder, progress } from '../lib/common.mjs'
import { readStore } from '../tables.mjs'
import { brokenIn, promisesOf, runRecorder } from './loss.mjs'

/**
 * @param faults texts for DISK_FAULT, or `remove log` and `remove database`
 * @returns what was promised, lost, and untrue over all of them
 */
export async function diskFaults({ dist, core, shim, plan, faults }) {
  const outcome = { runs: 0, promises: 0, lost: 0, untrue: 0, unusable: 0, unfinished: 0, examples: [] }
  for (const fault of faults) {
    const remove = fault.startsWith('remove ') ? fault.slice(7) : null
    const run = await runRecorder({ dist, shim, plan: { ...plan, remove }, fault: remove ? '' : fault })
    const found = (kind, text) => {
      outcome[kind]++
      if (outcome.examples.length < 3) outcome.examples.push(`${fault}: ${text}`)
    }
    const told = run.records.flatMap(promisesOf)
    // Files that somebody deletes are gone; from that moment on nothing may be promised any more.
    const from = told.findIndex(({ removed }) => removed) + 1
    const promised = told.slice(from).filter(({ refused }) => !refused)
    outcome.runs++
    outcome.promises += promised.length
    if (!run.done) found('unfinished', `the program did not get to its end: ${firstError(run.errors)}`)
    await judge({ core, dir: run.dir, promised, refusals: told.filter(({ refused }) => refused), found })
    dropFolder(run.place)
    progress(() => `disk faults: ${outcome.runs} of ${faults.length} (${fault})`)
  }
  return outcome
}

/** The process is started again on the disk as it is. */
async function judge({ core, dir, promised, refusals, found }) {
  const file = join(dir, 'jobs.db')
  const accepted = new Set(promised.map(({ key }) => key))
  try {
    const store = await core.sqlite(file).open(core)
    await store.close()
    const rows = readStore(core.Database, file)
    for (const text of rows.integrity) found('unusable', text)
    for (const promise of promised) {
      const broken = brokenIn(rows, promise)
      if (broken) found('lost', broken)
    }
    for (const { refused, code } of refusals) {
      if (accepted.has(refused) || code === 'outcome-unknown' || !rows.keys.has(refused)) continue
      found('untrue', `${refused} was refused with ${code}, as if nothing were stored, and is there after the restart`)
    }
  } catch (error) {
    found('unusable', `the database cannot be opened again: ${error.message}`)
  }
}

function firstError(text) {
  return text.split('\n').find((line) => /Error/.test(line)) ?? ''
}
