/** The files of deploy/: they can be read, and every command in them is one that the program takes. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { normalize } from '@scalar/openapi-parser'
import { describe, expect, it } from 'vitest'
import { fakeIo } from '../src/cli/fake-io.mjs'
import { buildProgram } from '../src/cli/program.js'
import { ROLES } from '../src/cli/roles.js'
import { poolsOf } from '../src/stores/postgres/pools.js'

const ROOT = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
/** How long a process may take to end: 20 s for running steps, and what comes after. */
const STOP_S = 35

/** Options of the command, as the parser of the program takes them. @throws CommanderError for what it does not know */
async function taken(words: readonly string[]): Promise<Record<string, any>> {
  let options: Record<string, any> | null = null
  await buildProgram(fakeIo(), async (command) => {
    options = command.opts()
  }).parseAsync(words, { from: 'user' })
  if (options === null) throw new Error(`untildone ${words.join(' ')} is no command`)
  return options
}

/** With what the environment says, and defaults for what it does not. */
const filled = (text: string, env: Record<string, string> = {}) =>
  text.replace(/\$\{(\w+):[-?]([^}]*)\}/g, (_, name: string, otherwise: string) => env[name] ?? otherwise)

/**
 * Commands of a comment, and the environment in which `docker compose` meets each: the file .env, and what stands before
 * the command itself.
 */
function steps(text: string): { line: string; env: Record<string, string> }[] {
  const file: Record<string, string> = {}
  const found: { line: string; env: Record<string, string> }[] = []
  for (const [, line] of text.matchAll(/^ *# {3}(\S.*?)(?: {2,}# .*)?$/gm)) {
    const [, kept, value] = /^echo (\w+)=(.+) >> \.env$/.exec(line!) ?? []
    if (kept) file[kept] = value!.replace(/^\$\(openssl rand -hex (\d+)\)$/, (_, n: string) => 'a7'.repeat(Number(n)))
    const [, before, command] = /^((?:\w+=\S+ )*)(docker compose .*)$/.exec(line!) ?? []
    const own = [...(before ?? '').matchAll(/(\w+)=(\S+)/g)].map(([, name, said]) => [name!, said!])
    if (command) found.push({ line: command, env: { ...file, ...Object.fromEntries(own) } })
  }
  return found
}

describe('deploy/compose.yaml', () => {
  const text = read('deploy/compose.yaml')
  const { services, volumes } = normalize(text) as Record<string, Record<string, any>>
  const ours = [services!.api, services!.worker]

  it('starts programs with options that they take, each with its part of the work', async () => {
    const [api, worker] = await Promise.all(
      ours.map(({ command }) => taken(command.map((word: string) => filled(word)))),
    )
    expect(api).toMatchObject({ roles: ['api', 'maintenance'], host: '127.0.0.1', port: 4884, files: '/files' })
    expect(worker).toMatchObject({ roles: ['worker', 'maintenance'], slots: 16, files: '/files' })
    expect(new Set([...api!.roles, ...worker!.roles])).toEqual(new Set(ROLES))
  })

  it('all share one database and one folder of files, have an init, and are given the time that a stop takes', () => {
    const address = new URL(ours[0].environment.UNTILDONE_DATABASE.replace(/\$\{[^}]*\}/, 'secret'))
    const { POSTGRES_USER, POSTGRES_DB } = services!.postgres.environment
    expect([address.hostname, address.username, address.pathname]).toEqual([
      'postgres',
      POSTGRES_USER,
      `/${POSTGRES_DB}`,
    ])
    for (const one of ours) {
      expect(one.environment.UNTILDONE_DATABASE).toBe(ours[0].environment.UNTILDONE_DATABASE)
      expect([one.volumes, one.init]).toEqual([['files:/files'], true])
      expect(Number.parseInt(one.stop_grace_period, 10)).toBeGreaterThanOrEqual(STOP_S)
      for (const needed of Object.keys(one.depends_on)) expect(services).toHaveProperty(needed)
    }
    expect(Object.keys(volumes!).sort()).toEqual(['database', 'files'])
  })

  it('what a step has set, the steps after it keep: everything is made anew from what they say', () => {
    const ups = steps(text).filter(({ line }) => /^docker compose .*\bup\b/.test(line))
    const made = ups.map(({ line, env }) => {
      const { api, worker } = JSON.parse(filled(JSON.stringify(services), env))
      return {
        host: api.command[4],
        workers: /--scale worker=(\d+)/.exec(line)?.[1] ?? worker.deploy.replicas,
        redis: worker.environment.UNTILDONE_REDIS,
        profile: env.COMPOSE_PROFILES ?? /--profile (\w+)/.exec(line)?.[1] ?? '',
      }
    })
    const opened = { host: '0.0.0.0', workers: '4' }
    expect(made).toEqual([
      { host: '127.0.0.1', workers: '2', redis: '', profile: '' },
      { ...opened, redis: '', profile: '' },
      { ...opened, redis: 'redis://redis:6379', profile: 'redis' },
    ])
  })

  it('the password that the steps make can stand in an address', () => {
    const { env } = steps(text)[0]!
    const { hostname, password } = new URL(filled(ours[0].environment.UNTILDONE_DATABASE, env))
    expect([hostname, password]).toEqual(['postgres', env.POSTGRES_PASSWORD])
  })

  it('the database lets in what the processes of one file need, ten times as many workers included', () => {
    const { writers, readers } = poolsOf('postgres://localhost/x', {})
    const each = writers.options.max + readers.options.max + 1
    const most = Number(/max_connections=(\d+)/.exec(services!.postgres.command.join(' '))![1])
    expect(most).toBeGreaterThan(each * (1 + 10 * Number(filled(`${services!.worker.deploy.replicas}`))))
    expect(text).toContain(`${each} connections for each process`)
  })
})

describe('deploy/Dockerfile', () => {
  const lines = read('deploy/Dockerfile').split('\n')

  it('starts the program itself, as nobody in particular', async () => {
    const said = (word: string) => lines.findLast((line) => line.startsWith(`${word} `))!.slice(word.length + 1)
    expect(JSON.parse(said('ENTRYPOINT'))).toEqual(['node', 'node_modules/untildone/bin/untildone.js'])
    await taken(JSON.parse(said('CMD')))
    expect(said('USER')).toBe('node')
    const major = Number(/node:(\d+)/.exec(said('FROM'))![1])
    expect(major).toBeGreaterThanOrEqual(22)
  })
})

describe.each(['untildone.service', 'untildone-worker@.service'])('deploy/%s', (name) => {
  const lines = read(`deploy/${name}`)
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
  const said = (key: string) =>
    lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1))
  const defaults = Object.fromEntries(
    said('Environment').flatMap((text) => text.split(' ').map((pair) => pair.split('='))),
  )

  it('starts the program itself, with options that it takes and defaults for what they name', async () => {
    const [node, script, ...words] = said('ExecStart')[0]!.split(' ')
    expect([node, script]).toEqual(['/usr/bin/node', expect.stringMatching(/\/untildone\/bin\/untildone\.js$/)])
    const options = await taken(
      words.map((word) => word.replace('%i', '1').replace(/\$\{(\w+)\}/g, (_, variable: string) => defaults[variable])),
    )
    expect(options.json).toBe(true)
    for (const role of options.roles) expect(ROLES).toContain(role)
    expect(options.data).toMatch(/^\/var\/lib\/untildone/)
    expect(said('StateDirectory')).toEqual(['untildone'])
  })

  it('hands TERM to the program, and gives it the time that a stop takes', () => {
    expect([said('KillMode'), said('KillSignal')]).toEqual([['mixed'], ['SIGTERM']])
    expect(Number(said('TimeoutStopSec')[0])).toBeGreaterThanOrEqual(STOP_S)
    expect(Number(said('LimitNOFILE')[0])).toBeGreaterThanOrEqual(65_536)
    expect([said('Restart'), said('LimitCORE'), said('Delegate')]).toEqual([['always'], ['0'], ['yes']])
  })

  it('has nothing in it that systemd does not know, where there is one to ask', () => {
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) return
    const folder = mkdtempSync(join(tmpdir(), 'untildone-units-'))
    try {
      const file = join(folder, name.replace('@', '@1'))
      const own = read(`deploy/${name}`).replaceAll('/usr/bin/node ', `${process.execPath} `)
      writeFileSync(file, own)
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { timeout: 20_000 })
      expect([status, `${stderr}`.split('\n').filter((line) => line.includes(folder))]).toEqual([0, []])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('commands that are written down', () => {
  const files = [
    ...readdirSync(join(ROOT, 'deploy')).map((name) => `deploy/${name}`),
    ...['scaling', 'upgrades'].map((name) => `docs/guide/${name}.md`),
  ]
  const written = /^(?:#\s+)?(?:docker compose exec api |npx )?untildone ([a-z].*?)(?:\s{2,}#.*)?$/gm
  const commands = files.flatMap((file) => [...read(file).matchAll(written)].map(([, line]) => [file, line!] as const))

  it('are found at all', () => {
    expect(commands.length).toBeGreaterThan(5)
  })

  it.each(commands)('%s: untildone %s', async (_, line) => {
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
    await expect(taken(words)).resolves.toBeTruthy()
  })
})
