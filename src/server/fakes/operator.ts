/** The use cases that tests of the wire try with the real engine only. Never in the package. */
import type { OperatorUses } from '../../engine/operator-api.js'

const unfaked = () => Promise.reject(new Error('This is tried with the real engine: contract tests.'))

export class UnfakedOperator implements OperatorUses {
  pause: OperatorUses['pause'] = unfaked
  resume: OperatorUses['resume'] = unfaked
  answer: OperatorUses['answer'] = unfaked
  replay: OperatorUses['replay'] = unfaked
  planReplay: OperatorUses['planReplay'] = unfaked
  compensate: OperatorUses['compensate'] = unfaked
  override: OperatorUses['override'] = unfaked
  resolve: OperatorUses['resolve'] = unfaked
  signal: OperatorUses['signal'] = unfaked
  answerCallback: OperatorUses['answerCallback'] = unfaked
  cancelGroup: OperatorUses['cancelGroup'] = unfaked
  decisions: OperatorUses['decisions'] = unfaked
  audit: OperatorUses['audit'] = unfaked
  verifyAudit: OperatorUses['verifyAudit'] = unfaked
  bulk: OperatorUses['bulk'] = unfaked
  planBulk: OperatorUses['planBulk'] = unfaked
}
