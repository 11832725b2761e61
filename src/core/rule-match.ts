/** Whether a rule matches an error, and if not, what is missing. One function for verdicts and for explaining them. Pure. */
import type { ErrorFacts } from './error-facts.js'
import { clip } from './json.js'
import { patternOf, type TaughtWhen } from './taught.js'
import { inRange } from './version-range.js'

/** Conditions of all kinds of rules; those that are given must hold. */
export interface Conditions extends Omit<TaughtWhen, 'match' | 'engine'> {
  match?: RegExp | string
  engine?: { name: string; versions?: string | null }
}

/** How the fingerprint of an error is found, when a rule asks for it. */
export type Fingerprint = (facts: ErrorFacts) => string | null

const MEMBERS = ['code', 'status', 'exit', 'signal', 'engine', 'fingerprint', 'match'] as const
type Member = (typeof MEMBERS)[number]

/** The first condition that does not hold; `none` for a rule without any, which matches nothing; null when it matches. */
export function missOf(rule: Conditions, facts: ErrorFacts, fingerprint: Fingerprint): Member | 'none' | null {
  let asked = false
  for (const member of MEMBERS) {
    if (rule[member] === undefined) continue
    asked ||= member !== 'engine'
    if (!holds(member, rule, facts, fingerprint)) return member
  }
  return asked ? null : 'none'
}

function holds(member: Member, rule: Conditions, facts: ErrorFacts, fingerprint: Fingerprint): boolean {
  if (member === 'match') return matches(rule.match!, textOf(facts))
  if (member === 'fingerprint') return rule.fingerprint === fingerprint(facts)
  return member === 'engine' ? engineHolds(rule, facts) : rule[member] === facts[member]
}

/** Whether it is the engine that a rule names, in one of its versions; true for a rule that names none. */
export function engineHolds({ engine }: Conditions, facts: Pick<ErrorFacts, 'engine' | 'engineVersion'>): boolean {
  if (!engine) return true
  if (facts.engine !== engine.name) return false
  const { versions = null } = engine
  return versions === null || (facts.engineVersion !== null && inRange(facts.engineVersion, versions))
}

/** In words for people: why it does not match. */
export function missWords(miss: Member | 'none', rule: Conditions, facts: ErrorFacts): string {
  if (miss === 'none') return 'it has no condition'
  if (miss === 'match')
    return `the text does not ${rule.match instanceof RegExp ? 'match' : 'contain'} ${said(rule.match!)}`
  if (miss === 'fingerprint') return `its fingerprint is not ${rule.fingerprint}`
  if (miss === 'engine') {
    const { name, versions } = rule.engine!
    if (facts.engine !== name) return `the engine is ${facts.engine ?? 'not known'}, not ${name}`
    return `the version of ${name} is ${facts.engineVersion ?? 'not known'}, not ${versions}`
  }
  return `${miss} is ${facts[miss] ?? 'not set'}, not ${rule[miss]}`
}

export function textOf({ code, name, message, output }: ErrorFacts): string {
  return `${code ?? ''} ${name}: ${message}\n${output}`
}

export function matches(pattern: RegExp | string, text: string): boolean {
  if (typeof pattern === 'string') return text.includes(pattern)
  pattern.lastIndex = 0 // a /g/ expression keeps its place between calls
  return pattern.test(text)
}

export function ruleName(table: string, index: number, rule: Conditions): string {
  const { name, versions } = rule.engine ?? {}
  const engine = name === undefined ? '' : versions ? ` of ${name} ${versions}` : ` of ${name}`
  const what =
    rule.match ??
    rule.code ??
    rule.signal ??
    (rule.status !== undefined ? `status ${rule.status}` : `exit ${rule.exit}`)
  return `${table}[${index}] ${said(what)}${clip(engine, 80)}`
}

const said = (what: RegExp | string): string => clip(String(what), 80)

const compiled = new WeakMap<TaughtWhen, Conditions>()

/** The conditions of a taught rule, its expression read once. */
export function conditionsOf(when: TaughtWhen): Conditions {
  let known = compiled.get(when)
  if (!known) {
    known = when.match === undefined ? (when as Conditions) : { ...when, match: patternOf(when.match) }
    compiled.set(when, known)
  }
  return known
}
