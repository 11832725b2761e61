// What stands at the end of the demo: the text, the history and the attempts of the job, and what they prove. All of it
// is read from the server; what was done from outside is compared with it and must never be taken on trust.
import { readings, reasonOf } from './follow.mjs'
import { clock, many, plain, seconds } from './teller.mjs'

const PAGES_SHOWN = 6
const LINES_SHOWN = 16

/** @typedef {import('untildone').Job} Job */
/** @typedef {import('./teller.mjs').Teller} Teller */

/** @param {Teller} teller @param {any} result */
export function tellText(teller, { text, pages, pageCount }) {
  teller.heading(`The text: ${many(pageCount, 'page')}, ${text.length} characters`)
  const texts = text.split('\f')
  for (const { page, engine, confidence } of pages) {
    // The last page always, and as many of the first ones as there is room for.
    if (page >= PAGES_SHOWN && page < pageCount) {
      if (page === PAGES_SHOWN)
        teller.line(teller.dim(`\n  … ${many(pageCount - PAGES_SHOWN, 'page')} left out here …`))
      continue
    }
    teller.line(teller.dim(`\n  page ${page}, read by ${engine}, ${Math.round(confidence)} % sure`))
    const lines = plain(texts[page - 1]).split('\n')
    for (const line of lines.slice(0, LINES_SHOWN)) teller.line(`    ${line}`.trimEnd())
    if (lines.length > LINES_SHOWN)
      teller.line(teller.dim(`    … ${many(lines.length - LINES_SHOWN, 'line')} left out here …`))
  }
}

/** @param {Teller} teller @param {import('untildone/client').UntildoneClient} client @param {Job} job */
export async function tellHistory(teller, client, job) {
  teller.heading('Its history')
  for await (const { seq, at, event, to, cause } of client.history(job.id)) {
    const why = cause ? `  ${cause.code}: ${plain(cause.message)}` : ''
    teller.line(
      `  ${String(seq).padStart(2)}  ${clock(new Date(at))}${at.slice(19, 23)}  ${event.padEnd(10)} ${to.status} (${to.phase})${why}`,
    )
  }
  teller.heading('Its tries')
  for (const { attempt, outcome, durationMs, error, rule } of await client.attempts(job.id)) {
    teller.line(`  ${String(attempt).padStart(2)}  ${outcome.padEnd(5)}  ${seconds(durationMs).padStart(6)}`)
    if (error) teller.line(`      ${error.step ?? ''}: ${plain(error.message)}\n      ${error.class}, by rule ${rule}`)
  }
  for (const { code, message, step } of job.warnings)
    teller.line(`  note  ${code}: ${plain(message)} (${step ?? 'the job'})`)
}

/**
 * What was shown; false if it was not what the demo promises.
 * @param {Teller} teller @param {import('untildone/client').UntildoneClient} client @param {Job} job
 * @param {any} result @param {import('./find-engines.mjs').RunningEngine | null} victim
 */
export async function tellProof(teller, client, job, result, victim) {
  teller.heading('What this showed')
  const attempts = await client.attempts(job.id)
  const crash = attempts.find(({ error }) => victim !== null && error?.details?.pid === victim.pid)
  const row = (/** @type {string} */ what, /** @type {string} */ text) => teller.line(`  ${what.padEnd(18)} ${text}`)
  if (!victim || crash?.error?.details?.signal !== 'SIGSEGV') {
    row('no crash', victim ? `pid ${victim.pid} was killed, and no try says so` : 'no engine ran long enough')
    return false
  }
  const again = await repeatedSteps(client, job)
  row(
    '1 crash',
    `${victim.engine}, pid ${victim.pid}, killed by SIGSEGV on page ${victim.page}: try ${crash.attempt} says the same`,
  )
  const kept = readings(job).filter(({ attempt }) => attempt <= crash.attempt).length
  row(
    `${many(again.length, 'page')} repeated`,
    `${kept} of ${result.pageCount} were on record when try ${crash.attempt + 1} began, and none was read again`,
  )
  const fallbacks = readings(job).filter(({ rejected }) => rejected.length > 0)
  for (const { page, engine, rejected } of fallbacks)
    row(
      '1 fallback',
      `page ${page} by ${engine}, because ${rejected[0].engine} said: ${plain(reasonOf(rejected[0].message))}`,
    )
  if (job.warnings.length > 0)
    row(many(job.warnings.length, 'warning'), 'kept with the job, which is completed all the same')
  row(`${many(result.pageCount, 'page')} in`, `${many(result.pages.length, 'page')} out`)
  return again.length === 0
}

/**
 * Steps whose child was started again although it had ended well: more starts than bad ends, and the one that counts.
 * @param {import('untildone/client').UntildoneClient} client @param {Job} job
 */
async function repeatedSteps(client, job) {
  /** @type {Map<string, number>} */
  const good = new Map()
  for await (const { message, level, data } of client.logs(job.id)) {
    const { step } = /** @type {any} */ (data ?? {})
    if (!step) continue
    if (message.startsWith('Started ')) good.set(step, (good.get(step) ?? 0) + 1)
    else if (level === 'warn') good.set(step, (good.get(step) ?? 0) - 1)
  }
  return [...good].filter(([, count]) => count > 1).map(([step]) => step)
}
