/** The use cases of operator-api.ts, put together. Decides nothing itself. */
import type { Actions } from './actions.js'
import { Answers } from './answer.js'
import { Bulk } from './bulk.js'
import type { OperatorUses } from './operator-api.js'
import { Overrides } from './override.js'
import type { EngineParts } from './parts.js'
import { Replays } from './replay.js'
import { Signals } from './signals.js'
import type { Submission } from './submit.js'
import { Trail } from './trail.js'

export function operatorUses(parts: EngineParts, submission: Submission, actions: Actions): OperatorUses {
  const answers = new Answers(parts)
  const replays = new Replays(parts, submission)
  const overrides = new Overrides(parts)
  const signals = new Signals(parts)
  const trail = new Trail(parts)
  const bulk = new Bulk(parts, submission, {
    cancel: (caller, id, request) => actions.cancel(caller, id, request),
    retry: (caller, id, request) => actions.retry(caller, id, request),
    pause: (caller, id, request) => actions.pause(caller, id, request),
    resume: (caller, id, request) => actions.resume(caller, id, request),
    replay: (caller, id, request) => replays.replay(caller, id, request),
    resolve: (caller, id, request) => overrides.resolve(caller, id, request),
  })
  parts.registry.addBuiltIn(bulk.handler())
  return {
    pause: (caller, id, request) => actions.pause(caller, id, request),
    resume: (caller, id, request) => actions.resume(caller, id, request),
    answer: (caller, id, request) => answers.answer(caller, id, request),
    replay: (caller, id, request) => replays.replay(caller, id, request),
    planReplay: (caller, id, request) => replays.planReplay(caller, id, request),
    compensate: (caller, id, request) => replays.compensate(caller, id, request),
    override: (caller, id, request) => overrides.override(caller, id, request),
    resolve: (caller, id, request) => overrides.resolve(caller, id, request),
    signal: (caller, id, name, request) => signals.signal(caller, id, name, request),
    answerCallback: (token, body) => signals.answerCallback(token, body),
    cancelGroup: (caller, groupId, request) => actions.cancelGroup(caller, groupId, request),
    decisions: (caller, id) => trail.decisions(caller, id),
    audit: (caller, query) => trail.audit(caller, query),
    verifyAudit: (caller) => trail.verifyAudit(caller),
    bulk: (caller, request, key) => bulk.submit(caller, request, key),
    planBulk: (caller, request) => bulk.plan(caller, request),
  }
}
