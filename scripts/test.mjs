// `npm test`: the one command that a fresh clone needs. Installs and builds what is due, runs the suites one after the
// other and ends with one table. `npm test -- unit cross` runs only those, `npm test -- --list` names them.
//
// A skipped test says why: `context.skip('needs redis-server; enable: apt-get install redis-server')`. One whose reason
// begins with "needs", or that gives none, is a failure where CI is set: there everything must run. A test that can
// never run here (a store that lacks a capability) gives its reason without `enable`. A suite that is no vitest suite
// ends its output with `N passed, N failed, N skipped`, after a line `skipped: <what>: <reason>` for each.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkNode, ensureReady, root } from './lib/ensure.mjs'
import { run } from './lib/run.mjs'

const inCI = Boolean(process.env.CI) && process.env.CI !== 'false' && process.env.CI !== '0'
const temp = mkdtempSync(join(tmpdir(), 'untildone-test-'))
process.on('exit', () => rmSync(temp, { recursive: true, force: true }))

const SUITES = [
  { name: 'check', about: 'types, lint, import rules, unused code, the package', script: ['scripts/check.mjs'] },
  { name: 'unit', about: 'src/: each part by itself', vitest: true },
  {
    name: 'cross',
    about: 'test/: the packed package, generated clients, the commands of the README',
    vitest: true,
  },
  { name: 'services', about: 'test/services: PostgreSQL and Redis of their own, killed and frozen', vitest: true },
  { name: 'examples', about: 'examples/: each one runs and its output is compared', vitest: true },
  {
    name: 'torture',
    about: 'test/torture: real processes, killed (short form)',
    script: ['test/torture/run.mjs', '--short'],
  },
  {
    name: 'torture-pg',
    about: 'test/torture/postgres: servers and workers over one PostgreSQL, and the database itself (short form)',
    script: ['test/torture/run.mjs', '--store', 'postgres', '--short'],
  },
  {
    name: 'children',
    about: 'test/children: an awful engine at random, and a server killed while its children run (short form)',
    script: ['test/children/run.mjs', '--short'],
    // Both wait more than they work: 19 s instead of 36.
    beside: 'torture-pg',
  },
].filter((suite) => !suite.script || existsSync(join(root, suite.script[0])))

const asked = process.argv.slice(2)
if (asked.includes('--list')) {
  for (const suite of SUITES) console.log(`${suite.name.padEnd(10)} ${suite.about}`)
  process.exit(0)
}
const unknown = asked.filter((name) => !SUITES.some((suite) => suite.name === name))
if (unknown.length > 0) {
  console.error(`No suite is called ${unknown.join(', ')}. There are: ${SUITES.map((suite) => suite.name).join(', ')}`)
  process.exit(2)
}

checkNode()
await ensureReady()
const results = []
const chosen = SUITES.filter((suite) => asked.length === 0 || asked.includes(suite.name))
while (chosen.length > 0) {
  const suite = chosen.shift()
  heading(suite)
  const first = runSuite(suite)
  const beside = chosen[0]?.beside === suite.name ? chosen.shift() : null
  const second =
    beside &&
    runSuite(
      beside,
      first.then(() => heading(beside)),
    )
  results.push(await first, ...(second ? [await second] : []))
}
report(results)

function heading({ name, about }) {
  console.log(`\n── ${name}: ${about}`)
}

async function runSuite(suite, after) {
  const file = join(temp, `${suite.name}.json`)
  const args = suite.vitest
    ? [
        'node_modules/vitest/vitest.mjs',
        'run',
        `--project=${suite.name}*`,
        '--reporter=default',
        '--reporter=./scripts/lib/reporter.mjs',
      ]
    : suite.script
  const { code, output, seconds } = await run(suite.name, process.execPath, args, {
    cwd: root,
    env: { UNTILDONE_TEST_REPORT: file },
    after,
  })
  const none = {
    passed: 0,
    failed: 1,
    skipped: [],
    failures: [{ test: 'no result', error: 'it ended before it told one' }],
  }
  const counts = (suite.vitest ? readReport(file) : readLastLine(output)) ?? none
  // A program that ended badly has failed, whatever it counted.
  if (code !== 0 && counts.failed === 0) {
    counts.failed = 1
    counts.failures = [{ test: 'its end', error: `ended with exit code ${code}` }]
  }
  const missing = inCI
    ? counts.skipped.filter(({ reason }) => !reason || /^needs\b|\bnot installed\b/i.test(reason))
    : []
  return {
    name: suite.name,
    seconds,
    missing,
    ...counts,
    failed: counts.failed + missing.length,
    skipped: counts.skipped.filter((skip) => !missing.includes(skip)),
  }
}

function readReport(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null
}

/** A program that is no vitest suite says so itself; what it skipped stands above its last line. */
function readLastLine(output) {
  const found = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(output.trimEnd().split('\n').at(-1) ?? '')
  if (!found) return null
  const named = [...output.matchAll(/^\s*skipped: (?:([^:\n]+): )?(.+)$/gim)]
  const skipped = named.map(([, test, reason]) => ({ test: test ?? 'a part', reason }))
  while (skipped.length < Number(found[3] ?? 0)) skipped.push({ test: '(not named)', reason: null })
  const failures = [...output.matchAll(/^ *FAIL(?:ED)? +(.+)$/gm)].map(([, test]) => ({ test, error: '' }))
  return { passed: Number(found[1]), failed: Number(found[2]), skipped, failures }
}

function report(results) {
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  const skips = results.reduce((total, result) => total + result.skipped.length, 0)
  const row = (name, outcome, ...numbers) =>
    `  ${name.padEnd(10)} ${outcome.padEnd(16)} ${numbers.map((n) => String(n).padStart(8)).join('')}`
  console.log(`\n${row('suite', 'result', 'passed', 'failed', 'skipped', 'seconds')}`)
  for (const { name, passed, failed, skipped, seconds } of results) {
    const outcome = failed > 0 ? 'FAILED' : skipped.length > 0 ? 'passed in part' : 'passed'
    console.log(row(name, outcome, passed, failed, skipped.length, seconds.toFixed(1)))
  }
  explain('skipped', (result) => result.skipped)
  explain('cannot run on this machine, which is a failure where CI is set', (result) => result.missing)
  // Last, where whoever reads only the end of a long log finds them.
  tell(results.flatMap(({ name, failures }) => failures.map((failure) => ({ suite: name, ...failure }))))
  console.log(`\n${sum('passed')} passed, ${sum('failed')} failed, ${skips} skipped`)
  process.exitCode = sum('failed') > 0 ? 1 : 0
}

/** Each failure with the beginning of its error. */
function tell(failures) {
  if (failures.length > 0) console.log('\n  failed:')
  for (const { suite, test, error } of failures.slice(0, 20)) {
    console.log(`    ${suite}: ${test}`)
    for (const line of error.split('\n').filter(Boolean).slice(0, 15)) console.log(`      ${line.slice(0, 300)}`)
  }
  if (failures.length > 20) console.log(`    and ${failures.length - 20} more, which stand above`)
}

/** One entry for each reason, with the names of a few of its tests. */
function explain(heading, pick) {
  const reasons = new Map()
  for (const result of results) {
    for (const { test, reason } of pick(result)) {
      const tests = reasons.get(reason) ?? []
      reasons.set(reason, [...tests, `${result.name}: ${test}`])
    }
  }
  if (reasons.size > 0) console.log(`\n  ${heading}:`)
  for (const [reason, tests] of reasons) {
    const [why, enable] = (reason ?? 'no reason given').split(/;\s*enable:\s*/)
    for (const test of tests.slice(0, 3)) console.log(`    ${test}`)
    if (tests.length > 3) console.log(`    and ${tests.length - 3} more`)
    console.log(`      why:    ${why}\n      enable: ${enable ?? (reason ? 'cannot be, by design' : 'not said')}`)
  }
}
