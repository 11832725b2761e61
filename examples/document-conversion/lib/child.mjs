// What every child program here shares: read the input, hand back one JSON result, warn, fail. The result goes to fd 3
// in an envelope if the parent set UNTILDONE_NONCE, and to stdout for a person. Stdout and stderr are never the result
// of a supervised run, because libraries print there; a result is never written twice or in part.
import { createHash } from 'node:crypto'
import { readFileSync, writeSync } from 'node:fs'

/** The exit codes; a code never means anything else in another program of this folder. */
export const EXIT = {
  engineFailed: 1,
  badArguments: 2,
  cannotReadOrWrite: 3,
  notAPdf: 4,
  passwordRequired: 5,
  cannotTakeApart: 6,
  noSuchPage: 7,
}

/** An error with an exit code of its own; its message is the one line on stderr. */
export class Failure extends Error {
  /** @param {number} code @param {string} message */
  constructor(code, message) {
    super(message)
    this.code = code
  }
}

/** @param {() => Promise<unknown>} main its result is handed back; what it throws becomes one line and an exit code */
export async function run(main) {
  // An engine's own thread may die outside of any promise.
  process.on('uncaughtException', fail)
  try {
    emit(await main())
  } catch (error) {
    fail(error)
  }
  process.exit(0)
}

/** @param {unknown} error @returns {never} */
function fail(error) {
  const known = error instanceof Failure
  const message = error instanceof Error ? error.message : String(error)
  line(known ? message : `engine failed: ${message}`)
  process.exit(known ? error.code : EXIT.engineFailed)
}

/** A harmless oddity: the result stands. @param {string} message */
export const warn = (message) => line(`warning: ${message}`)

/** Words of a program inside of this one, as they are. @param {string} message */
export const say = (message) => line(message)

/** @param {string} message */
const line = (message) => writeAll(2, Buffer.from(message.replace(/\s+/g, ' ').trim() + '\n'))

/** @param {unknown} result */
function emit(result) {
  const body = Buffer.from(JSON.stringify(result))
  const nonce = process.env.UNTILDONE_NONCE
  if (!nonce) return writeAll(1, Buffer.concat([body, Buffer.from('\n')]))
  const sha256 = createHash('sha256').update(body).digest('hex')
  const head = JSON.stringify({ untildone: 1, nonce, bytes: body.length, sha256 })
  try {
    writeAll(3, Buffer.concat([Buffer.from(head + '\n'), body]))
  } catch (error) {
    const { message } = /** @type {Error} */ (error)
    throw new Failure(EXIT.cannotReadOrWrite, `cannot write the result to fd 3: ${message}`)
  }
}

/** @param {number} fd @param {Buffer} bytes */
function writeAll(fd, bytes) {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done)
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}

/** @param {string} path @returns {Buffer} */
export function readInput(path) {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new Failure(EXIT.cannotReadOrWrite, `cannot read the input: ${/** @type {Error} */ (error).message}`)
  }
}

/** @param {string} usage @param {number} least @param {number} most @returns {string[]} */
export function parameters(usage, least, most) {
  const given = process.argv.slice(2)
  if (given.length < least || given.length > most) throw new Failure(EXIT.badArguments, `usage: ${usage}`)
  return given
}

/** @param {string} text @param {string} what @param {number} least @param {number} most */
export function wholeNumber(text, what, least, most) {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new Failure(EXIT.badArguments, `${what} must be a whole number from ${least} to ${most}, not "${text}"`)
  }
  return value
}
