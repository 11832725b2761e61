/**
 * Bugs planted on purpose in copies of the library, each with the faults and the jobs that bring it to light. The library
 * itself knows none of them.
 *
 * Two that were tried are not among them, because nobody can see a harm: an unanswered commit that is taken for failed (run
 * again, it finds what it wrote by its key or version), and a relay that announces each job once only (a lost announcement
 * is a lost permit; the lane's next one claims the job, and a host that fell back to the store finds the rest).
 */

const kill = (role, window, countdown) => ({ name: 'killed in a window', params: { role, window, countdown } })
const stop = (role, window) => ({ name: 'stopped in a window, for two leases', params: { role, window, countdown: 2 } })

/** All servers, or all workers, far from the database for as long as the faults of a try go on. */
const far = (role) =>
  (role === 'api' ? [0, 1] : [2, 3]).map((n) => ({
    name: 'line slow (F21, F83)',
    params: { n, late: 60, forMs: 8000 },
  }))
const LAST_MS = 6000

const driver = 'stores/postgres/driver.js'
const connections = 'stores/postgres/connections.js'
const COMMITTED = 'if (committing && (await this.lines.committed('
const noFence = [
  'stores/sql/record.js',
  'where l.id = ?1 and l.epoch = ?2 and l.worker is not null',
  'where l.id = ?1 and l.epoch >= ?2',
]
/** A worker that believes in its lease for ever, so that only the fences of the store stand. */
const neverFencesItself = [
  ['worker/lease.js', 'this.options.clock.monotonic() - this.confirmedAt > SELF_FENCE_MS', 'false'],
  ['worker/lease.js', 'this.options.clock.after(Math.max(0, left), () => this.lost())', 'null'],
  ['worker/lease.js', 'this.options.clock.monotonic() - this.confirmedAt <= SELF_FENCE_MS', 'true'],
  ['worker/lease.js', 'if (!(await this.beat()))', 'if ((await this.beat()) === null)'],
]
/**
 * A worker comes back while others have its jobs. That one which never fences itself then renews a lease that it has lost
 * (S7) says nothing of the fences of the store.
 */
const overtakes = (...faults) => ({
  faults,
  only: ['overtaken'],
  most: 60,
  perTry: 1,
  lasting: true,
  aside: ['S7'],
  tries: 8,
})

export const BUGS = {
  'acknowledged before the commit': {
    edits: [[driver, 'const { command } = await committed;', `const command = 'COMMIT'; committed.catch(() => {});`]],
    faults: ['PostgreSQL killed (F28)', 'cut before COMMIT arrives (F27)', kill('api', 'submit, commit on its way', 3)],
  },
  'unknown commit taken for done': {
    edits: [[driver, COMMITTED, COMMITTED.replace('await', 'true || await')]],
    faults: ['cut before COMMIT arrives (F27)'],
  },
  'commits that do not wait for the disk': {
    edits: [
      [
        connections,
        '(synchronousCommit ? { synchronous_commit: synchronousCommit } : {})',
        `{ synchronous_commit: 'off' }`,
      ],
      [connections, `found.commit === 'off' &&`, 'false &&'],
    ],
    faults: ['PostgreSQL killed (F28)'],
  },
  'no handler for connections that break while idle': {
    edits: [['stores/postgres/pools.js', `pool.on('error', () => { });`, ';']],
    faults: ['backends ended (F25)', 'line cut'],
  },
  'steps recorded without a fence': {
    edits: [noFence, ...neverFencesItself],
    ...overtakes(stop('worker', 'inside a step'), stop('worker', 'effect done, step unrecorded')),
  },
  'ended without a fence': {
    edits: [
      ['core/lifecycle.js', `'epoch' in fence ? fence.epoch !== job.epoch :`, `'epoch' in fence ? false :`],
      ...neverFencesItself,
    ],
    ...overtakes(stop('worker', 'about to end')),
  },
  'claimed without a guard': {
    edits: [
      ['stores/postgres/dialect.js', `' for update of l skip locked'`, `''`],
      [
        'stores/sql/rows.js',
        "attempt, actor, reason, error, details')",
        "attempt, actor, reason, error, details') + ' on conflict do nothing'",
      ],
    ],
    faults: far('worker'),
    lastMs: LAST_MS,
    only: ['complete'],
    most: 80,
  },
  'rescued from workers that live': {
    edits: [['stores/sql/store.js', 'w.lease_until > ?2', 'w.lease_until > ?2 + 4500::bigint']],
    faults: ['line slow (F21, F83)'],
    only: ['slow'],
  },
  'one key, two jobs': {
    edits: [
      [
        'stores/sql/submit.js',
        '(tenant, operation, key, job_id, fingerprint) values (?1, ?2, ?3, ?4, ?5)',
        '(tenant, operation, key, job_id, fingerprint) values (?1, ?2, ?3, ?4, ?5) on conflict do nothing',
      ],
    ],
    faults: far('api'),
    lastMs: LAST_MS,
    only: ['complete'],
  },
  'a signal and a wait that miss each other': {
    edits: [['stores/sql/waits.js', 'yield* keepStill([jobId], tx.dialect);', '']],
    faults: far('worker'),
    lastMs: LAST_MS,
    only: ['signalled'],
    most: 60,
  },
  'audit entries in no line': {
    edits: [
      ['stores/sql/audit.js', 'yield* hold(tenants.map(chainOf), dialect);', ''],
      ['stores/sql/audit.js', '?10, ?11, ?12)', '?10, ?11, ?12) on conflict do nothing'],
    ],
    faults: far('api'),
    lastMs: LAST_MS,
    only: ['cancelRace', 'cancelQueued'],
  },
  'places counted in no line': {
    edits: [['stores/sql/gate.js', 'yield* hold([LIMITS], this.tx.dialect);', '']],
    faults: far('worker'),
    lastMs: LAST_MS,
    only: ['together'],
  },
  'once begun again on a guess': {
    edits: [
      ['worker/once.js', `if (known.state === 'started')`, 'if (false)'],
      ['worker/once.js', `known.state === 'absent'`, `known.state !== 'happened'`],
    ],
    faults: [kill('worker', 'once: begun', 4), 'killed at any moment'],
    only: ['transfer'],
  },
  'the key of a step changes with its attempt': {
    edits: [['worker/attempt.js', 'return effectKeyOf(', 'return this.number + effectKeyOf(']],
    faults: [kill('worker', 'effect done, step unrecorded', 2), kill('worker', 'inside a step', 2)],
    only: ['slow', 'complete'],
  },
  'an answer is waited for without end': {
    edits: [
      [connections, 'query_timeout: statementTimeoutMs + Math.min(5000, statementTimeoutMs)', 'query_timeout: 0'],
    ],
    faults: ['line silent (F82)', 'silent before COMMIT is answered'],
  },
}
