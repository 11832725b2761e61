/**
 * Risk tiers and what each of them asks for. A tier comes from policy code and may only be raised by the job; a model's
 * words never set it. What a tier asks for is a table that a deployment may change, within limits that keep the word
 * of the tier true. Pure.
 */
import { UntildoneError } from './errors.js'
import type { Person } from './job.js'
import type { Proposal } from './proposal.js'

/** Lowest first. `none` is approved by itself and listed in the audit. */
export const RISKS = ['none', 'low', 'medium', 'high'] as const
export type Risk = (typeof RISKS)[number]

/**
 * What happens to the job when nobody decides in time. `continue` hands the handler the outcome `expired`; `escalate`
 * asks the next groups once more for as long, then cancels. Nothing is ever approved by the passing of time.
 */
export const ON_EXPIRE = ['cancel', 'fail', 'escalate', 'continue'] as const
export type OnExpire = (typeof ON_EXPIRE)[number]

/** So many different people of this group; the group `any` takes everybody who may decide. */
export interface GroupNeed {
  group: string
  n: number
}
export const ANY = 'any'

/** What a tier asks for. */
export interface RiskRule {
  /** Whose approvals are needed; empty = approved by itself. */
  need: GroupNeed[]
  /** Whether the person who asked for the job counts. */
  requesterMayApprove: boolean
  /** How many requests of the same shape may be decided at once; 0 = each on its own. */
  batch: number
  /** Whether an approval needs a reason. A rejection and a wish for changes always do. */
  reasonToApprove: boolean
  /** Whether a decision must name the digest of what the person saw. */
  digest: boolean
  /** The expiry rules that a request may choose from; the first is the default. */
  onExpire: OnExpire[]
  /** Time to decide when the request names none, in milliseconds. */
  dueMs: number
}
export type RiskTable = Record<Risk, RiskRule>

const DAY = 86_400_000
const EXPIRY: OnExpire[] = ['cancel', 'fail', 'escalate', 'continue']

export const DEFAULT_RISK_TABLE: RiskTable = {
  none: {
    ...{ need: [], requesterMayApprove: true, batch: 0, reasonToApprove: false, digest: false },
    ...{ onExpire: EXPIRY, dueMs: 3 * DAY },
  },
  low: {
    ...{ need: [{ group: ANY, n: 1 }], requesterMayApprove: true, batch: 20, reasonToApprove: false, digest: false },
    ...{ onExpire: EXPIRY, dueMs: 3 * DAY },
  },
  medium: {
    ...{ need: [{ group: ANY, n: 1 }], requesterMayApprove: false, batch: 0, reasonToApprove: false, digest: true },
    ...{ onExpire: EXPIRY, dueMs: 3 * DAY },
  },
  high: {
    ...{ need: [{ group: ANY, n: 2 }], requesterMayApprove: false, batch: 0, reasonToApprove: true, digest: true },
    ...{ onExpire: EXPIRY, dueMs: 3 * DAY },
  },
}

/** What a policy judges: facts of the request, computed by code. */
export interface RiskFacts extends Proposal {
  tenant: string
  jobType: string
  gate: string
  requester: Person | null
}

export interface RiskVerdict {
  risk: Risk
  /** Name of the rule that set it; a slug. */
  rule: string
  /** One sentence for the reviewer. */
  why: string
}

/** Given by the embedding program. It must depend on nothing but its argument. */
export type RiskPolicy = (facts: RiskFacts) => RiskVerdict

/** The tier of a request: what the policy says, or more if the job asks for more. A policy that fails counts as `high`. */
export function assess(facts: RiskFacts, policy: RiskPolicy, asked: Risk | null): RiskVerdict {
  const said = saidBy(policy, facts)
  if (asked === null || !isHigher(asked, said.risk)) return said
  return {
    risk: asked,
    rule: 'asked-by-job',
    why: `The job asks for ${asked} risk. By policy it is ${said.risk}: ${said.why}`,
  }
}

function saidBy(policy: RiskPolicy, facts: RiskFacts): RiskVerdict {
  try {
    const { risk, rule, why } = policy(facts)
    if (RISKS.includes(risk) && typeof rule === 'string' && typeof why === 'string') return { risk, rule, why }
    return failed(`it answered ${JSON.stringify({ risk, rule, why })}`)
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error))
  }
}

/** The strictest tier, so that a broken policy stops things instead of letting them through. */
function failed(message: string): RiskVerdict {
  return {
    risk: 'high',
    rule: 'policy-failed',
    why: `The risk policy could not judge this (${message}), so the strictest rule holds.`,
  }
}

export function isHigher(a: Risk, b: Risk): boolean {
  return RISKS.indexOf(a) > RISKS.indexOf(b)
}

/** How many approvals a need comes to. */
export function approvalsNeeded(need: readonly GroupNeed[]): number {
  return need.reduce((sum, { n }) => sum + n, 0)
}

/**
 * Both needs at once: of each named group the larger number, in total the larger total; what no named group fills is
 * open to `any`. A request can thus ask for more than its tier, never for less.
 */
export function needOf(tier: readonly GroupNeed[], asked: readonly GroupNeed[]): GroupNeed[] {
  const named = new Map<string, number>()
  for (const need of [tier, asked]) {
    for (const [group, n] of totals(need)) if (group !== ANY) named.set(group, Math.max(named.get(group) ?? 0, n))
  }
  const groups = [...named].map(([group, n]) => ({ group, n }))
  const rest = Math.max(approvalsNeeded(tier), approvalsNeeded(asked)) - approvalsNeeded(groups)
  return rest > 0 ? [...groups, { group: ANY, n: rest }] : groups
}

function totals(need: readonly GroupNeed[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const { group, n } of need) sums.set(group, (sums.get(group) ?? 0) + n)
  return sums
}

/** The rule in one sentence or two, for the reviewer. Made from the rule itself, so a changed table describes itself. */
export function sentenceOf(risk: Risk, rule: RiskRule): string {
  const total = approvalsNeeded(rule.need)
  if (total === 0) return `${WORDS[risk]}: approved by itself and listed in the audit.`
  const other = rule.requesterMayApprove ? '' : 'other '
  const people = total === 1 ? `one ${other || ''}person` : `${total} ${other || 'different '}people`
  const named = rule.need.filter(({ group }) => group !== ANY).map(({ group, n }) => `${n} from ${group}`)
  const self = rule.requesterMayApprove ? ' Whoever asked for it may approve it.' : ''
  const reason = rule.reasonToApprove ? ' Each approval needs a reason.' : ''
  const batch = rule.batch > 1 ? ` Up to ${rule.batch} of the same shape can be decided at once.` : ''
  const from = named.length > 0 ? `, of them ${named.join(' and ')}` : ''
  return `${WORDS[risk]}: ${people} must approve${from}.${self}${reason}${batch}`
}

const WORDS: Record<Risk, string> = { none: 'No risk', low: 'Low risk', medium: 'Medium risk', high: 'High risk' }

/**
 * The default table with a deployment's changes.
 * @throws UntildoneError `bad-definition` for a table in which a tier is not what its name says
 */
export function riskTable(changes: Partial<Record<Risk, Partial<RiskRule>>> = {}): RiskTable {
  const table = { ...DEFAULT_RISK_TABLE }
  for (const [risk, change] of Object.entries(changes)) {
    if (!isRisk(risk)) throw bad(`there is no tier "${risk}"; the tiers are ${RISKS.join(', ')}`)
    table[risk] = { ...table[risk], ...change }
  }
  for (const [i, risk] of RISKS.entries()) {
    const { need, requesterMayApprove, batch, digest, onExpire, dueMs } = table[risk]
    for (const { group, n } of need) {
      if (!group || !Number.isInteger(n) || n < 1 || n > 20)
        throw bad(`${risk}.need: each entry has a group and an n from 1 to 20`)
    }
    if (i > 0 && approvalsNeeded(need) < Math.max(1, approvalsNeeded(table[RISKS[i - 1]!].need)))
      throw bad(`${risk}.need: give at least one approval, and not fewer than for ${RISKS[i - 1]}`)
    if (isHigher(risk, 'low') && (requesterMayApprove || !digest))
      throw bad(`${risk}: from medium upwards the requester does not count and the digest is needed`)
    if (risk === 'high' && batch > 1) throw bad('high.batch: requests of high risk are decided one at a time')
    if (!Number.isInteger(batch) || batch < 0) throw bad(`${risk}.batch: give a whole number, 0 for one at a time`)
    if (onExpire.length === 0 || onExpire.some((rule) => !ON_EXPIRE.includes(rule)))
      throw bad(`${risk}.onExpire: choose from ${ON_EXPIRE.join(', ')}; nothing is approved by the passing of time`)
    if (!(Number.isSafeInteger(dueMs) && dueMs > 0)) throw bad(`${risk}.dueMs: give milliseconds, more than 0`)
  }
  return table
}

export function isRisk(value: unknown): value is Risk {
  return RISKS.includes(value as Risk)
}

function bad(message: string): UntildoneError {
  return new UntildoneError('bad-definition', `Risk table: ${message}.`)
}
