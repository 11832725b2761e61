/**
 * The torture of several processes over one PostgreSQL: the parts that `run.mjs --store postgres` and the short form run.
 */
import { say } from '../lib/common.mjs'
import { LEASE_MS, SHORT_LEASES } from '../lib/leases.mjs'
import { variant } from '../lib/variant.mjs'
import { campaign, faultTable, windowTable } from './campaign.mjs'
import { tally } from './nemesis.mjs'

/** What a long run has done to it at least, for each minute: twenty minutes are 600, 20, 20 and 200. */
const PER_MINUTE = { 'kills of processes': 30, 'kills of PostgreSQL': 1, 'Redis emptied': 1, 'cuts of lines': 10 }

/** @returns what was done too seldom, in words */
export function tooFew(counts, minutes, transport) {
  const done = tally(counts)
  return Object.entries(PER_MINUTE)
    .filter(([kind]) => transport !== null || kind !== 'Redis emptied')
    .map(([kind, each]) => [kind, done[kind] ?? 0, Math.floor(each * minutes)])
    .filter(([, n, least]) => n < least)
    .map(([kind, n, least]) => `${kind}: ${n} instead of ${least}`)
}

/** @returns the violations; prints everything else */
export async function tortured({ dist, core, seed, short, minutes, transport = null }) {
  const copy = variant(dist, 'short-leases', SHORT_LEASES)
  say(
    `2 servers and 3 workers over one PostgreSQL${transport ? ` with ${transport}` : ''}, leases of ${LEASE_MS / 1000} s, for ${short ? 'one round' : `${minutes} minutes`}, seed ${seed}`,
  )
  const run = await campaign({
    dist: copy,
    core,
    seed,
    minutes: short ? 0 : minutes,
    perRound: short ? 10 : 150,
    transport,
  })
  const { counts } = run.verdict
  const sums = Object.entries(tally(run.counts)).map(([kind, n]) => `${n} ${kind}`)
  say(`\n${faultTable(run.counts)}\n\n${windowTable(run.hits)}\n`)
  say(
    `  accepted ${counts.accepted}, completed ${counts.completed}, failed ${counts.failed}, cancelled ${counts.cancelled}, unfinished ${counts.unfinished}, lost ${counts.lost}, doubled ${counts.doubled}`,
  )
  say(
    `  asked again with the same key ${run.client.replayed} times, read ${run.client.reads} times, requests cut off ${run.client.cutOff}, refused with nothing stored ${run.client.refused}`,
  )
  say(
    `  effects outside ${run.verdict.effects - run.verdict.repeated}, asked for again with the same key ${run.verdict.repeated}; deaths ${run.deaths}, rescues ${run.verdict.rescues}, attempts seen working after another had begun ${run.verdict.stale}; looks at a snapshot ${run.looks}`,
  )
  say(`  in all: ${sums.join(', ')}`)
  say(`  the longest way to rest after a round: ${(run.longest / 1000).toFixed(1)} s`)
  for (const { invariant, job, text } of run.violations.slice(0, 25))
    say(`  VIOLATION ${invariant} ${job ?? ''}: ${text}`)
  if (run.violations.length > 0) say(`  Evidence: ${run.dir}`)
  return run
}
