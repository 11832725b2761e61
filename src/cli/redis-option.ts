/** Which Redis a command means. */
import { wrongAddress } from '../transports/bullmq/address.js'
import type { CommandOption } from './command.js'
import type { Context } from './context.js'
import { CliError } from './failure.js'

export const REDIS_PLAINTEXT: CommandOption = {
  flags: '--redis-plaintext',
  text: 'the network to a Redis on another host is trusted, so that TLS is not needed (default: UNTILDONE_REDIS_PLAINTEXT=1, else refused)',
}

export const redisPlaintext = (context: Context, options: Record<string, any>): boolean =>
  options.redisPlaintext === true || context.io.env.UNTILDONE_REDIS_PLAINTEXT === '1'

/** @throws CliError `usage` when it cannot be the address of a Redis */
export function redisAddress(context: Context, options: Record<string, any>): string | undefined {
  const url: string | undefined = options.redis ?? (context.io.env.UNTILDONE_REDIS || undefined)
  const wrong = url === undefined ? null : wrongAddress(url)
  if (wrong) throw new CliError('usage', wrong.what, { fix: wrong.fix })
  return url
}
