// The child's side of the envelope: a Node child calls `writeEnvelope(result)` once, as its last act.
// Must never write to fd 3 of a process that was not given an envelope pipe: there it belongs to somebody else.
import { closeSync, fstatSync, fsyncSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { ENVELOPE_FD, encodeEnvelope, NONCE_ENV, RESULT_ENV } from './protocol.js'

let written = false

/**
 * Hands the result of this child to its parent, on the pipe or as a file, as the parent asked for. Synchronous, so
 * `process.exit()` may follow at once.
 * Throws TypeError for a value JSON cannot carry, and Error when called twice or in a process that was not started with
 * `envelope: true`; nothing is written then.
 */
export function writeEnvelope(value: unknown): void {
  // First, because by then fd 3 is closed and its number may be somebody else's.
  if (written) throw new Error('writeEnvelope: the envelope of this process is already written')
  const nonce = process.env[NONCE_ENV]
  const path = process.env[RESULT_ENV]
  if (!nonce || !(path || isPipe(ENVELOPE_FD)))
    throw new Error('writeEnvelope: this process was not started with envelope: true')
  const data = encodeEnvelope(value, nonce)
  written = true
  if (path) writeWhole(path, data)
  else writePipe(data)
}

function writePipe(data: Buffer): void {
  for (let offset = 0; offset < data.length; ) offset += writeSome(data, offset)
  closeSync(ENVELOPE_FD)
}

/** Under the real name only once all of it is on disk. */
function writeWhole(path: string, data: Buffer): void {
  const file = openSync(`${path}.tmp`, 'w', 0o600)
  writeFileSync(file, data)
  fsyncSync(file)
  closeSync(file)
  renameSync(`${path}.tmp`, path)
}

function writeSome(data: Buffer, offset: number): number {
  try {
    return writeSync(ENVELOPE_FD, data, offset)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    // The pipe is full and somebody made it non-blocking: wait without spinning until the parent has read.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    return 0
  }
}

/** The env is inherited by grandchildren, the pipe is not: in them fd 3 may be anything, often Node's own epoll. */
function isPipe(fd: number): boolean {
  try {
    const stat = fstatSync(fd)
    return stat.isFIFO() || stat.isSocket()
  } catch {
    return false
  }
}
