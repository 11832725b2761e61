/** What only systems of several processes can get wrong, told from journal, ledger and rows. Pure. */

/** @returns every violation as `{ invariant, job, text }` */
export function checkMany({ journal, ledger, store, workers, leaseMs }) {
  const violations = []
  const found = (invariant, job, text) => violations.push({ invariant, job, text })
  for (const { what, id } of store.left) found('L1', id, `everything has ended, and it is left among the ${what}`)
  checkSignals(journal, store, found)
  checkOnce(ledger, store, found)
  checkLeases(store, workers, leaseMs, found)
  return violations
}

/** S1: a signal that was acknowledged is there, and whoever waited for it took it. */
function checkSignals(journal, { mailbox, jobs }, found) {
  const mail = new Map(mailbox.map((row) => [row.job_id, row]))
  for (const { what, id, status } of journal) {
    if (what !== 'signal' || status !== 202) continue
    if (!mail.has(id)) found('S1', id, 'a signal to it was acknowledged and is not in its mailbox')
    else if (jobs.get(id)?.outcome?.status === 'completed' && mail.get(id).taken_by === null)
      found('S9', id, 'it went on without having taken its signal')
  }
}

/** What is to happen once is not begun again on a guess: without a way to ask, only a person may say so, and none does here. */
function checkOnce(ledger, { jobs }, found) {
  const begun = new Map()
  for (const { what, step, job } of ledger)
    if (what === 'start' && step === 'pay' && jobs.get(job)?.input.script === 'transfer')
      begun.set(job, (begun.get(job) ?? 0) + 1)
  for (const [job, times] of begun) if (times > 1) found('S9', job, `what was to happen once was begun ${times} times`)
}

/** S7: nobody is rescued from a worker that holds its lease. One that has lost it goes on under another name. */
function checkLeases({ jobs }, workers, leaseMs, found) {
  const until = new Map(workers.map((row) => [row.id, row.lease_until]))
  for (const { id, attempts } of jobs.values())
    for (const { worker, outcome, ended_at } of attempts)
      if (outcome === 'lost' && until.get(worker) > ended_at + leaseMs)
        found('S7', id, `it was taken from worker ${worker}, which renewed its lease after that`)
}
