/**
 * The judge: what the clients were told (journal), what was done (ledger of the witness) and what the store holds are
 * held against each other and against the invariants of the promise. Pure; knows nothing of processes or kills.
 */
import { demandOf } from './lib/scripts.mjs'

/** How an attempt may have ended, by the event that ended it. */
const ENDS = {
  succeeded: ['ok'],
  errored: ['error', 'cancelled'],
  released: ['released', 'cancelled'],
  leaseExpired: ['lost'],
  suspended: ['suspended', 'cancelled'],
}
const NOT_DONE_HERE = new Set(['process', 'sleep', 'timer', 'signal', 'child'])
const RUNNING = new Set(['running', 'cancelling'])

/**
 * @param facts `journal`, `ledger` (entries in order), `store` (rows as tables.mjs reads them), `lies` (what readers saw),
 *   `core` (TRANSITIONS, isFinal, firstBreak and sha256 of the library)
 * @returns every violation as `{ invariant, job, text }`, and what was counted
 */
export function check({ journal, ledger, store, lies = [], core }) {
  const violations = [...lies]
  const found = (invariant, job, text) => violations.push({ invariant, job, text })
  const told = tellings(journal)
  const seen = testimony(ledger)

  checkAccepted(told, store, found)
  for (const job of store.jobs.values()) {
    checkHistory(job, core, found)
    checkAttempts(job, found)
    checkSteps(job, seen.get(job.id) ?? NOTHING, core, found)
    checkEnd(job, seen.get(job.id) ?? NOTHING, told, core, found)
  }
  for (const [id, { effects }] of seen)
    if (effects.size > 0 && !store.jobs.has(id))
      found('S1', id, 'the witness saw its effects, the store does not know it')
  checkKeys(ledger, found)
  checkAudit(store, core, found)
  for (const text of store.integrity) found('integrity', null, text)
  return { violations, counts: countAll(told, store, violations) }
}

const NOTHING = { began: new Set(), starts: [], effects: new Map(), recorded: [] }

/** The journal by key and by job. */
function tellings(journal) {
  const intents = new Map()
  const acks = new Map()
  const refused = new Map()
  const ends = new Map()
  const asked = new Map()
  for (const entry of journal) {
    if (entry.what === 'intent') intents.set(entry.key, entry)
    else if (entry.what === 'ack') acks.set(entry.key, [...(acks.get(entry.key) ?? []), entry.ids])
    else if (entry.what === 'refused') refused.set(entry.key, entry)
    else if (entry.what === 'end') ends.set(entry.id, [...(ends.get(entry.id) ?? []), entry])
    else if (entry.what === 'cancel' || entry.what === 'retry')
      asked.set(entry.id, [...(asked.get(entry.id) ?? []), entry])
  }
  return { intents, acks, refused, ends, asked }
}

/** The ledger by job. */
function testimony(ledger) {
  const jobs = new Map()
  for (const [place, told] of ledger.entries()) {
    const entry = { ...told, place }
    if (!jobs.has(entry.job)) jobs.set(entry.job, { began: new Set(), starts: [], effects: new Map(), recorded: [] })
    const job = jobs.get(entry.job)
    if (entry.what === 'began') job.began.add(entry.attempt)
    else if (entry.what === 'start') job.starts.push(entry)
    else if (entry.what === 'recorded') job.recorded.push(entry)
    else if (entry.what === 'effect' && !entry.repeated)
      job.effects.set(entry.step, [...(job.effects.get(entry.step) ?? []), entry])
  }
  return jobs
}

/** S1, S2: what was acknowledged is there, once, under its key; what was refused is not. */
function checkAccepted({ intents, acks, refused }, store, found) {
  const expected = new Set()
  for (const [key, answers] of acks) {
    const lists = new Set(answers.map((ids) => ids.join(' ')))
    if (lists.size > 1)
      found('S2', answers[0][0], `key ${key} was answered with different jobs: ${[...lists].join(' / ')}`)
    for (const id of answers.flat()) {
      expected.add(id)
      if (!store.jobs.has(id)) found('S1', id, 'it was acknowledged and is not in the store')
    }
    const row = store.keys.get(key)
    if (row === undefined) found('S1', answers[0][0], `its key ${key} is not in the store`)
    else if (row !== answers[0][0]) found('S2', row, `key ${key} belongs to it, but ${answers[0][0]} was acknowledged`)
  }
  for (const [key, { status, code }] of refused) {
    if (store.keys.has(key))
      found(
        'S2',
        store.keys.get(key),
        `it was refused with ${status} ${code}, as if nothing were stored, and is in the store`,
      )
  }
  for (const key of intents.keys()) {
    if (!acks.has(key) && !refused.has(key)) found('S1', null, `the request with key ${key} never got an answer`)
  }
  const called = new Map()
  for (const { id, parent, calledAs } of store.jobs.values()) {
    if (!parent) {
      if (!expected.has(id)) found('S2', id, 'nobody was told of it: it is one too many')
      continue
    }
    // A child is told to nobody but its parent, which calls it once under each name.
    if (!store.jobs.has(parent)) found('S1', id, `its parent ${parent} is not in the store`)
    const name = `${parent}\n${calledAs}`
    if (called.has(name)) found('S2', id, `its parent called ${called.get(name)} under the same name ${calledAs}`)
    called.set(name, id)
  }
}

/** S8, S16, S17: the history is without a gap and each entry follows from the one before by the lifecycle table. */
function checkHistory({ id, history, live, outcome }, { TRANSITIONS, isFinal }, found) {
  let before = null
  history.forEach((entry, i) => {
    if (entry.seq !== i + 1) found('S16', id, `history entry ${i + 1} has seq ${entry.seq}`)
    if (before === null) {
      if (entry.event !== 'submitted' || entry.state !== 'queued' || entry.epoch !== 0)
        found('S17', id, `its history begins with ${entry.event} → ${entry.state}`)
    } else {
      const rule = TRANSITIONS[before.state]?.[entry.event]
      if (!rule) found('S17', id, `${entry.event} at seq ${entry.seq} is not possible in state ${before.state}`)
      else if (!rule.to.includes(entry.state))
        found('S17', id, `${entry.event} led from ${before.state} to ${entry.state}`)
      const raised = entry.event === 'claimed' ? 1 : 0
      if (entry.epoch !== before.epoch + raised)
        found('S8', id, `${entry.event} at seq ${entry.seq} took the epoch from ${before.epoch} to ${entry.epoch}`)
      if (entry.attempt !== before.attempt + raised)
        found(
          'S20',
          id,
          `${entry.event} at seq ${entry.seq} took the attempt from ${before.attempt} to ${entry.attempt}`,
        )
    }
    before = entry
  })
  if (before === null) return found('S16', id, 'it has no history')
  if ((live === null) === (outcome === null))
    found('S4', id, live ? 'it is unfinished and has an outcome' : 'it is neither unfinished nor has it an outcome')
  const now = outcome
    ? { state: outcome.status, version: outcome.version, epoch: outcome.epoch }
    : live && { state: live.state, version: live.version, epoch: live.epoch }
  if (now && (now.state !== before.state || now.version !== before.seq || now.epoch !== before.epoch)) {
    found(
      'S4',
      id,
      `its row says ${now.state} at version ${now.version}, epoch ${now.epoch}; its history ${before.state} at ${before.seq}, epoch ${before.epoch}`,
    )
  }
  const finals = history.filter(({ state }) => isFinal(state)).length
  if (outcome && finals !== 1) found('S4', id, `its history ends ${finals} times`)
}

/** S20: one attempt row per claim, ended as the history says. */
function checkAttempts({ id, history, attempts, outcome }, found) {
  const claims = history.filter(({ event }) => event === 'claimed').length
  if (outcome && attempts.length !== claims) found('S20', id, `${claims} claims and ${attempts.length} attempts`)
  const rows = new Map(attempts.map((row) => [row.epoch, row]))
  for (let i = 1; i < history.length; i++) {
    const { event, epoch, state } = history[i]
    if (!RUNNING.has(history[i - 1].state) || RUNNING.has(state)) continue
    const row = rows.get(epoch)
    if (!row) found('S20', id, `the attempt of epoch ${epoch} has no row though it ended with ${event}`)
    else if (!(ENDS[event] ?? []).includes(row.outcome))
      found('S20', id, `the attempt of epoch ${epoch} is "${row.outcome}" though it ended with ${event}`)
  }
}

/** S9, S10: no recorded step is started again, and every attempt was given the bytes that are in the record. */
function checkSteps({ id, steps }, { starts, recorded, effects }, { sha256 }, found) {
  const perAttempt = new Set()
  for (const { step, attempt, place } of starts) {
    const row = steps.get(step)
    if (row && attempt > row.attempt)
      found('S9', id, `step ${step} was recorded in attempt ${row.attempt} and started again in attempt ${attempt}`)
    // In the order of the ledger: an attempt that was overtaken may be given, and announce, what the next one has recorded.
    const before = recorded.find((entry) => entry.step === step && entry.attempt < attempt && entry.place < place)
    if (before)
      found(
        'S9',
        id,
        `step ${step} was announced as recorded by attempt ${before.attempt} and started again in attempt ${attempt}`,
      )
    if (perAttempt.has(`${step}\n${attempt}`)) found('S9', id, `step ${step} was started twice in attempt ${attempt}`)
    perAttempt.add(`${step}\n${attempt}`)
  }
  for (const { step, attempt, hash } of recorded) {
    const row = steps.get(step)
    if (!row) found('S9', id, `step ${step} was announced as recorded by attempt ${attempt} and is not in the store`)
    else if (step !== 'pick' && sha256(row.result ?? 'null') !== hash)
      found('S10', id, `attempt ${attempt} was given another value of step ${step} than the record holds`)
  }
  for (const [step, row] of steps) {
    const start = startIn(row)
    if (start === undefined) continue
    const maker = starts.find(({ seq }) => seq === start)
    if (maker?.step !== step || maker.attempt !== row.attempt)
      found(
        'S5',
        id,
        `step ${step} is recorded for attempt ${row.attempt}, but its value was made in ${maker ? `step ${maker.step} of attempt ${maker.attempt}` : 'no attempt of its job'}`,
      )
  }
  for (const [step, row] of steps) {
    // What was waited for, and what somebody said of an effect, no attempt has done.
    if (NOT_DONE_HERE.has(row.kind) || /"(confirmed|answeredBy|answer)"/.test(row.info ?? '')) continue
    if (!perAttempt.has(`${step}\n${row.attempt}`))
      found('S5', id, `step ${step} is recorded for attempt ${row.attempt}, but the witness never saw it start there`)
  }
  for (const [step, entries] of effects)
    if (entries.length > 1) found('S9', id, `step ${step} took effect ${entries.length} times, under different keys`)
}

/** Which start made the value, where the value says so. */
const startIn = ({ result }) => JSON.parse(result ?? 'null')?.start

/** S3, S5, S6, S14: it ended as its script demands, and what it says of itself is what the witness saw. */
function checkEnd(job, { began, effects }, { ends, asked }, core, found) {
  const { id, input, outcome, live, attempts, steps, warnings, history } = job
  if (live) return found('L4', id, `at rest it is still ${live.state}${live.wait_kind ? ` (${live.wait_kind})` : ''}`)
  if (!outcome) return
  const demand = demandOf(input)
  const fits = demand.ends.some((end) => fitsEnd(end, job))
  if (!fits)
    found(
      'S6',
      id,
      `script ${input.script} demands ${demand.ends.map((end) => JSON.stringify(end)).join(' or ')}; it is ${describe(job)}`,
    )
  const missing = demand.recorded.filter((key) => !steps.has(key))
  const extra = [...steps.keys()].filter((key) => !demand.recorded.includes(key))
  if ((missing.length > 0 && !demand.some && outcome.status === demand.ends[0].status) || extra.length > 0)
    found('S5', id, `recorded steps: missing ${missing.join(', ') || 'none'}, too many ${extra.join(', ') || 'none'}`)
  for (const attempt of began)
    if (attempt > outcome.attempt)
      found('S3', id, `attempt ${attempt} began after it had ended with attempt ${outcome.attempt}`)
  for (const end of ends.get(id) ?? [])
    if (end.status !== outcome.status) found('S3', id, `a reader was told ${end.status}; it is ${outcome.status}`)
  for (const { what, status, code } of asked.get(id) ?? []) {
    const event = what === 'cancel' ? 'cancelRequested' : 'retryRequested'
    if (status < 300 && !history.some((entry) => entry.event === event))
      found('S1', id, `the ${what} was acknowledged and is not in its history`)
    if (what === 'cancel' && status === 200 && outcome.status !== 'cancelled')
      found('S14', id, `the cancel was answered 200; it is ${outcome.status}`)
    if (what === 'cancel' && code === 'job-already-done' && outcome.status === 'cancelled')
      found('S14', id, 'the cancel was told that it came too late, and it is cancelled')
  }
  if (outcome.status === 'completed')
    checkResult({ outcome, input, attempts, steps, began, effects, warnings, id }, core, found)
}

/** S5, S10: the result was made by the very attempt that the outcome names, from effects that happened and values of the record. */
function checkResult({ outcome, input, attempts, steps, began, effects, id }, { sha256 }, found) {
  const row = attempts.find(({ epoch }) => epoch === outcome.epoch)
  if (row?.outcome !== 'ok')
    found('S5', id, `it is completed by epoch ${outcome.epoch}, whose attempt is "${row?.outcome ?? 'missing'}"`)
  if (attempts.some(({ epoch }) => epoch > outcome.epoch))
    found('S5', id, 'a later epoch than that of its outcome was issued')
  if (sha256(outcome.result ?? 'null') !== outcome.result_sha256) found('S5', id, 'the hash of its result does not fit')
  const result = JSON.parse(outcome.result ?? 'null')
  if (result?.serial !== input.serial) return found('S5', id, 'its result belongs to another job')
  if (result.attempt !== outcome.attempt)
    found('S5', id, `its result was made by attempt ${result.attempt}; the outcome says attempt ${outcome.attempt}`)
  if (!began.has(outcome.attempt))
    found('S5', id, `the witness never saw attempt ${outcome.attempt}, which completed it`)
  for (const [step, receipt] of Object.entries(result.receipts)) {
    const happened = effects.get(step)?.[0]?.receipt ?? null
    if (receipt !== happened)
      found('S5', id, `its result names receipt ${receipt} for step ${step}; the witness gave ${happened}`)
  }
  for (const [step, start] of Object.entries(result.starts ?? {})) {
    const row = steps.get(step)
    if (row && startIn(row) !== start)
      found('S10', id, `its result was built of another value of step ${step} than the record holds`)
  }
}

function fitsEnd(end, { outcome, error, warnings, attempts }) {
  return (
    outcome.status === end.status &&
    (end.phase === undefined || outcome.phase === end.phase) &&
    (end.code === undefined || error?.code === end.code) &&
    (end.warning === undefined
      ? end.status !== 'completed' || warnings.length === 0
      : warnings.includes(end.warning)) &&
    (end.errors === undefined || attempts.filter((row) => row.outcome === 'error').length === end.errors)
  )
}

function describe({ outcome, error, warnings, attempts }) {
  const errors = attempts.filter((row) => row.outcome === 'error').length
  return JSON.stringify({
    status: outcome.status,
    phase: outcome.phase,
    code: error?.code,
    warnings,
    errors,
    attempts: attempts.length,
  })
}

/** An idempotency key belongs to one step of one job, and takes effect once. */
function checkKeys(ledger, found) {
  const owners = new Map()
  const applied = new Map()
  for (const { what, key, job, step, repeated } of ledger) {
    if (what !== 'effect' && what !== 'start') continue
    const owner = `${job}\n${step}`
    if ((owners.get(key) ?? owner) !== owner) found('S9', job, `key ${key} was used for two different steps`)
    owners.set(key, owner)
    if (what === 'effect' && !repeated) applied.set(key, (applied.get(key) ?? 0) + 1)
  }
  for (const [key, times] of applied)
    if (times !== 1) found('S9', owners.get(key).split('\n')[0], `key ${key} took effect ${times} times`)
}

/** S16: the audit chain holds, and what callers did to a job is in it. */
function checkAudit(store, { firstBreak, sha256 }, found) {
  for (const [tenant, entries] of store.audit) {
    const broken = firstBreak(entries, sha256)
    if (broken) found('S16', null, `the audit chain of ${tenant} breaks at entry ${broken.seq}`)
  }
  for (const { id, history } of store.jobs.values()) {
    for (const { event, seq, actor } of history) {
      // The engine itself asks no leave: a child goes with its parent.
      if (actor?.startsWith('system:')) continue
      if ((event === 'cancelRequested' || event === 'retryRequested') && !store.audited.has(`${id}:${seq}`))
        found('S16', id, `${event} at seq ${seq} has no audit entry`)
    }
  }
}

function countAll({ acks }, store, violations) {
  const accepted = new Set([...acks.values()].flat(2))
  const counts = { accepted: accepted.size, completed: 0, failed: 0, cancelled: 0, unfinished: 0, lost: 0, doubled: 0 }
  for (const id of accepted) if (!store.jobs.has(id)) counts.lost++
  for (const { outcome } of store.jobs.values()) counts[outcome?.status ?? 'unfinished']++
  for (const { invariant, text } of violations)
    if (/one too many|took effect \d+ times|different jobs/.test(text) && /S2|S9/.test(invariant)) counts.doubled++
  return counts
}
