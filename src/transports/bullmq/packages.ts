/** `bullmq` and `ioredis` are optional peers: whoever needs no transport installs neither. */
import { createRequire } from 'node:module'
import { UntildoneError } from '../../core/errors.js'

type Bullmq = Pick<typeof import('bullmq'), 'Queue' | 'Worker'>
type Ioredis = Pick<typeof import('ioredis'), 'Redis'>

let found: (Bullmq & Ioredis) | null = null

/** @throws UntildoneError `transport-unsafe` when one of them is not installed */
export function packages(): Bullmq & Ioredis {
  if (found) return found
  const require = createRequire(import.meta.url)
  try {
    const { Queue, Worker } = require('bullmq') as Bullmq
    const { Redis } = require('ioredis') as Ioredis
    found = { Queue, Worker, Redis }
    return found
  } catch (cause) {
    throw new UntildoneError('transport-unsafe', `BullMQ cannot be loaded (${(cause as Error).message}).`, {
      params: { reason: 'no-driver' },
      fix: 'Install what it needs beside untildone: `npm install bullmq ioredis`.',
      cause,
    })
  }
}
