export const REDIS_NEEDS: string
export function redisProgram(): string | null
export interface RedisServer {
  readonly url: string
  readonly port: number
  /** Lines of redis.conf by name, from the next start on. */
  settings: Record<string, string | number>
  start(): Promise<void>
  signal(name: NodeJS.Signals): void
  stop(how?: 'kill' | 'orderly'): Promise<void>
  /** Comes back with what was saved, which is nothing unless `save` was set. */
  restart(how?: 'kill' | 'orderly'): Promise<void>
  /** One command over a connection of its own, as `redis-cli` would send it. */
  command(...words: (string | number)[]): Promise<any>
  remove(): Promise<void>
}
export function startRedis(options?: { settings?: Record<string, string | number> }): Promise<RedisServer>
