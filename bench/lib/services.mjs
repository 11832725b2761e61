// Private servers for figures that need them, with settings as in production: fsync and synchronous_commit on.

import { fork } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startPostgres } from '../../test/services/postgres.mjs'
import { startRedis } from '../../test/services/redis.mjs'

/** A PostgreSQL on the disk for the time of `use`. */
export async function withPostgres(use) {
  const server = await startPostgres({ settings: { shared_buffers: '512MB', max_wal_size: '4GB' } })
  try {
    return await use(server)
  } finally {
    await server.remove()
  }
}

/** A Redis that writes its log each second, as the guide of BullMQ advises, for the time of `use`. */
export async function withRedis(use) {
  const server = await startRedis({ settings: { appendonly: 'yes' } })
  try {
    return await use(server)
  } finally {
    await server.remove()
  }
}

/** Another process of the same system (member.mjs); `ask` answers what it says to one message. */
export async function member(role, url, { flags = [], ...more } = {}) {
  const child = fork(fileURLToPath(new URL('./member.mjs', import.meta.url)), [], {
    env: { ...process.env, MEMBER: JSON.stringify({ role, url, ...more }) },
    execArgv: flags,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const listeners = new Set()
  child.on('message', (message) => {
    for (const listener of listeners) listener(message)
  })
  const heard = (kind) =>
    new Promise((resolve) => {
      const listener = (message) => {
        if (message.kind !== kind) return
        listeners.delete(listener)
        resolve(message)
      }
      listeners.add(listener)
    })
  const up = heard('up')
  const gone = new Promise((_, reject) => child.once('exit', (code) => reject(new Error(`${role} ended with ${code}`))))
  gone.catch(() => {})
  await Promise.race([up, gone])
  return {
    onMessage(listener) {
      listeners.add(listener)
    },
    ask(message) {
      const answer = heard(`${message.kind}:done`)
      child.send(message)
      return Promise.race([answer, gone])
    },
    async stop() {
      child.send({ kind: 'stop' })
      await new Promise((resolve) => child.once('exit', resolve))
      await delay(0)
    },
  }
}
