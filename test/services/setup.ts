/** One PostgreSQL for all files of this suite, each of which has schemas of its own. */
import type { TestProject } from 'vitest/node'
import { postgresPrograms, startPostgres } from './postgres.mjs'

declare module 'vitest' {
  interface ProvidedContext {
    postgres: string | null
  }
}

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const server = postgresPrograms() ? await startPostgres({ inMemory: true }) : null
  provide('postgres', server?.url ?? null)
  return async () => {
    await server?.remove()
  }
}
