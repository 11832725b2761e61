/**
 * Small things that all parts of the torture share: seeded chance, waiting, temporary folders, child processes.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
export const HERE = fileURLToPath(new URL('../', import.meta.url))

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
export const sha256 = (data) => createHash('sha256').update(data).digest('hex')

/** Chance from a seed (mulberry32): the same seed gives the same plan of kills and jobs. */
export function chance(seed) {
  let a = seed >>> 0
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = a
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  return {
    next,
    /** Whole number from `low` to `high`, both included. */
    int: (low, high) => low + Math.floor(next() * (high - low + 1)),
    pick: (list) => list[Math.floor(next() * list.length)],
    happens: (probability) => next() < probability,
    text: (length) => Array.from({ length }, () => Math.floor(next() * 36).toString(36)).join(''),
    fork: () => chance(Math.floor(next() * 4294967296)),
  }
}

const folders = new Set()

/** A folder that is gone when this process ends, unless `keepFolders` was called. */
export function folder(name) {
  const path = mkdtempSync(join(tmpdir(), `untildone-torture-${name}-`))
  folders.add(path)
  return path
}

export function dropFolder(path) {
  rmSync(path, { recursive: true, force: true })
  folders.delete(path)
}

/** Leaves the folders for whoever looks into a violation. */
export function keepFolders() {
  const kept = [...folders]
  folders.clear()
  return kept
}

const children = new Set()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const path of folders) rmSync(path, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

/**
 * Starts one of our programs. What it says on fd 3 are JSON lines, handed to `onSay`; they survive its sudden death.
 * `said` resolves with the first line that `which` accepts, or with null when it dies without one.
 */
export function program(file, { env = {}, onSay = () => {}, args = [] } = {}) {
  const child = spawn(process.execPath, [...args, join(HERE, file)], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'inherit', 'pipe', 'pipe'],
  })
  children.add(child)
  child.stdin.on('error', () => {})
  const errors = []
  child.stderr.on('data', (chunk) => {
    errors.push(chunk)
    if (errors.length > 50) errors.shift()
  })
  const waiting = new Set()
  const lines = createInterface({ input: child.stdio[3], crlfDelay: Number.POSITIVE_INFINITY })
  const drained = new Promise((resolve) => lines.once('close', resolve))
  lines.on('line', (line) => {
    const message = JSON.parse(line)
    onSay(message)
    for (const one of waiting) {
      if (!one.which(message)) continue
      waiting.delete(one)
      one.resolve(message)
    }
  })
  const ended = new Promise((resolve) => {
    child.once('exit', async (code, signal) => {
      children.delete(child)
      await drained
      for (const one of waiting) one.resolve(null)
      waiting.clear()
      resolve({ code, signal })
    })
  })
  return {
    child,
    ended,
    get errors() {
      return Buffer.concat(errors).toString('utf8')
    },
    tell: (message) => child.stdin.write(`${JSON.stringify(message)}\n`),
    said(which) {
      if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(null)
      return new Promise((resolve) => waiting.add({ which, resolve }))
    },
  }
}

/** The same promise, or `null` after `ms`. */
export async function within(promise, ms) {
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(null), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

let lastSaid = Date.now()
const began = Date.now()

export function say(text = '') {
  lastSaid = Date.now()
  process.stdout.write(`${text}\n`)
}

/** A progress line, at most one every 2 s. */
export function progress(text) {
  if (Date.now() - lastSaid < 2000) return
  say(`  ${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text()}`)
}

/** Says `text()` at least every 3 s while `work` goes on. */
export async function audibly(text, work) {
  const timer = setInterval(() => {
    if (Date.now() - lastSaid >= 3000) say(`  ${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text()}`)
  }, 500)
  return work.finally(() => clearInterval(timer))
}

/** Rows of cells as aligned text; the first row is the head. */
export function table(rows) {
  const width = rows[0].map((_, c) => Math.max(...rows.map((row) => String(row[c]).length)))
  return rows
    .map((row) =>
      `  ${row.map((cell, c) => (typeof cell === 'number' ? String(cell).padStart(width[c]) : String(cell).padEnd(width[c]))).join('  ')}`.trimEnd(),
    )
    .join('\n')
}
