/**
 * Waiting for a condition in tests. The only place that polls; everything else waits on promises and clocks.
 */

/**
 * Resolves with the condition's value as soon as it is truthy; asks once per turn of the loop.
 * @throws Error that quotes `what` after `timeoutMs` of real time
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  what = 'the condition',
  timeoutMs = 10_000,
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value) return value as Exclude<T, false | null | undefined | 0 | ''>
    if (performance.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}.`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
