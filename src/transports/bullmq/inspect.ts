/** One look at a Redis server, for `doctor`: whether it is there, fit for the transport, and how fast. */
import type { Clock } from '../../core/clock.js'
import { UntildoneError } from '../../core/errors.js'
import { RedisServer, type ServerFacts } from './server.js'

/** @throws UntildoneError `transport-unsafe`, `transport-away` */
export async function inspectRedis(
  url: string,
  clock: Clock,
): Promise<ServerFacts & { location: string; latencyMs: number; overheard: boolean }> {
  const server = new RedisServer(url, clock, '{ud:doctor}:probe')
  try {
    await server.open()
    if (server.away) throw server.away.error
    const { facts, location, overheard } = server
    if (facts === null) throw new UntildoneError('transport-away')
    return { ...facts, location, latencyMs: await server.measure(), overheard }
  } finally {
    server.close()
  }
}
