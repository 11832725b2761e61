/** `untildone init`: the files of a new project. Never overwrites or edits a file that is there. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ownVersion } from '../../server/version.js'
import type { CommandSpec } from '../command.js'
import type { Context } from '../context.js'
import { CliError, EXIT } from '../failure.js'
import { GITIGNORE, HELLO, packageJson } from '../sample.js'
import { facts } from '../table.js'

type Made = 'made' | 'kept'

export const init: CommandSpec = {
  usage: 'init',
  summary: 'make the files of a new project here',
  details:
    'Makes jobs/hello.ts (unless there are job files already), package.json and .gitignore. A file that is there stays as it is.',
  options: [{ flags: '--sample', text: 'jobs/hello.ts also when there are other job files' }],
  examples: [['npx untildone init --sample && npx untildone dev', 'first finished job in two minutes']],
  async run(context, _args, options) {
    const { cwd } = context.io
    const files: [string, string, string][] = []
    const hasJobs = hasJobFiles(join(cwd, 'jobs'))
    if (options.sample || !hasJobs) files.push(['jobs/hello.ts', HELLO, 'a job that fails once on purpose'])
    files.push(['package.json', packageJson(nameOf(cwd), ownVersion()), 'untildone and zod'])
    files.push(['.gitignore', GITIGNORE, 'keeps node_modules and .untildone out of git'])
    const done = files.map(([path, content, what]) => ({ path, what, outcome: writeNew(join(cwd, path), content) }))
    if (context.options.json) return context.printJson({ files: done.map(({ path, outcome }) => ({ path, outcome })) })
    context.print(
      facts(
        done.map(({ path, what, outcome }) => [
          outcome,
          `${path.padEnd(14)}  ${outcome === 'made' ? what : 'was there already and stays as it is'}`,
        ]),
      ),
    )
    context.say(`\n${nextSteps(context, done)}`)
  },
}

function nextSteps(context: Context, done: readonly { path: string; outcome: Made }[]): string {
  const lines = ['Next']
  if (
    done.some(({ path, outcome }) => path === 'package.json' && outcome === 'kept') &&
    !dependsOn(context.io.cwd, 'untildone')
  ) {
    lines.push('  npm install untildone zod   package.json was there, so it was not changed')
  } else if (done.some(({ path, outcome }) => path === 'package.json' && outcome === 'made'))
    lines.push('  npm install                 once')
  else if (!dependsOn(context.io.cwd, 'zod')) lines.push('  npm install zod             the job files import it')
  if (lacksIgnore(context.io.cwd)) lines.push('  echo .untildone/ >> .gitignore')
  lines.push('  npx untildone dev           then press t: one try fails, the job completes')
  return lines.join('\n')
}

/** Creates the file, or leaves the one that is there; nothing in between, also when two do it at once. */
function writeNew(path: string, content: string): Made {
  try {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content, { flag: 'wx' })
    return 'made'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return 'kept'
    throw new CliError('not-writable', `Cannot write ${path} (${code}).`, {
      fix: 'Run it in a folder that you may write to.',
      exit: EXIT.notAllowed,
    })
  }
}

function hasJobFiles(dir: string): boolean {
  try {
    return readdirSync(dir).some((name) => /\.(ts|mts|js|mjs)$/.test(name))
  } catch {
    return false
  }
}

function dependsOn(cwd: string, name: string): boolean {
  const { dependencies = {}, devDependencies = {} } = readJson(join(cwd, 'package.json'))
  return name in dependencies || name in devDependencies
}

function readJson(path: string): { dependencies?: object; devDependencies?: object } {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return {}
  }
}

function lacksIgnore(cwd: string): boolean {
  try {
    return !/^\/?\.untildone\/?\s*$/m.test(readFileSync(join(cwd, '.gitignore'), 'utf8'))
  } catch {
    return false
  }
}

/** A package name that npm takes. */
function nameOf(cwd: string): string {
  const name = basename(cwd)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+|[-]+$/g, '')
  return name || 'my-jobs'
}
