/** Which Redis a command means. */
import type { CommandOption } from './command.js'
import type { Context } from './context.js'
import { CliError } from './failure.js'

export const REDIS_PLAINTEXT: CommandOption = {
  flags: '--redis-plaintext',
  text: 'the network to a Redis on another host is trusted, so that TLS is not needed (default: UNTILDONE_REDIS_PLAINTEXT=1, else refused)',
}

export const redisPlaintext = (context: Context, options: Record<string, any>): boolean =>
  options.redisPlaintext === true || context.io.env.UNTILDONE_REDIS_PLAINTEXT === '1'

/** @throws CliError `usage` when the address is none of Redis */
export function redisAddress(context: Context, options: Record<string, any>): string | undefined {
  const url: string | undefined = options.redis ?? (context.io.env.UNTILDONE_REDIS || undefined)
  if (url !== undefined && !/^rediss?:\/\//.test(url))
    throw new CliError('usage', 'The address of Redis must begin with redis:// or rediss://.', {
      fix: 'Like this: --redis redis://:password@host:6379. Without it, workers look for jobs themselves.',
    })
  return url
}
