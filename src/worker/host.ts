/** What this host says about children, for /readyz and `doctor`: whether they can be started, and what was swept. */
import { diskOf, processTotals, workRoot } from '../process/index.js'

/** `disk-low`: jobs are accepted, steps with children wait; it is over as soon as there is room. */
export async function hostChecks(): Promise<Record<string, string>> {
  const { low } = await diskOf(workRoot())
  return { children: low ? 'disk-low' : 'ok' }
}

/** Counters by the names under which `doctor` and metrics show them. */
export function hostNumbers(): Record<string, number> {
  return Object.fromEntries(
    Object.entries(processTotals()).map(([name, value]) => [
      `children${name[0]!.toUpperCase()}${name.slice(1)}`,
      value,
    ]),
  )
}
