/**
 * The risk policy that holds when a program gives none. It judges names of systems, operations and fields, declared
 * touches, numbers and the way back; never the summary or any other prose, because that may be a model's. What it does
 * not recognise is medium, not low. Pure.
 */
import { nameOf, type ProposedWrite, type Touch } from './proposal.js'
import { isHigher, RISKS, type Risk, type RiskFacts, type RiskPolicy, type RiskVerdict } from './risk.js'

export interface RiskWords {
  /** Names of target systems, besides the built-in words, whose reversible writes are of low risk. @default [] */
  internal?: readonly string[]
  /** More words that mean money, access, …, as they occur in names of systems, operations and fields. @default {} */
  touches?: Partial<Record<Touch, readonly string[]>>
}

/** Version of the built-in policy, part of every digest. */
export const DEFAULT_POLICY_VERSION = 'default-1'

const BUILT_IN: Record<Touch, string> = {
  money:
    'payment pay payout refund invoice billing bill charge credit debit price discount transfer bank money salary payroll',
  access: 'access permission role grant revoke iam acl password credential secret token login sudo admin mfa',
  deletion: 'delete deletion remove removal purge erase destroy drop truncate wipe',
  legal: 'legal contract agreement compliance consent nda licence license gdpr',
  customers: 'customer client email mail message sms notification notify newsletter reply chat send',
  public: 'public publish publication website site blog press social tweet release',
}
const INTERNAL = new Set(split('internal tag label status category priority assignee comment'))
const DRAFT = new Set(split('draft note'))

const TOUCHED: Record<Touch, { risk: Risk; says: string }> = {
  money: { risk: 'high', says: 'moves money' },
  access: { risk: 'high', says: 'changes who has access' },
  deletion: { risk: 'high', says: 'deletes something' },
  legal: { risk: 'high', says: 'has legal effect' },
  customers: { risk: 'medium', says: 'reaches customers' },
  public: { risk: 'medium', says: 'is public' },
}

/** A policy that knows the words of this deployment as well. */
export function wordPolicy(words: RiskWords = {}): RiskPolicy {
  const touches = Object.keys(BUILT_IN).map((touch) => ({
    touch: touch as Touch,
    words: new Set([...split(BUILT_IN[touch as Touch]), ...lower(words.touches?.[touch as Touch])]),
  }))
  const internal = new Set(lower(words.internal))
  return (facts) => {
    const found = [...facts.writes.flatMap((write) => judge(write, touches, internal)), ...judgeWhole(facts)]
    const worst = found.reduce((a, b) => (isHigher(b.risk, a.risk) ? b : a))
    return facts.evidence.length > 0 ? worst : withoutEvidence(worst)
  }
}

export const defaultPolicy: RiskPolicy = wordPolicy()

function judge(
  write: ProposedWrite,
  touches: readonly { touch: Touch; words: ReadonlySet<string> }[],
  internal: ReadonlySet<string>,
): RiskVerdict[] {
  const name = `"${nameOf(write)}"`
  const place = tokens(`${write.target} ${write.operation}`)
  const all = [...place, ...write.fields.flatMap(({ field }) => tokens(field))]
  const inside = place.includes('internal')
  const found: RiskVerdict[] = []
  if (write.irreversible) found.push({ risk: 'high', rule: 'irreversible', why: `${name} cannot be undone.` })
  for (const { touch, words } of touches) {
    const declared = write.touches.includes(touch)
    // "publish" inside the house is not publication.
    if (!declared && (!all.some((token) => words.has(token)) || (touch === 'public' && inside))) continue
    const { risk, says } = TOUCHED[touch]
    found.push({ risk, rule: touch, why: `${name} ${says}.` })
  }
  if (found.length > 0) return found
  if (place.some((token) => DRAFT.has(token)))
    return [{ risk: 'none', rule: 'draft', why: `${name} only makes a draft or a note.` }]
  if (internal.has(write.target.toLowerCase()) || place.some((token) => INTERNAL.has(token)))
    return [{ risk: 'low', rule: 'internal', why: `${name} stays inside and can be undone.` }]
  return [{ risk: 'medium', rule: 'unknown-target', why: `Nothing says that ${name} stays inside.` }]
}

function judgeWhole({ impact, rollback }: RiskFacts): RiskVerdict[] {
  const found: RiskVerdict[] = []
  if (!rollback.available) found.push({ risk: 'high', rule: 'irreversible', why: 'It cannot be undone.' })
  if (impact.money !== null)
    found.push({ risk: 'high', rule: 'money', why: `It moves ${impact.money.amount} ${impact.money.currency}.` })
  if (impact.visibility === 'public') found.push({ risk: 'medium', rule: 'public', why: 'It is public.' })
  if (impact.visibility === 'customers' || impact.affects.some((group) => tokens(group).includes('customer')))
    found.push({ risk: 'medium', rule: 'customers', why: 'It reaches customers.' })
  return found
}

function withoutEvidence({ risk, rule, why }: RiskVerdict): RiskVerdict {
  const raised = RISKS[Math.min(RISKS.indexOf(risk) + 1, RISKS.length - 1)]!
  const so =
    raised === risk ? 'There is no evidence.' : `There is no evidence, so it counts as ${raised} instead of ${risk}.`
  return { risk: raised, rule: `${rule}-no-evidence`, why: `${why} ${so}` }
}

/** The words of a name: `customerEmails` → customer, email. A plural counts as its singular. */
function tokens(name: string): string[] {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
  return words
    .filter(Boolean)
    .flatMap((word) => (word.length > 3 && word.endsWith('s') ? [word, word.slice(0, -1)] : [word]))
}

function split(text: string): string[] {
  return text.split(' ')
}

function lower(words: readonly string[] = []): string[] {
  return words.map((word) => word.toLowerCase())
}
