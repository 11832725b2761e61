/** What a deployment decides about approvals: the policy that judges requests, and what each tier asks for. */
import type { ApprovalRules } from '../core/approval.js'
import { type Duration, parseDuration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import { type Risk, type RiskPolicy, type RiskRule, riskTable } from '../core/risk.js'
import { DEFAULT_POLICY_VERSION, defaultPolicy } from '../core/risk-policy.js'

export interface ApprovalSettings {
  /**
   * Computes the tier of each request from its facts. One that throws counts as `high`. It runs in the server, never in a
   * model, and must depend on nothing but its argument. @default the words of `wordPolicy()`
   */
  policy?: RiskPolicy
  /** Name of this version of the policy, part of every digest; change it with the policy. Needed with one. */
  policyVersion?: string
  /** Changes to what single tiers ask for. @default one person for low, one other for medium, two others for high */
  tiers?: Partial<Record<Risk, TierSettings>>
}
export interface TierSettings extends Partial<Omit<RiskRule, 'dueMs'>> {
  /** Time to decide when a request names none. @default '3d' */
  due?: Duration
}

/** @throws UntildoneError `bad-definition` */
export function approvalRules(
  { policy, policyVersion, tiers = {} }: ApprovalSettings,
  sha256: ApprovalRules['sha256'],
): ApprovalRules {
  if (policy && !policyVersion)
    throw new UntildoneError(
      'bad-definition',
      'approvals.policy needs a policyVersion: what somebody approves is bound to the policy that judged it.',
    )
  const changes = Object.entries(tiers).map(([risk, { due, ...rule }]): [string, Partial<RiskRule>] => [
    risk,
    { ...rule, ...(due === undefined ? {} : { dueMs: parseDuration(due, `approvals.tiers.${risk}.due`) }) },
  ])
  return {
    policy: policy ?? defaultPolicy,
    policyVersion: policyVersion ?? DEFAULT_POLICY_VERSION,
    table: riskTable(Object.fromEntries(changes)),
    sha256,
  }
}
