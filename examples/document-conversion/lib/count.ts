// How many things of a list are finished, told from inside of `job.map`. It must never count what is under way, and it counts
// what a former attempt finished, for which the function is not called again.

/**
 * `job.map` takes a list in its order: what lies before the highest one begun is finished unless it is under way. What threw
 * stays under way here; the end of the list is for the caller to tell.
 */
export function counting(report: (finished: number) => void) {
  let begun = 0
  let underWay = 0
  return async <T>(index: number, work: () => Promise<T>): Promise<T> => {
    begun = Math.max(begun, index + 1)
    underWay++
    const value = await work()
    underWay--
    report(begun - underWay)
    return value
  }
}
