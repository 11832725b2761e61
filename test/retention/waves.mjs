// Waves of jobs with a short retention on a clock that jumps: what a service of many months looks like to its disk.
// It must never touch rows itself: everything goes through the engine and the store's own chunks.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'

const MINUTE = 60_000
const RETENTION_MIN = 10
const CHUNK = 500
/** One input in so many is too large for its row. */
const LARGE_EVERY = 2_000
const AT_ONCE = 500

/**
 * @param {object} library `createUntildone`, `defineJob`, `sqlite`, `LOCAL`, from the build or from the sources
 * @param {{ jobs: number, waves: number, say?: (line: string) => void }} options
 * @returns sizes after each wave, what GET and the key answer for an expired job, what stayed, and the longest pause
 */
export async function waves({ createUntildone, defineJob, sqlite, LOCAL }, { jobs, waves: count, say = () => {} }) {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-retention-'))
  const clock = jumpingClock()
  let store
  // Tombstones live for two waves here, so that a plateau is one of everything and not of the jobs alone.
  const inner = sqlite(join(dir, 'jobs.db'), { tombstonesMs: 2 * (RETENTION_MIN + 1) * MINUTE })
  const kept = defineJob('retention.kept', { input: z.object({ text: z.string() }) })
  const app = await createUntildone({
    store: { open: async (env) => (store = await inner.open(env)) },
    handlers: [kept.handler({ retention: `${RETENTION_MIN}m` }, async () => null)],
    worker: { slots: 128 },
    clock,
    onError: (error) => say(String(error)),
  })
  await app.start()
  const later = await app.submit(kept, { text: 'for later' }, { runAt: new Date(clock.now() + 365 * 24 * 60 * MINUTE) })
  const rounds = []
  let last
  let longestMs = 0
  try {
    for (let wave = 1; wave <= count; wave++) {
      last = await oneWave(app, kept, Math.floor(jobs / count), wave)
      clock.jump((RETENTION_MIN + 1) * MINUTE)
      const began = performance.now()
      let removed = 0
      for (let n = -1; n !== 0; removed += n) {
        const chunk = performance.now()
        n = await store.expire(CHUNK)
        longestMs = Math.max(longestMs, performance.now() - chunk)
      }
      const ms = performance.now() - began
      const bytes = sizeOf(dir, 'jobs.db')
      const walBytes = sizeOf(dir, 'jobs.db-wal')
      rounds.push({ wave, removed, bytes, walBytes, msPerThousand: (ms / removed) * 1000 })
      say(
        `wave ${wave} of ${count}: ${removed} rows' jobs and tombstones removed, file ${mib(bytes)}, log ${mib(walBytes)}`,
      )
    }
    const again = { type: 'retention.kept', input: { text: 'keyed' } }
    return {
      rounds,
      longestMs,
      expired: await failure(() => app.engine.get(LOCAL, last.id)),
      key: await failure(() => app.engine.submit(LOCAL, again, last.key)),
      later: (await later.get()).status,
    }
  } finally {
    await app.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

async function oneWave(app, kept, jobs, wave) {
  const key = `wave-${wave}`
  const first = await app.submit(kept, { text: 'keyed' }, { key })
  for (let done = 1; done < jobs; done += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, jobs - done) }, async (_, i) => {
      const text = (done + i) % LARGE_EVERY === 0 ? 'x'.repeat(100_000) : 'x'.repeat(150)
      await (await app.submit(kept, { text })).result()
    })
    await Promise.all(some)
  }
  await first.result()
  return { id: first.id, key }
}

/** Real timers; the instant jumps when told. */
function jumpingClock() {
  let ahead = 0
  return {
    now: () => Date.now() + ahead,
    monotonic: () => performance.now(),
    after(ms, fn) {
      const timer = setTimeout(fn, Math.min(ms, 2 ** 31 - 1))
      timer.unref()
      return { cancel: () => clearTimeout(timer) }
    },
    jump(ms) {
      ahead += ms
    },
  }
}

async function failure(call) {
  try {
    return { code: 'none', answer: await call() }
  } catch (error) {
    return { code: error.code, params: error.params }
  }
}

function sizeOf(dir, name) {
  return statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0
}

export function mib(bytes) {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
