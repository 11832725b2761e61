/** What is finished is forgotten in time: the file stops growing, and whoever asks is told so with 410. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accepted, newLive } from '../../src/core/index.js'
import { createUntildone, defineJob, file, LOCAL, Review } from '../../src/index.js'
import { createServer } from '../../src/server/index.js'
import { SqliteDriver } from '../../src/stores/sqlite/driver.js'
import { sqliteWith } from '../../src/stores/sqlite/open.js'
import { TestClock } from '../../src/testing/index.js'
import { ask, RETENTION, retention, STEADY } from './scenario.mjs'

const product = {
  ...{ accepted, newLive, createUntildone, defineJob, file, LOCAL, Review },
  ...{ createServer, SqliteDriver, sqliteWith, TestClock },
}
const WAVES = 12
const JOBS = 500

describe('retention', () => {
  const folder = mkdtempSync(join(tmpdir(), 'untildone-retention-'))
  let world: Awaited<ReturnType<typeof retention>>

  beforeAll(async () => {
    world = await retention(product, { folder, waves: WAVES, jobsPerWave: JOBS })
  }, 120_000)
  afterAll(async () => {
    await world?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('the file and its log stop growing, however many jobs come', () => {
    const total = ({ bytes, walBytes }: { bytes: number; walBytes: number }) => bytes + walBytes
    const steady = total(world.samples[STEADY]!)
    // It is within 0.3 %; tombstones that stay alone make it 10 % more by the last wave.
    for (const sample of world.samples.slice(STEADY)) expect(total(sample)).toBeLessThanOrEqual(steady * 1.05)
    // It did grow until then; the log is given back by the sweeps and says nothing about that.
    expect(world.samples[STEADY]!.bytes).toBeGreaterThan(world.samples[0]!.bytes)
    expect(world.errors).toEqual([])
  })

  it('the bytes of files go as well', () => {
    // Kept with their jobs, then a grace: files of four waves at most. Bytes are removed beside the clock, so the count of
    // one moment may be that of a sweep half done.
    const most = 4 * (JOBS / 500)
    for (const { files } of world.samples.slice(STEADY)) {
      expect(files).toBeGreaterThan(0)
      expect(files).toBeLessThanOrEqual(most)
    }
  })

  it('of a finished job the result is kept for its time', async () => {
    const { id } = world.firsts[WAVES - 1]!
    expect(await ask(world, `/v1/jobs/${id}`)).toMatchObject({ status: 200, body: { status: 'completed' } })
  })

  it('afterwards GET and its idempotency key answer 410 and how it ended', async () => {
    const { id, key } = world.firsts[WAVES - 3]!
    const gone = { status: 410, body: { code: 'job-expired', params: { jobId: id, finalStatus: 'completed' } } }
    expect(await ask(world, `/v1/jobs/${id}`)).toMatchObject(gone)
    expect(await ask(world, `/v1/jobs/${id}/result`)).toMatchObject(gone)
    const body = { type: 'work', input: { text: 'lorem ipsum dolor sit amet '.repeat(6) } }
    expect(await ask(world, '/v1/jobs', { body, key })).toMatchObject(gone)
  })

  it('the tombstone goes in its turn: then the job is unknown and the key is free', async () => {
    const { id, key } = world.firsts[0]!
    expect(await ask(world, `/v1/jobs/${id}`)).toMatchObject({ status: 404, body: { code: 'job-not-found' } })
    const body = { type: 'work', input: { text: 'again' } }
    const again = await ask(world, '/v1/jobs', { body, key })
    expect(again.status).toBe(202)
    expect(again.body.id).not.toBe(id)
  })

  it('unfinished jobs stay, and what a kept replay came from', async () => {
    const { blocked, scheduled, origin, replay } = world.kept
    const statusOf = async (id: string) => (await ask(world, `/v1/jobs/${id}`)).body.status
    expect(await statusOf(blocked)).toBe('blocked')
    expect(await statusOf(scheduled)).toBe('accepted')
    expect(await statusOf(replay)).toBe('accepted')
    expect(await statusOf(origin)).toBe('completed')
    expect(world.clock.now()).toBeGreaterThan(RETENTION.jobs + RETENTION.tombstones)
  })
})
