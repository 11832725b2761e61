/**
 * Which rule would decide about an error, and every rule that was looked at before it, in order, with what it misses. Uses
 * the same functions as classify.ts, so it cannot say anything else. Pure.
 */
import { builtIn, type ErrorFacts, isOwn, type RuleTables, type Verdict } from './classify.js'
import { conditionsOf, missOf, missWords, ruleName } from './rule-match.js'
import { taughtWords } from './taught.js'

export interface LookedAt {
  table: 'step' | 'type' | 'taught' | 'built-in'
  rule: string
  is: Verdict
  matched: boolean
  /** What does not hold; or that it decides. */
  why: string
}

export interface Explained {
  verdict: Verdict
  rule: string
  by: LookedAt['table']
  /** Number of the taught rule. */
  taught: number | null
  looked: LookedAt[]
}

export function explainError(facts: ErrorFacts, tables: RuleTables): Explained {
  const { fingerprint = () => null } = tables
  const looked: LookedAt[] = []
  const own = isOwn(facts)
  const rows = [
    ...(['step', 'type'] as const).flatMap((table) =>
      (tables[table] ?? []).map((rule, i) => ({
        ...{ table, rule: ruleName(table, i, rule), is: rule.is, when: rule, id: null },
      })),
    ),
    ...(tables.taught ?? []).map((rule) => ({
      ...{ table: 'taught' as const, rule: taughtWords(rule), is: rule.is, when: conditionsOf(rule.when), id: rule.id },
    })),
  ]
  for (const { table, rule, is, when, id } of rows) {
    const miss = table === 'taught' && own ? 'own' : missOf(when, facts, fingerprint)
    const why = miss === null ? DECIDES : miss === 'own' ? OWN : missWords(miss, when, facts)
    looked.push({ table, rule, is, matched: miss === null, why })
    if (miss === null) return { verdict: is, rule, by: table, taught: id, looked }
  }
  const last = builtIn(facts)
  const why = last.rule === 'default transient' ? 'nothing else says anything of it' : DECIDES
  looked.push({ table: 'built-in', rule: last.rule, is: last.verdict, matched: true, why })
  return { ...last, by: 'built-in', taught: null, looked }
}

const DECIDES = 'all that it asks for holds'
const OWN = 'the engine says this of itself, and that cannot be taught'
