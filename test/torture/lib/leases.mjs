/**
 * The times of the leases, shortened in a copy of the library (`variant.mjs`), so that rescues happen while somebody looks.
 * For the torture over PostgreSQL and for test/services.
 */
export const LEASE_MS = 5000
export const SHORT_LEASES = [
  ['core/lease.js', 'LEASE_MS = 30_000', `LEASE_MS = ${LEASE_MS}`],
  ['worker/lease.js', 'HEARTBEAT_MS = 5_000', 'HEARTBEAT_MS = 800'],
  ['worker/lease.js', 'SELF_FENCE_MS = 20_000', 'SELF_FENCE_MS = 3300'],
  ['worker/lease.js', 'STALL_MS = 10_000', 'STALL_MS = 2000'],
  ['worker/maintenance.js', 'REAP_MS = 5000', 'REAP_MS = 500'],
  ['worker/maintenance.js', 'LEAD_MS = 6000', 'LEAD_MS = 1500'],
  ['worker/maintenance.js', 'HEAL_MS = 5000', 'HEAL_MS = 1000'],
]
