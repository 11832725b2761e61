// All rules over one text. Where two of them want the same letters, the more specific one has them: a date in an address
// is a part of the address.
import { turn } from '../text/words.js'
import { emails, ibans, urls } from './addresses.js'
import { amounts, percentages } from './amounts.js'
import { dates } from './dates.js'
import type { Entity, EntityKind, Rule } from './entity.js'
import { organisations, people } from './names.js'

/** Most specific first. */
const RULES: readonly Rule[] = [urls, emails, ibans, dates, amounts, percentages, organisations, people]
/** A result is for people and programs, not a second copy of the text. */
export const ENTITIES_MAX = 500

export interface Extraction {
  /** In the order of the text; the first 500. */
  entities: Entity[]
  /** Of all, shown or not. */
  counts: Partial<Record<EntityKind, number>>
}

export async function extract(text: string): Promise<Extraction> {
  const taken = new Uint8Array(text.length)
  const found: Entity[] = []
  for (const rule of RULES) {
    const wanted = rule(text).sort((a, b) => a.at - b.at || b.text.length - a.text.length)
    for (const entity of wanted) {
      const end = entity.at + entity.text.length
      if (taken.subarray(entity.at, end).includes(1)) continue
      taken.fill(1, entity.at, end)
      found.push(entity)
    }
    await turn()
  }
  found.sort((a, b) => a.at - b.at)
  const counts: Extraction['counts'] = {}
  for (const { kind } of found) counts[kind] = (counts[kind] ?? 0) + 1
  return { entities: found.slice(0, ENTITIES_MAX), counts }
}
