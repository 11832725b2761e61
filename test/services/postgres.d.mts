export const POSTGRES_NEEDS: string
export function postgresPrograms(): string | null
export function freePort(): Promise<number>
export interface PostgresServer {
  readonly url: string
  readonly port: number
  readonly data: string
  readonly log: string
  start(): Promise<void>
  signal(name: NodeJS.Signals): void
  stop(how?: 'fast' | 'crash' | 'kill'): Promise<void>
  restart(how?: 'fast' | 'crash' | 'kill'): Promise<void>
  remove(): Promise<void>
}
export function startPostgres(options?: {
  settings?: Record<string, string | number>
  inMemory?: boolean
}): Promise<PostgresServer>
