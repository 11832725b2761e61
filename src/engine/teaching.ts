/**
 * Failures that nobody has a rule for, and what people teach about them. Every change has an actor, a reason and an audit
 * entry, and none of them touches a job: rules are tried at the next error.
 */
import { type ErrorFacts, factsFrom } from '../core/error-facts.js'
import { UntildoneError } from '../core/errors.js'
import { type Explained, explainError } from '../core/explain-error.js'
import { fingerprintOf, wordsOf } from '../core/fingerprint.js'
import type { Actor } from '../core/job.js'
import type { Json } from '../core/json.js'
import { conditionsOf, missOf, missWords } from '../core/rule-match.js'
import { type TaughtRule, type TaughtWhen, wrongIn } from '../core/taught.js'
import type { WireExplainedError, WireFailure, WireRule, WireTeaching } from '../core/wire-failure.js'
import type { FailureRow } from '../stores/store.js'
import { auditOf, reasonOf } from './act.js'
import type { Caller, Page } from './api.js'
import type { EngineParts } from './parts.js'
import { isBuiltIn } from './registry.js'
import { demand, mayUseType, visibleTypes } from './rights.js'
import { noType } from './stories.js'
import type { ExplainBody, FailureQuery, Narrowing, TeachBody, TeachingUses } from './teaching-api.js'
import { iso } from './view.js'

/** Rules in force per type: each is tried at each error. */
const RULES_MAX = 500
const PAGE = 50
const PAGE_MAX = 200
/** As many failures as are kept of a type. */
const KEPT = 1000
const MATCHES = 100
/** Jobs that are looked at for the share of a failure. */
const RECENT = 200
const REASON_MAX = 2048

type Position = { lastAt: number; fingerprint: string }

export class Teaching implements TeachingUses {
  constructor(private readonly parts: EngineParts) {}

  async list(caller: Caller, { type, since, limit = PAGE, cursor }: FailureQuery): Promise<Page<WireFailure>> {
    demand(caller, 'jobs:operate')
    const { store, cursors } = this.parts
    const types = visibleTypes(caller, type === undefined ? undefined : [type])
    const size = Math.min(PAGE_MAX, limit)
    const belongs = ['failures', caller.tenant, type ?? null, since ?? null]
    const rows = await store.failures.list({
      ...{ tenant: caller.tenant, limit: size + 1 },
      ...(types ? { types } : {}),
      ...(since === undefined ? {} : { since }),
      ...(cursor === undefined ? {} : { after: cursors.open<Position>(cursor, belongs) }),
    })
    const shown = rows.slice(0, size)
    const { lastAt, fingerprint } = shown.at(-1) ?? {}
    return {
      items: shown.map((row) => this.view(row)),
      nextCursor: rows.length > size ? cursors.seal({ lastAt, fingerprint }, belongs) : null,
    }
  }

  async get(caller: Caller, fingerprint: string): Promise<WireFailure> {
    const row = await this.load(caller, fingerprint)
    return { ...this.view(row), recent: await this.parts.store.failures.recent(row, RECENT) }
  }

  async teach(caller: Caller, fingerprint: string, body: TeachBody): Promise<WireTeaching> {
    const row = await this.load(caller, fingerprint)
    const { match, code, status, exit, signal } = body
    const own = [match, code, status, exit, signal].some((given) => given !== undefined)
    const when = whenOf(body, own ? null : fingerprint)
    const { facts } = row.example
    const rule = conditionsOf(this.checked(when))
    const miss = missOf(rule, facts, () => fingerprint)
    if (miss !== null)
      throw invalid(miss === 'none' ? '' : `/${miss}`, `would not match this failure: ${missWords(miss, rule, facts)}`)
    return this.store(caller, row.type, when, body)
  }

  async addRule(caller: Caller, type: string, body: TeachBody): Promise<WireTeaching> {
    demand(caller, 'jobs:operate')
    this.typeOf(caller, type)
    return this.store(caller, type, this.checked(whenOf(body, null)), body)
  }

  async rules(caller: Caller, { type, all = false }: { type?: string; all?: boolean }): Promise<WireRule[]> {
    demand(caller, 'jobs:operate')
    const rules = await this.parts.store.rules.list(caller.tenant, all)
    const asked = { ...caller, types: type === undefined ? null : [type] }
    return rules.filter((rule) => mayUseType(caller, rule.type) && mayUseType(asked, rule.type)).map(ruleView)
  }

  async forget(caller: Caller, id: number, reason: string | null): Promise<WireRule> {
    demand(caller, 'jobs:operate')
    const { store, taught } = this.parts
    const { tenant } = caller
    const rule = (await store.rules.list(tenant, true)).find((one) => one.id === id)
    if (!rule || !mayUseType(caller, rule.type)) throw gone(`taught rule ${id}`)
    const said = reasonIn(reason)
    const details = aboutRule(rule)
    const audit = auditOf(caller, 'rule.forget', `rule/${id}`, said, details)
    const forgotten = await store.rules.forget({ tenant, id, by: personOf(caller), reason: said }, audit)
    await taught.load()
    return ruleView(forgotten!)
  }

  async explain(caller: Caller, body: ExplainBody): Promise<WireExplainedError> {
    demand(caller, 'jobs:operate')
    const { type, engine, ...error } = body
    this.typeOf(caller, type)
    const facts = factsFrom({ ...error, engine: engine?.name ?? null, engineVersion: engine?.version ?? null })
    const { fingerprint, explained } = this.judge(caller.tenant, type, facts)
    const rule = this.parts.taught.of({ tenant: caller.tenant, type }).find(({ id }) => id === explained.taught)
    const row = await this.parts.store.failures.get(caller.tenant, fingerprint)
    const { verdict, rule: name, by, looked } = explained
    return {
      ...{ type, fingerprint, verdict, rule: name, by, taught: rule ? ruleView(rule) : null, looked },
      failure: row ? this.view(row) : null,
      notes: NOTES,
    }
  }

  private async load(caller: Caller, fingerprint: string): Promise<FailureRow> {
    demand(caller, 'jobs:operate')
    const row = await this.parts.store.failures.get(caller.tenant, fingerprint)
    if (!row || !mayUseType(caller, row.type)) throw gone(`failure ${fingerprint}`)
    return row
  }

  private typeOf(caller: Caller, name: string): void {
    if (!this.parts.registry.get(name) || isBuiltIn(name) || !mayUseType(caller, name)) throw noType(name)
  }

  private async store(caller: Caller, type: string, when: TaughtWhen, body: TeachBody): Promise<WireTeaching> {
    const { store, taught } = this.parts
    const { tenant } = caller
    const { verdict, dryRun = false } = body
    const reason = reasonIn(body.reason)
    const by = personOf(caller)
    const draft: TaughtRule = {
      ...{ id: 0, tenant, type, when, is: verdict, reason, by, at: store.now() },
      ...{ used: 0, lastUsedAt: null, forgotten: null },
    }
    const found = await this.matches(draft)
    const { length } = taught.of(draft)
    if (length >= RULES_MAX)
      throw new UntildoneError('quota-exceeded', `"${type}" has ${length} taught rules, which is the limit.`, {
        params: { limit: RULES_MAX },
        fix: 'Forget those that are not used, or put what is known for good into the error table of the type.',
      })
    if (dryRun) return { rule: null, when, ...found }
    const audit = (id: number) => auditOf(caller, 'rule.teach', `rule/${id}`, reason, aboutRule(draft))
    const rule = await store.rules.teach({ tenant, type, when, is: verdict, reason, by }, audit)
    await taught.load()
    return { rule: ruleView(rule), when, ...found }
  }

  /** Recorded failures that it matches, and whether it would decide about them. */
  private async matches(rule: TaughtRule): Promise<Pick<WireTeaching, 'matches' | 'matched'>> {
    const { tenant, type } = rule
    const rows = await this.parts.store.failures.list({ tenant, types: [type], limit: KEPT })
    const met = rows.filter(
      ({ example, fingerprint }) => missOf(conditionsOf(rule.when), example.facts, () => fingerprint) === null,
    )
    const matches = met.slice(0, MATCHES).map(({ fingerprint, count, lastAt, example: { facts } }) => ({
      ...{ fingerprint, words: wordsOf(facts.message), count, lastSeenAt: iso(lastAt) },
      before: this.judge(tenant, type, facts, fingerprint).explained.verdict,
      decides: this.judge(tenant, type, facts, fingerprint, rule).explained.taught === rule.id,
    }))
    return { matches, matched: met.length }
  }

  /** By the rules as they are now, with one more in front if given. */
  private judge(
    tenant: string,
    type: string,
    facts: ErrorFacts,
    known?: string,
    first?: TaughtRule,
  ): { fingerprint: string; explained: Explained } {
    const { registry, taught, entropy } = this.parts
    const fingerprint = known ?? fingerprintOf(type, facts, entropy.sha256)
    const rules = taught.of({ tenant, type })
    const tables = {
      type: registry.get(type)?.handler.settings.errors,
      taught: first ? [first, ...rules] : rules,
      fingerprint: () => fingerprint,
    }
    return { fingerprint, explained: explainError(facts, tables) }
  }

  private checked(when: TaughtWhen): TaughtWhen {
    const [wrong] = wrongIn(when)
    if (wrong) throw invalid(wrong.member && `/${wrong.member}`, wrong.message)
    return when
  }

  private view({ tenant, type, fingerprint, count, jobs, inputs, firstAt, lastAt, example }: FailureRow): WireFailure {
    const { jobId, attempt, facts } = example
    const { name, message, code, status, exit, signal, output, engine, engineVersion } = facts
    const { verdict, rule, taught } = this.judge(tenant, type, facts, fingerprint).explained
    const self = `/v1/failures/${fingerprint}`
    return {
      ...{ fingerprint, type, words: wordsOf(message), count, jobs, inputs },
      ...{ firstSeenAt: iso(firstAt), lastSeenAt: iso(lastAt) },
      example: {
        ...{ jobId, attempt, name, message, code, status, exit, signal, output },
        engine: engine === null ? null : { name: engine, version: engineVersion },
      },
      ...{ verdict, rule, taught },
      links: { self, teach: `${self}/teach`, job: `/v1/jobs/${jobId}` },
    }
  }
}

const NOTES = [
  'An error that carries its verdict (Permanent, Transient, Harmless, Review) is decided by it, before any rule.',
  'Rules that a step is given in its options come before these; they are known only while it runs.',
]

/** Without members that say nothing, so that the same rule is known as the same. */
function whenOf({ match, code, status, exit, signal, engine }: Narrowing, fingerprint: string | null): TaughtWhen {
  const all = { fingerprint: fingerprint ?? undefined, match, code, status, exit, signal }
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  return engine ? { ...given, engine: { name: engine.name, versions: engine.versions ?? null } } : given
}

function ruleView({ id, type, when, is, reason, by, at, used, lastUsedAt, forgotten }: TaughtRule): WireRule {
  return {
    ...{ id, type, when, verdict: is, reason, by, at: iso(at), used },
    lastUsedAt: lastUsedAt === null ? null : iso(lastUsedAt),
    inForce: forgotten === null,
    forgotten: forgotten && { ...forgotten, at: iso(forgotten.at) },
    links: { self: `/v1/rules/${id}` },
  }
}

/** Stories name people where the key belongs to one. */
function personOf({ actor, person }: Caller): Actor {
  return person?.name ? { ...actor, name: person.name } : actor
}

const aboutRule = ({ type, is, when }: TaughtRule) => ({ type, verdict: is, when: when as unknown as Json })

function reasonIn(reason: string | null | undefined): string {
  const text = reasonOf(reason).trim()
  if (text.length > REASON_MAX) throw invalid('/reason', `must have at most ${REASON_MAX} characters`)
  return text
}

function invalid(pointer: string, message: string): UntildoneError {
  const what = pointer === '' ? 'The rule' : pointer.slice(1)
  return new UntildoneError('validation-failed', `${what} ${message}.`, {
    errors: [{ pointer, code: 'invalid', message }],
  })
}

function gone(what: string): UntildoneError {
  return new UntildoneError('not-found', `There is no ${what}.`, { fix: 'List them: GET /v1/failures, GET /v1/rules.' })
}
