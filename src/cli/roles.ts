/** What a process of `serve` does. */

/** `api` answers requests, `worker` runs jobs, `maintenance` does what must happen without anybody asking. */
export const ROLES = ['api', 'worker', 'maintenance'] as const
export type Role = (typeof ROLES)[number]
