/**
 * Durations: `'5m'` in user options, milliseconds inside. Pure.
 */

/** A duration as people write it: `'250ms'`, `'30s'`, `'5m'`, `'24h'`, `'7d'`, `'1h30m'`, or a number of milliseconds. */
export type Duration = string | number

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/**
 * Milliseconds of a duration.
 * @throws TypeError that names the accepted forms.
 */
export function parseDuration(value: Duration, what = 'duration'): number {
  if (typeof value === 'number') {
    if (Number.isFinite(value) && value >= 0) return Math.round(value)
  } else {
    let rest = value.trim()
    let total = 0
    let parts = 0
    while (rest) {
      const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*/.exec(rest)
      if (!match) break
      total += Number(match[1]) * UNITS[match[2]!]!
      rest = rest.slice(match[0].length)
      parts++
    }
    if (parts > 0 && rest === '') return Math.round(total)
  }
  throw new TypeError(`${what}: "${value}" is not a duration. Write for example '250ms', '30s', '5m', '24h' or '7d'.`)
}

/** The duration as people read it, two units at most: `1 m 40 s`, `412 ms`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  const whole = Math.max(0, Math.round(ms))
  if (whole < 1000) return `${whole} ms`
  if (whole < 10_000) return `${(whole / 1000).toFixed(1)} s`
  const seconds = Math.floor(whole / 1000)
  const units: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ]
  const first = units.findIndex(([n]) => n > 0)
  return units
    .slice(first, first + 2)
    .filter(([n], i) => i === 0 || n > 0)
    .map(([n, u]) => `${n} ${u}`)
    .join(' ')
}
