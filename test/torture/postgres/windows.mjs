/**
 * Where processes that share a PostgreSQL are killed or stopped on purpose: points in the transactions that they send, on
 * both sides of each commit and while it is on its way.
 */

/** Which kind of work a transaction does, told by the statements that it carries out. */
export const KINDS = [
  ['submit', /^insert into jobs /],
  ['claim', /^update live set state = \?/],
  ['step', /^insert into steps /],
  ['finish', /^insert into outcomes /],
  ['wait', /^insert into waits /],
  ['signal', /^insert into mailbox/],
  ['move', /^update live set lane = /],
  ['effect', /^insert into effects /],
  ['lead', /^insert into leases /],
]

const around = (kind) => [`${kind}:before-commit`, `${kind}:commit-sent`, `${kind}:after-commit`]

/** By role: what happens in a process of that kind. */
export const WINDOWS = {
  api: {
    'submit, before commit': ['submit:begun', 'submit:before-commit'],
    'submit, commit on its way': ['submit:commit-sent'],
    'submit, after commit, before answer': ['submit:after-commit', 'submit:store-answered', 'submit:engine-answered'],
    'signal and cancel': [...around('signal'), ...around('move')],
  },
  worker: {
    claim: [...around('claim'), 'claim:store-answered'],
    'inside a step': ['step:announced', 'step:effect-sent'],
    'effect done, step unrecorded': ['step:effect-done', 'step:before-commit'],
    'step recorded': ['step:commit-sent', 'step:after-commit', 'step:store-answered', 'step:returned'],
    'once: begun': around('effect'),
    'waits and children': around('wait'),
    'retry, wake, rescue': around('move'),
    'about to end': ['finish:returning'],
    finishing: ['finish:returning', ...around('finish'), 'finish:store-answered'],
    upkeep: around('lead'),
  },
}
