/**
 * A disk that misbehaves (F38, F39, F40): it is full for a while, a sync fails, writes are cut short. What was promised
 * is kept after a restart, and what was refused with "nothing was stored" is not there.
 */
import { join } from 'node:path'
import { dropFolder, progress } from '../lib/common.mjs'
import { readStore } from '../tables.mjs'
import { brokenIn, promisesOf, runRecorder } from './loss.mjs'

/** @param faults strings for DISK_FAULT @returns what was promised, lost, and untrue over all of them */
export async function diskFaults({ dist, core, shim, plan, faults }) {
  const outcome = { runs: 0, promises: 0, lost: 0, untrue: 0, unusable: 0, unfinished: 0, examples: [] }
  const example = (text) => outcome.examples.length < 3 && outcome.examples.push(text)
  for (const fault of faults) {
    const { place, dir, done, errors, records } = await runRecorder({ dist, shim, plan, fault })
    const told = records.flatMap(promisesOf)
    const promised = told.filter(({ refused }) => !refused)
    const accepted = new Set(promised.map(({ key }) => key))
    outcome.runs++
    outcome.promises += promised.length
    if (!done && !fault.startsWith('fsync')) {
      outcome.unfinished++
      example(
        `${fault}: the program did not get to its end: ${errors.split('\n').find((line) => /Error/.test(line)) ?? ''}`,
      )
    }
    try {
      const store = await core.sqlite(join(dir, 'jobs.db')).open(core)
      await store.close()
      const rows = readStore(core.Database, join(dir, 'jobs.db'))
      for (const text of rows.integrity) {
        outcome.unusable++
        example(`${fault}: ${text}`)
      }
      for (const promise of promised) {
        const broken = brokenIn(rows, promise)
        if (!broken) continue
        outcome.lost++
        example(`${fault}: ${broken}`)
      }
      for (const { refused, code } of told) {
        if (!refused || accepted.has(refused) || code === 'outcome-unknown' || !rows.keys.has(refused)) continue
        outcome.untrue++
        example(
          `${fault}: ${refused} was refused with ${code}, which says that nothing was stored, and is there after the restart`,
        )
      }
    } catch (error) {
      outcome.unusable++
      example(`${fault}: the database cannot be opened again: ${error.message}`)
    }
    dropFolder(place)
    progress(() => `disk faults: ${outcome.runs} of ${faults.length} (${fault})`)
  }
  return outcome
}
