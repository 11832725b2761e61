import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Doorbell } from './doorbell.js'

it('a certificate that is not there at the moment is tried again, and ends nothing', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-bell-'))
  const failed: unknown[] = []
  const listen = (error: unknown) => void failed.push(error)
  process.on('unhandledRejection', listen)
  const bell = new Doorbell(`postgres://x@127.0.0.1:1/x?sslmode=verify-full&sslrootcert=${dir}/ca.crt`, {}, () => {})
  try {
    bell.listen(() => {})
    // A rejection that nobody hears is told when the turn is over.
    await delay(0)
    expect(failed).toEqual([])
    expect(bell.works).toBe(false)
  } finally {
    await bell.close()
    process.off('unhandledRejection', listen)
    rmSync(dir, { recursive: true })
  }
})
