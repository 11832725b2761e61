// What was cleaned up behind children since this process began; for metrics and `doctor`.
// Counts only; must never decide anything.

export interface ProcessTotals {
  /** Children started and ended. */
  runs: number
  /** Core files and their bytes. */
  cores: number
  coreBytes: number
  /** Private directories of dead supervisors and their bytes. */
  workDirs: number
  workDirBytes: number
  /** Temporary files removed by `sweepFiles`, and their bytes. */
  files: number
  fileBytes: number
  /** Processes that had left their group and were killed after the end of the child. */
  escaped: number
  /** Processes of dead supervisors that were killed. */
  abandoned: number
  /** Private directories that could not be removed, processes that outlived their KILL. */
  left: number
  /** Children that were not started because the disk was nearly full. */
  refusedForDisk: number
}

export const totals: ProcessTotals = {
  runs: 0,
  cores: 0,
  coreBytes: 0,
  workDirs: 0,
  workDirBytes: 0,
  files: 0,
  fileBytes: 0,
  escaped: 0,
  abandoned: 0,
  left: 0,
  refusedForDisk: 0,
}

/** A copy of the counters. */
export function processTotals(): ProcessTotals {
  return { ...totals }
}
