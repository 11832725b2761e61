// Sums over samples. Imports nothing, so that the process that makes the load stays small.

/** @param {number[]} sorted */
export const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))]

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Largest distance of a run from the median, in percent. */
export function spread(values) {
  const middle = median(values)
  return middle === 0 ? 0 : Math.round((Math.max(...values.map((value) => Math.abs(value - middle))) / middle) * 100)
}
