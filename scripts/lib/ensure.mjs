// What every script needs before it can work, made true when it is not: a Node that is new enough, the packages of the
// lock file, and a build of the present sources. Plain Node, so that it runs first on a fresh clone.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run.mjs'

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const json = (file) => JSON.parse(readFileSync(join(root, file), 'utf8'))

/** Everything below, in order; ends the process with a sentence when one cannot be had. */
export async function ensureReady() {
  checkNode()
  await ensureInstalled()
  await ensureBuilt()
}

export function checkNode() {
  const wanted = json('package.json').engines.node.replace('>=', '')
  const [major, minor = 0] = wanted.split('.').map(Number)
  const [haveMajor, haveMinor] = process.versions.node.split('.').map(Number)
  if (haveMajor > major || (haveMajor === major && haveMinor >= minor)) return
  stop(`Node ${process.versions.node} is too old: Untildone needs ${wanted} or newer.`)
}

export async function ensureInstalled() {
  const why = staleInstall()
  if (!why) return
  console.log(`Installing packages (${why}): npm ci`)
  // NODE_ENV=production would leave out what the tests need.
  const { code } = await run('npm ci', 'npm', ['ci', '--include=dev'], { cwd: root })
  if (code !== 0) stop('`npm ci` failed; see above. Without a network it works only from a filled npm cache.')
}

/** Why node_modules is not what the lock file says, or null. npm writes its own record last, so half an install counts as none. */
function staleInstall() {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return 'there are none'
  const have = json('node_modules/.package-lock.json').packages
  for (const [path, wanted] of Object.entries(json('package-lock.json').packages)) {
    // Packages for other platforms are in the lock file but are not installed.
    if (path === '' || (wanted.optional && !have[path])) continue
    if (have[path]?.version !== wanted.version)
      return `${path.replace(/^.*node_modules\//, '')} differs from the lock file`
  }
  return null
}

export async function ensureBuilt() {
  if (isBuilt()) return
  console.log('Building dist/')
  const { code } = await run('build', process.execPath, [join(root, 'scripts/build.mjs')], { cwd: root })
  if (code !== 0) stop('The build failed; see above.')
}

/** Whether dist/ was made of the present sources. */
export function isBuilt() {
  const stamp = join(root, 'dist/.stamp')
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceHash()
}

/** Hash of everything that decides what dist/ holds. */
export function sourceHash() {
  const hash = createHash('sha256')
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.test\.[a-z]+$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
  const others = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.mjs'].map((name) =>
    join(root, name),
  )
  for (const file of [...sources.sort(), ...others]) {
    const content = readFileSync(file)
    hash.update(`${file.slice(root.length)}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

function stop(message) {
  console.error(message)
  process.exit(1)
}
