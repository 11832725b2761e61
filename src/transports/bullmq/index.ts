/** `untildone/bullmq`: word of ready jobs to workers on many hosts, over Redis. Needs the packages `bullmq` and `ioredis`. */
import type { TransportFactory } from '../transport.js'
import { wrongAddress } from './address.js'
import { BullmqTransport } from './bullmq.js'

export interface BullmqOptions {
  /**
   * Most jobs of a queue that are announced and not claimed. A larger one lets many hosts fetch without waiting for the
   * next announcement; nothing is decided sooner by it. @default 4 per slot of the process that announces
   */
  window?: number
  /**
   * A new job starts at once, without the detour over Redis, while a worker of the process that announces does nothing.
   * `false`: each goes over Redis, which spreads single jobs more evenly over idle hosts. @default true
   */
  direct?: boolean
  /**
   * A Redis on another host may be talked to without TLS. Whoever can listen on the way reads the password and can change
   * what is announced: only where the network between is trusted, or encrypted by itself. @default false
   */
  plaintext?: boolean
}

/**
 * BullMQ on Redis as the transport: workers are told of jobs at once, on whichever host they are, and ask nobody
 * meanwhile. The store stays the truth: without Redis jobs are found by looking, and nothing is lost with it.
 *
 * @param url `redis://user:password@host:6379/0`, or `rediss://…` with TLS
 * @returns what `createUntildone({ transport })` opens. Opening throws `transport-unsafe` where Redis would evict keys, is
 * older than 6.2, or is on another host and the address asks for no TLS, and `transport-away` where it
 * refuses user, password or number of the database; a Redis that is not there yet is waited for
 */
export function bullmq(url: string, options: BullmqOptions = {}): TransportFactory {
  const wrong = wrongAddress(url)
  if (wrong) throw new TypeError(`bullmq: ${wrong.what} ${wrong.fix}`)
  const { window, direct = true, plaintext = false } = options
  if (window !== undefined && !(Number.isInteger(window) && window > 0))
    throw new TypeError('bullmq: `window` is a whole number, 1 or more.')
  return { open: (env) => new BullmqTransport(url, { window, direct, plaintext }, env).open() }
}
