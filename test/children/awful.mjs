// A deliberately awful engine: it does what native programs do to those who run them. For the tests of child processes.
//   node awful.mjs <misbehaviour> [argument]
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, symlinkSync, writeFileSync, writeSync } from 'node:fs'

const [what, argument = ''] = process.argv.slice(2)
const say = (text) => writeSync(1, `${text}\n`)
const forever = () => setInterval(() => {}, 60_000)
/** The result as `writeEnvelope` sends it, cut after a part of its body. */
const envelope = (share = 1) => {
  const body = JSON.stringify({ pages: 3, text: 'x'.repeat(500) })
  const sha256 = createHash('sha256').update(body).digest('hex')
  const header = JSON.stringify({ untildone: 1, nonce: process.env.UNTILDONE_NONCE, bytes: body.length, sha256 })
  writeSync(3, `${header}\n${body.slice(0, body.length * share)}`)
}
const core = (n) => {
  const data = Buffer.alloc(256 * 1024)
  data.write('\x7fELF\x02\x01\x01', 'latin1')
  data.writeUInt16LE(4, 16)
  writeFileSync(`core.${n}`, data)
}
const background = (command, args, options = {}) => {
  const child = spawn(command, args, { stdio: 'ignore', ...options })
  child.unref()
  return child.pid
}

const MISBEHAVIOURS = {
  fine: () => envelope(),
  exit: () => process.exit(Number(argument) || 3),
  crash: () => process.kill(process.pid, 'SIGSEGV'),
  abort: () => process.abort(),
  kill: () => process.kill(process.pid, 'SIGKILL'),
  hang: forever,
  silent: () => {
    say('working')
    forever()
  },
  'ignore-term': () => {
    process.on('SIGTERM', () => say('not now'))
    say('up')
    forever()
  },
  'exit-0-on-term': () => {
    process.on('SIGTERM', () => process.exit(0))
    forever()
  },
  /** Leaves group and session, keeps the env. */
  daemon: () => {
    say(background('/bin/sleep', ['300'], { detached: true }))
    envelope()
  },
  /** Leaves group and session, clears its env, and stays in the family for long enough to be seen. */
  'bare-daemon': () => {
    say(background('/bin/sleep', ['300'], { detached: true, env: {} }))
    setTimeout(() => envelope(), 1_000)
  },
  'hold-pipe': () => {
    background('/bin/sleep', ['300'], { stdio: ['ignore', 'inherit', 'inherit'] })
    envelope()
  },
  /** A program that never waits for its children: they stay zombies as long as it lives. */
  zombies: () => {
    background('/bin/sh', ['-c', 'sleep 0 & sleep 0 & exec sleep 300'])
    setTimeout(() => envelope(), Number(argument) || 600)
  },
  flood: () => {
    const chunk = Buffer.alloc(65_536, 'flood ')
    for (;;) writeSync(1, chunk)
  },
  cores: () => {
    for (let n = 1; n <= 3; n++) core(n)
    process.kill(process.pid, 'SIGSEGV')
  },
  half: () => {
    envelope(0.5)
    process.exit(0)
  },
  nothing: () => process.exit(0),
  fill: () => {
    mkdirSync('deep/er', { recursive: true })
    symlinkSync('/etc', 'deep/link')
    const chunk = Buffer.alloc(1024 * 1024)
    for (let n = 0; n < 64; n++) writeFileSync(`deep/er/${n}`, chunk)
    forever()
  },
  'big-file': () => {
    const chunk = Buffer.alloc(1024 * 1024)
    for (let n = 0; n < 64; n++) writeFileSync('big', chunk, { flag: 'a' })
  },
  swarm: () => {
    for (let n = 0; n < 30; n++) background('/bin/sleep', ['300'])
    forever()
  },
  eat: () => {
    const eaten = []
    const more = setInterval(() => eaten.push(Buffer.alloc(16 * 1024 * 1024, 1)), 5)
    setTimeout(() => clearInterval(more), 2_000)
  },
  spin: () => {
    for (;;);
  },
}

if (!MISBEHAVIOURS[what]) throw new Error(`no such misbehaviour: ${what}; there are ${Object.keys(MISBEHAVIOURS)}`)
MISBEHAVIOURS[what]()
