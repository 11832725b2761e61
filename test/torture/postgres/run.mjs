/**
 * The torture of several processes over one PostgreSQL: the parts that `run.mjs --store postgres` and the short form run.
 */
import { say } from '../lib/common.mjs'
import { LEASE_MS, SHORT_LEASES } from '../lib/leases.mjs'
import { variant } from '../lib/variant.mjs'
import { campaign, faultTable, windowTable } from './campaign.mjs'
import { QUICK } from './nemesis.mjs'

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
    perRound: short ? 10 : 40,
    transport,
    faults: short && transport === null ? QUICK : null,
  })
  const { counts } = run.verdict
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
  say(`  the longest way to rest after a round: ${(run.longest / 1000).toFixed(1)} s`)
  for (const { invariant, job, text } of run.violations.slice(0, 25))
    say(`  VIOLATION ${invariant} ${job ?? ''}: ${text}`)
  if (run.violations.length > 0) say(`  Evidence: ${run.dir}`)
  return run
}
