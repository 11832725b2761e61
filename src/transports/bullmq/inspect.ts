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
    if (server.facts === null || server.latencyMs === null) throw new UntildoneError('transport-away')
    const { facts, location, latencyMs, overheard } = server
    return { ...facts, location, latencyMs, overheard }
  } finally {
    server.close()
  }
}
