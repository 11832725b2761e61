// `npm run retention`: 1 million jobs with a short retention on a clock that jumps. Exits non-zero unless the file has
// stopped growing and an expired job is answered as expired. `-- --jobs N --waves N` for other sizes.
import { parseArgs } from 'node:util'
import { createUntildone, defineJob, LOCAL, sqlite } from 'untildone'
import { mib, waves } from './waves.mjs'

const { values } = parseArgs({
  options: { jobs: { type: 'string', default: '1000000' }, waves: { type: 'string', default: '20' } },
})
const began = performance.now()
const heart = setInterval(
  () => console.log(`  still at work after ${Math.round((performance.now() - began) / 1000)} s`),
  4000,
)
const found = await waves(
  { createUntildone, defineJob, LOCAL, sqlite },
  { jobs: Number(values.jobs), waves: Number(values.waves), say: console.log },
)
clearInterval(heart)

const settled = found.rounds[Math.min(3, found.rounds.length - 2)]
const end = found.rounds.at(-1)
const checks = [
  [
    `the file stays: ${mib(settled.bytes)} after wave ${settled.wave}, ${mib(end.bytes)} after wave ${end.wave}`,
    end.bytes <= settled.bytes * 1.1,
  ],
  [`the log stays small: ${mib(end.walBytes)}`, end.walBytes < 64 * 1024 * 1024],
  [
    `GET of an expired job: ${found.expired.code}, it was ${found.expired.params?.finalStatus}`,
    found.expired.code === 'job-expired',
  ],
  [`its idempotency key: ${found.key.code}`, found.key.code === 'job-expired'],
  [`a job for next year is still ${found.later}`, found.later === 'accepted'],
]
for (const [text, ok] of checks) console.log(`  ${ok ? 'ok    ' : 'FAILED'}  ${text}`)
console.log(
  `  removing took ${end.msPerThousand.toFixed(1)} ms per 1,000 jobs; the longest chunk held the loop for ${found.longestMs.toFixed(0)} ms`,
)
const failed = checks.filter(([, ok]) => !ok).length
console.log(`${checks.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
