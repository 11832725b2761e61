/** How long a worker's word counts. Here because who shows workers must know it as well as the worker that keeps it. */

/** A renewed lease counts for so long; nobody takes a job from its worker before it has run out. */
export const LEASE_MS = 30_000
