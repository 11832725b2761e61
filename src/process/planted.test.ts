// The catalogue once more, each row without its protection: a copy of this folder from which it was taken out must fail the
// very check that a whole copy passes. Nothing in the code itself can switch a protection off.
// The copies mark their children for a place of their own, so that no other sweep of this machine meets them.
import { spawn } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import { type ProcessOutcome, type ProcessSpec, processIdentity, protections } from './index.js'
import { listPids, readText } from './procfs.js'

const here = import.meta.dirname
const { faultsOf, specOf } = await import(join(here, '../../test/children/misbehaviours.mjs'))
const { leftovers } = await import(join(here, '../../test/children/lib.mjs'))
const base = mkdtempSync(join(tmpdir(), 'untildone-planted-'))
const before = process.env.TMPDIR
process.env.TMPDIR = base
const host = await protections()

/** A copy of this folder. */
interface Code {
  runProcess: typeof import('./index.js').runProcess
  killAbandoned: typeof import('./index.js').killAbandoned
  killStrays: typeof import('./index.js').killStrays
  ownerName: typeof import('./owner.js').ownerName
  ownerState: typeof import('./owner.js').ownerState
}
type Copy = Code & { dir: string; patienceMs: number }
/** What is replaced, in which file, by what; empty = nothing. */
type Plant = readonly [file: string, found: string, by?: string]
type Check = (copy: Copy) => Promise<readonly string[]>

// Far longer than any run that ends takes; those that have no end without their protection are given up much sooner.
const PATIENCE_MS = 20_000
const NO_END_MS = 2_500
const NO_END = /^it did not end$/
const copies: Copy[] = []

async function copyWith(plants: readonly Plant[], patienceMs = PATIENCE_MS): Promise<Copy> {
  const number = copies.length
  const dir = join(base, `copy-${number}`)
  mkdirSync(dir)
  const names = readdirSync(here).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  const sources = new Map(names.map((name) => [name.slice(0, -3), readFileSync(join(here, name), 'utf8')]))
  const elsewhere: Plant = ['owner', '.slice(0, 8)', `.slice(-8).concat('${number}')`]
  for (const [file, found, by = ''] of [elsewhere, ...plants]) {
    const parts = sources.get(file)!.split(found)
    // Moved or written anew: then this row proves nothing any more.
    if (parts.length !== 2) throw new Error(`"${found}" is ${parts.length - 1} times in ${file}.ts, not once`)
    sources.set(file, parts.join(by))
  }
  for (const [file, source] of sources) writeFileSync(join(dir, `${file}.js`), compiled(source))
  const load = createRequire(import.meta.url)
  const copy: Copy = { dir, patienceMs, ...load(join(dir, 'index.js')), ...load(join(dir, 'owner.js')) }
  copies.push(copy)
  return copy
}

/** Most files are the same in all copies. */
const known = new Map<string, string>()
function compiled(source: string): string {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS }
  const code = known.get(source) ?? ts.transpileModule(source, { compilerOptions }).outputText
  known.set(source, code)
  return code
}

afterAll(() => {
  // What a row that failed has left, and nobody else would know.
  for (const { ownerName } of copies) for (const pid of leftovers(ownerName()).running) kill(pid)
  if (before === undefined) delete process.env.TMPDIR
  else process.env.TMPDIR = before
  rmSync(base, { recursive: true, force: true })
})

const isGone = (pid: number) => [undefined, 'Z', 'X'].includes(processIdentity(pid)?.state)
const kill = (pid: number) => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}

/** Runs to the end or gives up, and then ends all that is left of it. */
async function run(copy: Copy, spec: ProcessSpec): Promise<ProcessOutcome | string> {
  const ended = copy.runProcess(spec).catch((error: Error) => `it rejected: ${error.message}`)
  const outcome = await Promise.race([ended, delay(copy.patienceMs, 'it did not end')])
  for (const pid of leftovers(copy.ownerName()).running) kill(pid)
  await ended
  return outcome
}

/** A misbehaviour of the awful engine, judged by the table that the catalogue uses. */
const awful =
  (name: string, more: Partial<ProcessSpec> = {}): Check =>
  async (copy) => {
    const outcome = await run(copy, { ...specOf(name), ...more })
    return typeof outcome === 'string' ? [outcome] : faultsOf(name, outcome)
  }

/** A command, and what its outcome must be like. */
const command =
  (spec: ProcessSpec, wanted: Partial<ProcessOutcome>): Check =>
  async (copy) => {
    const outcome = await run(copy, { ...COMMON, ...spec })
    if (typeof outcome === 'string') return [outcome]
    return Object.entries(wanted)
      .filter(([key, value]) => outcome[key as keyof ProcessOutcome] !== value)
      .map(([key, value]) => `${key} is ${outcome[key as keyof ProcessOutcome]}, not ${value}`)
  }
const COMMON = { graceMs: 200, drainMs: 200, pollMs: 50 }
const sh = (script: string, ...args: string[]) => ({ command: '/bin/sh', args: ['-c', script, ...args] })

/** A daemon whose pid the engine tells must be gone with its run, also where its env does not say whose it was. */
const daemonOf =
  (spec: ProcessSpec): Check =>
  async (copy) => {
    const outcome = await run({ ...copy, ownerName: () => 'nobody' }, spec)
    const pid = Number(/\d+/.exec(String((outcome as ProcessOutcome).stdout))?.[0])
    const faults = isGone(pid) ? [] : ['its daemon still runs']
    kill(pid)
    return faults
  }

/** A supervisor that is killed while its child and a daemon of that run; `then` is what the next one does. */
const killedSupervisor =
  (script: string, then: (copy: Copy) => Promise<unknown>): Check =>
  async (copy) => {
    const code = `const { runProcess } = require(${JSON.stringify(join(copy.dir, 'index.js'))})
      const args = ['-c', ${JSON.stringify(script)}]
      void runProcess({ command: '/bin/sh', args, cwd: '/', onOutput: (_, chunk) => process.stdout.write(chunk) })`
    const env = { ...process.env, UNTILDONE_CHILD: '' }
    const supervisor = spawn(process.execPath, ['-e', code], { env })
    const text = await new Promise<string>((resolve) => supervisor.stdout.once('data', (data) => resolve(String(data))))
    const gone = new Promise((resolve) => supervisor.once('exit', resolve))
    supervisor.kill('SIGKILL')
    await gone
    await then(copy)
    const left = text
      .trim()
      .split(' ')
      .map(Number)
      .filter((pid) => !isGone(pid))
    for (const pid of left) kill(pid)
    return left.map(() => 'a process of the killed supervisor still runs')
  }

const LOOK: Plant = ['watch', 'const sample = this.tree?.look()', 'const sample = null as Sample | null']
const OVER: Plant = ['watch', 'if (over) return over']
const LAUNCH: Plant = ['spawn', 'ending && launchError(', 'null && launchError(']
const ENVELOPE: Plant = ['spawn', ' && end.code === 0 && envelopeError === null', ' && end.code === 0']

/** `if`: what the host must give. `fails`: what the check says of the copy without the protection. */
interface Row {
  name: string
  if?: unknown
  check: Check
  plants: readonly Plant[]
  fails: RegExp
}

const ROWS: readonly Row[] = [
  {
    name: 'F60: KILL after the grace',
    check: awful('ignore-term'),
    plants: [['supervise', 'this.#arm(this.plan.graceMs, () => this.#kill())']],
    fails: NO_END,
  },
  {
    name: 'F61: the sweep of what left the group',
    check: daemonOf(specOf('daemon')),
    plants: [['supervise', '(await this.around.tree?.killEscaped()) ?? {}', '{}']],
    fails: /daemon still runs/,
  },
  {
    name: 'F61: the looks at the tree while it runs',
    check: daemonOf(specOf('bare-daemon')),
    plants: [LOOK],
    fails: /daemon still runs/,
  },
  {
    name: 'F61: the pid namespace, of a daemon that nobody has seen',
    if: host.pidNamespace,
    // Its pids are others inside, so the daemon is known by its name.
    async check(copy) {
      const name = `60.${process.pid}${copies.length}`
      await run(copy, { ...sh(`env -i setsid sleep ${name} & sleep 0.2`), ...COMMON, strong: true })
      const left = listPids().filter((pid) => readText(`/proc/${pid}/cmdline`)?.startsWith(`sleep\0${name}`))
      for (const pid of left) kill(pid)
      return left.map(() => 'its daemon still runs')
    },
    plants: [LOOK, ['limits', 'ask.strong && tools.unshare', 'false && tools.unshare']],
    fails: /daemon still runs/,
  },
  {
    name: 'F62: the end of the drain',
    check: awful('hold-pipe'),
    plants: [['supervise', 'this.#arm(this.plan.drainMs, () => this.#settle(null))']],
    fails: NO_END,
  },
  {
    name: 'F63: the limit of output',
    check: awful('flood'),
    plants: [['output', '        onOverflow()\n']],
    fails: NO_END,
  },
  {
    name: 'F64: the limit of the directory',
    check: awful('fill'),
    plants: [['spawn', '(await sizeOf(this.#workDir)) > limits.workBytes', 'false']],
    fails: NO_END,
  },
  {
    name: 'F64: the question for room',
    check: command({ command: '/bin/true', minFreeBytes: Number.MAX_SAFE_INTEGER }, { cause: 'disk-low' }),
    plants: [['spawn', 'if (disk.low)', 'if (false)']],
    fails: /cause is exit 0/,
  },
  {
    name: 'F64: the limit of a file',
    if: host.coreLimit,
    check: command(
      { ...sh('exec head -c 2000000 /dev/zero >big'), limits: { fileBytes: 1e6 } },
      { kind: 'file-limit' },
    ),
    plants: [['limits', "limits.push(limit('fsize', ask.fileBytes, own.fsize))"]],
    fails: /kind is exited/,
  },
  {
    name: 'F65: the sweep of cores',
    check: awful('cores'),
    plants: [['spawn', 'if (ending) await this.#sweep(', 'if (false) await this.#sweep(']],
    fails: /0 cores were swept/,
  },
  {
    name: 'F66: zombies told from what runs',
    check: awful('zombies'),
    plants: [['procfs', " && (stat.state !== 'Z' || stat.threads > 1)"]],
    fails: /no zombie was seen/,
  },
  {
    name: 'F67: the counters behind a KILL',
    check: awful('kill'),
    plants: [['oom', 'if (before.cgroup !== null && after.cgroup !== null && after.cgroup > before.cgroup) ']],
    fails: /cause is "oom"/,
  },
  {
    name: 'F67: the limit of memory',
    check: command(
      {
        command: process.execPath,
        args: ['-e', 'const kept = Buffer.alloc(300 << 20, 1); setInterval(() => kept, 1000)'],
        limits: { rssMb: 200 },
      },
      { kind: 'memory-limit' },
    ),
    plants: [OVER],
    fails: NO_END,
  },
  {
    name: 'F67: both limits of CPU time',
    check: awful('spin'),
    plants: [OVER, ['limits', 'limits.push(`--cpu=', 'void (`--cpu=']],
    fails: NO_END,
  },
  { name: 'F67: the limit of processes', check: awful('swarm'), plants: [OVER], fails: NO_END },
  { name: 'F68: the check of the envelope, half', check: awful('half'), plants: [ENVELOPE], fails: /ok is true/ },
  { name: 'F68: the check of the envelope, none', check: awful('nothing'), plants: [ENVELOPE], fails: /ok is true/ },
  {
    name: 'F69: the start time in the record of a group',
    async check({ killStrays }) {
      const stranger = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' })
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
      await killStrays([{ pgid: stranger.pid!, startTime: '17', bootId: boot }])
      const faults = isGone(stranger.pid!) ? ['a stranger was killed'] : []
      stranger.kill('SIGKILL')
      return faults
    },
    plants: [['reap', 'leader.startTime === startTime && ']],
    fails: /stranger was killed/,
  },
  {
    name: 'F69: the start time in the mark of an owner',
    check: async ({ ownerName, ownerState }) => {
      const [boot, namespace] = ownerName().split('.')
      const state = ownerState(`${boot}.${namespace}.${process.pid}.17.nonce`)
      return state === 'dead' ? [] : [`whoever has its pid now is taken for it: ${state}`]
    },
    plants: [['owner', 'readStat(Number(pid))?.startTime === startTime', 'readStat(Number(pid)) !== null']],
    fails: /taken for it: alive/,
  },
  {
    name: 'F69: the place in the mark of an owner',
    check: async ({ ownerState }) => {
      const state = ownerState('00000000.4026531836.4194304.17.nonce')
      return state === 'unknown' ? [] : [`another machine is judged: ${state}`]
    },
    plants: [['owner', "!== place()) return 'unknown'", "!== place()) return 'dead'"]],
    fails: /judged: dead/,
  },
  {
    name: 'F70: the sweep by mark',
    check: killedSupervisor('setsid sleep 60 & echo $!; exec sleep 60', (copy) => copy.killAbandoned()),
    plants: [['reap', "ownerState(mark) !== 'dead') continue", 'mark) continue']],
    fails: /still runs/,
  },
  {
    name: 'F70: the death of a child with its parent',
    if: host.parentDeath,
    check: killedSupervisor('echo $$; exec sleep 60', () => delay(500)),
    plants: [['limits', 'if (tools.setpriv)', 'if (false)']],
    fails: /still runs/,
  },
  {
    name: 'F71: what a wrapper says, of a program that is being written',
    if: host.parentDeath || host.coreLimit,
    async check(copy) {
      const path = join(copy.dir, 'busy')
      copyFileSync('/bin/true', path)
      const writing = openSync(path, 'r+')
      try {
        return await command({ command: path }, { cause: 'spawn ETXTBSY' })(copy)
      } finally {
        closeSync(writing)
      }
    },
    plants: [LAUNCH],
    fails: /cause is exit 126/,
  },
  {
    name: 'F71: both looks for a program that is not there',
    check: command({ command: '/bin/is-not-there' }, { cause: 'spawn ENOENT' }),
    plants: [
      ['spawn', "await findExecutable(plan.command, plan.cwd ?? process.cwd(), env.PATH ?? '')", 'plan.command'],
      LAUNCH,
    ],
    fails: /cause is exit 127/,
  },
  {
    name: 'F71: the answer to a start that the system refuses',
    check: command(sh('exit 0', 'x'.repeat(4_000_000)), { cause: 'spawn E2BIG' }),
    plants: [['spawn', 'outcome = this.#refused(error as NodeJS.ErrnoException)', 'throw error']],
    fails: /rejected/,
  },
  {
    name: 'the limit of silence',
    check: awful('silent'),
    plants: [
      ['watch', "if (silentMs !== undefined && now - outputAt >= silentMs) return { reason: 'silent', force: false }"],
    ],
    fails: NO_END,
  },
  {
    name: 'the limit without progress',
    check: awful('stalled'),
    plants: [
      [
        'watch',
        "if (stallMs !== undefined && now - this.#beatAt >= stallMs) return { reason: 'stalled', force: false }",
      ],
    ],
    fails: NO_END,
  },
]

// All of them take a minute: `npm run torture:children -- --only planted`. Each run of the unit tests has some.
const SOME = process.env.UNTILDONE_ALL ? ROWS : ROWS.filter((_, i) => i % 4 === 0)

describe.runIf(process.platform === 'linux')('a row fails without', () => {
  let whole: Copy | undefined
  for (const { name, if: given = true, check, plants, fails } of SOME) {
    it(name, { timeout: 60_000 }, async (context) => {
      if (!given) context.skip('this host does not give it')
      whole ??= await copyWith([])
      expect(await check(whole)).toEqual([])
      const planted = await copyWith(plants, fails === NO_END ? NO_END_MS : PATIENCE_MS)
      expect((await check(planted)).join('; ')).toMatch(fails)
    })
  }
})
