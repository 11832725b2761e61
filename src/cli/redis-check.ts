/** What `doctor --redis` says of the Redis server behind a transport, seen from this machine. */
import { systemClock } from '../system/index.js'
import { inspectRedis } from '../transports/bullmq/inspect.js'
import { bad, type Check, note, ok } from './checks.js'

const SLOW_MS = 20
const OPEN_FIX =
  'serve refuses it unless --redis-plaintext says that the network between is trusted. Else: an address that begins with rediss://.'

export async function redisCheck(url: string): Promise<Check[]> {
  const what = 'Redis'
  try {
    const { location, version, eviction, latencyMs, overheard } = await inspectRedis(url, systemClock)
    const ms = latencyMs < 1 ? latencyMs.toFixed(2) : Math.round(latencyMs)
    const text = `${version} at ${location}, ${eviction}; a write takes ${ms} ms`
    const slow = 'Each job waits for two or three of them: run it nearer to the workers.'
    const open = `${version} at ${location} on another host, without TLS`
    return [
      latencyMs > SLOW_MS ? note(what, text, slow) : ok(what, text),
      ...(overheard ? [note('Redis network', open, OPEN_FIX)] : []),
    ]
  } catch (error) {
    const { message, fix = 'Give an address as redis://user:password@host:6379.' } = error as Error & { fix?: string }
    return [bad(what, message, fix)]
  }
}
