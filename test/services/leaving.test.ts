/** An application that was stopped ends its process, whatever has become of the services that it used. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { REDIS_NEEDS, type RedisServer, redisProgram, startRedis } from './redis.mjs'

let redis: RedisServer
beforeEach(async (context) => {
  if (!redisProgram()) return context.skip(REDIS_NEEDS)
  redis = await startRedis()
})
afterEach(async () => {
  await redis?.remove()
})

/** Longer than BullMQ waits before it looks for messages of the dead once more. */
const ENDS_WITHIN_MS = 8000

it('after stop() while Redis is gone', { timeout: 40_000 }, async () => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'leaving.mjs'), redis.url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise<number>((resolve) => child.once('exit', () => resolve(Date.now())))
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const said = async (text: string) => {
      for (;;) {
        const { value, done } = await lines.next()
        if (done) throw new Error(`It ended before it said "${text}".`)
        if (value === text) return
      }
    }
    await said('works')
    await redis.stop()
    await said('transport-away')
    child.stdin.write('stop\n')
    await said('stopped')
    const stopped = Date.now()
    const late = new Promise<number>((resolve) => setTimeout(resolve, ENDS_WITHIN_MS, Number.POSITIVE_INFINITY))
    expect((await Promise.race([ended, late])) - stopped).toBeLessThan(ENDS_WITHIN_MS)
  } finally {
    child.kill('SIGKILL')
    await ended
  }
})
