// Makes dist/: TypeScript of src/ compiled, plus the files of the API reference page. Built beside dist/ and moved into
// place when it is whole, so that a program that runs from dist/ never meets half a build.
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, sourceHash } from './lib/ensure.mjs'
import { run } from './lib/run.mjs'

const REFERENCE = ['swagger-ui-bundle.js', 'swagger-ui-bundle.js.LICENSE.txt', 'swagger-ui.css', 'LICENSE', 'NOTICE']

const hash = sourceHash()
const fresh = join(root, `dist-${process.pid}`)
process.on('exit', () => rmSync(fresh, { recursive: true, force: true }))
// A build that was killed could not tidy up.
for (const name of readdirSync(root)) {
  const pid = Number(/^dist-(\d+)(-old)?$/.exec(name)?.[1])
  if (pid && !alive(pid)) rmSync(join(root, name), { recursive: true, force: true })
}

const tsc = join(root, 'node_modules/ts7/bin/tsc')
if (!existsSync(tsc)) fail('The compiler is missing. Install the packages first: npm ci')
const { code } = await run('tsc', process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', fresh], {
  cwd: root,
})
if (code !== 0) fail('The sources do not compile.')

mkdirSync(join(fresh, 'reference'), { recursive: true })
for (const name of REFERENCE) {
  const from = join(root, 'node_modules/swagger-ui-dist', name)
  if (!existsSync(from)) fail(`The reference page lacks ${name}: swagger-ui-dist has no such file.`)
  cpSync(from, join(fresh, 'reference', name))
}
writeFileSync(join(fresh, '.stamp'), hash)

swap(fresh, join(root, 'dist'))

/** Two builds may end at the same time: whoever finds the other's result in the way moves that aside too. */
function swap(made, place) {
  const old = `${made}-old`
  for (let tries = 1; ; tries++) {
    if (existsSync(place)) attempt(() => renameSync(place, old))
    const error = attempt(() => renameSync(made, place))
    rmSync(old, { recursive: true, force: true })
    if (!error) return
    if (tries === 5) fail(error.message)
  }
}

function attempt(action) {
  try {
    action()
    return null
  } catch (error) {
    return error
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function fail(message) {
  console.error(`Build: ${message}`)
  process.exit(1)
}
