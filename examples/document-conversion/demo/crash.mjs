// Crashes one engine, as a bug in native code would: waits until an unmodified page engine is at work and sends that
// process a real SIGSEGV. It finds the process from outside and must never have help from the product.
import { findEngines } from './find-engines.mjs'

/** @typedef {import('./find-engines.mjs').RunningEngine} RunningEngine */

const LOOK_EVERY_MS = 50
/** An engine that has run so long is past its start and has not refused its page. */
const AT_WORK_MS = 350

/**
 * Prefers page 3, so that pages before it are finished by then and could be repeated by mistake.
 * @param {() => number | null} pageCount null as long as it is not known
 * @param {(victim: RunningEngine) => void} onCrash
 * @returns {() => void} ends the search
 */
export function crashOneEngine(pageCount, onCrash) {
  /** @type {Map<number, number>} since when each engine has been seen */
  let seen = new Map()
  const timer = setInterval(() => {
    const running = findEngines(process.pid)
    const now = Date.now()
    seen = new Map(running.map(({ pid }) => [pid, seen.get(pid) ?? now]))
    const count = pageCount()
    const from = count === null ? 3 : Math.min(3, count)
    const victim = running.find(({ pid, page }) => page >= from && now - (seen.get(pid) ?? now) >= AT_WORK_MS)
    if (!victim) return
    try {
      process.kill(victim.pid, 'SIGSEGV')
    } catch {
      // It ended in this very moment; the next one will do.
      return
    }
    clearInterval(timer)
    onCrash(victim)
  }, LOOK_EVERY_MS)
  return () => clearInterval(timer)
}
