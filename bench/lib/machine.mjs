// What the figures were measured on, and what one fsync costs on the disk they were measured with.
import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, platform, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { root } from './product.mjs'
import { median, percentile } from './sample.mjs'

const TMPFS = 0x01021994

/** The system's temporary folder, unless it is in memory: there an fsync costs nothing and the figures mean nothing. */
export function defaultFolder() {
  const inMemory = platform() === 'linux' && statfsSync(tmpdir()).type === TMPFS
  return inMemory ? join(root, 'node_modules/.cache/untildone-bench') : join(tmpdir(), 'untildone-bench')
}

/** Milliseconds of a write of 4 KiB with its fdatasync, which is what a small commit waits for. */
export function fsyncCost(dir) {
  mkdirSync(dir, { recursive: true })
  const file = join(dir, `fsync-${process.pid}`)
  const handle = openSync(file, 'w')
  const page = Buffer.alloc(4096, 1)
  const times = []
  for (let i = 0; i < 500; i++) {
    writeSync(handle, page)
    const began = performance.now()
    fdatasyncSync(handle)
    times.push(performance.now() - began)
  }
  closeSync(handle)
  rmSync(file)
  const sorted = times.sort((a, b) => a - b)
  return { p50: median(sorted), p99: percentile(sorted, 0.99) }
}

/** One line per fact, for the head of the report. */
export function describeMachine(dir, sqlite) {
  const { p50, p99 } = fsyncCost(dir)
  const load = loadavg()[0]
  return [
    `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()}`,
    `Node ${process.versions.node}, ${sqlite}, synchronous=FULL`,
    `fsync of the disk: ${p50.toFixed(2)} ms median, ${p99.toFixed(2)} ms p99`,
    `load average at the start: ${load.toFixed(1)}${load > 0.5 ? ' (not idle: read the ratios, not the absolute figures)' : ''}`,
  ]
}
