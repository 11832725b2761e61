/**
 * What core, engine and stores need from the outside world, as interfaces: time, randomness, ids, hashing.
 * The real ones are in `system/`; tests bring their own. Nothing here reads a clock.
 */

/** A timer that can be taken back. */
export interface Timer {
  cancel(): void
}

/** The one source of instants and timers of a process. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Milliseconds from an arbitrary start, never going back. */
  monotonic(): number
  /** Set where it is the machine's own: a database that several machines share then corrects it by the time it has. */
  readonly machine?: true
  /** Calls `fn` once after `ms` milliseconds. The timer does not keep the process alive. */
  after(ms: number, fn: () => void): Timer
  /** Keeps the process alive until it is cancelled: whoever waits for timers alone needs it. */
  keepAlive(): Timer
}

/** Ids, secrets, jitter and hashing. */
export interface Entropy {
  /** A new job id: UUIDv7 (RFC 9562), lower case, monotonic within the process. */
  jobId(): string
  /** `bytes` random bytes as base64url; for secrets and file ids. */
  token(bytes: number): string
  /** Uniform in [0, 1). */
  random(): number
  /** SHA-256 of a text or bytes, as lower-case hexadecimal. */
  sha256(data: string | Uint8Array): string
}
