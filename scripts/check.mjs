// `npm run check`: everything that can be found wrong without running the product. With names, only those checks:
// npm run check -- types lint
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureReady, root } from './lib/ensure.mjs'
import { pack } from './lib/pack.mjs'
import { run } from './lib/run.mjs'

const temp = mkdtempSync(join(tmpdir(), 'untildone-check-'))
process.on('exit', () => rmSync(temp, { recursive: true, force: true }))
let packed
const tarball = () => (packed ??= pack(temp).tarball)
const tool = (path, ...args) =>
  run(path, process.execPath, [join(root, 'node_modules', path), ...args], { cwd: root, show: false })

const CHECKS = {
  types: () => tool('ts7/bin/tsc', '-p', 'tsconfig.json', '--noEmit'),
  lint: () => tool('@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'),
  imports: () => tool('vitest/vitest.mjs', 'run', 'test/architecture.test.ts'),
  unused: () => tool('knip/bin/knip.js', '--no-progress'),
  lock: () => lockFile(),
  publint: () => tool('publint/src/cli.js', tarball(), '--strict'),
  'types of the package': () =>
    tool('@arethetypeswrong/cli/dist/index.js', tarball(), '--profile', 'esm-only', '--no-emoji'),
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !(name in CHECKS))
if (unknown.length > 0) {
  console.error(`No check is called ${unknown.join(', ')}. There are: ${Object.keys(CHECKS).join(', ')}`)
  process.exit(2)
}
await ensureReady()
let failed = 0
const chosen = Object.entries(CHECKS).filter(([name]) => asked.length === 0 || asked.includes(name))
// Two at a time: most of them use one core and a little.
const next = chosen.values()
await Promise.all([inTurn(), inTurn()])
console.log(`${chosen.length - failed} passed, ${failed} failed, 0 skipped`)
process.exitCode = failed > 0 ? 1 : 0

async function inTurn() {
  for (const [name, check] of next) {
    const began = Date.now()
    const { code } = await check()
    if (code !== 0) failed++
    console.log(
      `  ${code === 0 ? 'ok    ' : 'FAILED'}  ${name.padEnd(22)} ${((Date.now() - began) / 1000).toFixed(1)} s`,
    )
  }
}

/** The lock file names no download address (it must work behind any registry) and is the one of this package.json. */
function lockFile() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const wrong = Object.entries(lock.packages).flatMap(([path, entry]) =>
    entry.resolved?.includes('://') ? [`${path} has an address`] : [],
  )
  for (const kind of ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies']) {
    if (JSON.stringify(sorted(lock.packages[''][kind])) !== JSON.stringify(sorted(manifest[kind])))
      wrong.push(`${kind} differ from package.json`)
  }
  if (!existsSync(join(root, '.npmrc'))) wrong.push('.npmrc is missing: it keeps addresses out')
  for (const line of wrong) console.log(`package-lock.json: ${line}`)
  return { code: wrong.length > 0 ? 1 : 0 }
}

function sorted(record = {}) {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
}
