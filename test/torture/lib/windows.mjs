/**
 * The eight windows into which a kill is aimed, and the points inside each. A point is passed by the victim again and
 * again; the one that is armed kills it there, in the middle of whatever it does.
 */
export const WINDOWS = {
  'before commit': ['submit:begun', 'submit:before-commit'],
  'after commit, before answer': ['submit:after-commit', 'submit:store-answered', 'submit:engine-answered'],
  claim: ['claim:before-commit', 'claim:after-commit', 'claim:store-answered'],
  'inside a step': ['step:announced', 'step:effect-sent'],
  'effect done, step unrecorded': ['step:effect-done', 'step:before-commit'],
  'step recorded': ['step:after-commit', 'step:store-answered', 'step:returned'],
  finishing: ['finish:returning', 'finish:before-commit', 'finish:after-commit', 'finish:store-answered'],
  // Armed without a point: the n-th of all those passed between the first line and the first connection.
  'start-up': [
    'start:opening',
    'start:begun',
    'start:before-commit',
    'start:after-commit',
    'start:opened',
    'start:recovered',
    'start:listening',
  ],
}

/** The windows of the telling: between the end of a job and the record that a receiver has heard of it. */
export const TELLING = {
  'ended, not handed on': ['outbox:begun', 'outbox:before-commit', 'outbox:after-commit'],
  'handing on': ['tell:begun', 'tell:before-commit', 'tell:after-commit'],
  'POST on its way': ['post:begun', 'post:sent'],
  'answered, not recorded': ['post:answered', 'finish:before-commit'],
  'delivery recorded': ['finish:after-commit', 'finish:store-answered'],
}

/** Which kind of work a transaction does, told by the statements that it carries out. */
export const KINDS = [
  ['submit', /^insert into jobs /],
  ['claim', /^update live set state = \?/],
  ['step', /^insert into steps /],
  ['finish', /^insert into outcomes /],
  ['file', /^insert into files /],
  ['outbox', /^insert into outbox /],
  ['tell', /^delete from outbox /],
]

/** The countdown is drawn up to here, so that kills land on the first passing and on later ones. */
export const DEEPEST = {
  'before commit': 6,
  'after commit, before answer': 6,
  claim: 8,
  'inside a step': 20,
  'effect done, step unrecorded': 20,
  'step recorded': 20,
  finishing: 10,
  'start-up': 12,
  'ended, not handed on': 30,
  'handing on': 20,
  'POST on its way': 25,
  'answered, not recorded': 25,
  'delivery recorded': 25,
}
