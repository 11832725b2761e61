/** What the dev console and its child say to each other. Types only; everything is plain JSON. */
import type { WireJob } from '../../core/wire.js'
import type { Failure } from '../failure.js'

export interface ChildSettings {
  cwd: string
  jobsDir: string
  facadesFile: string | null
  dataDir: string
  port: number
  slots: number
}

export interface JobTypeLine {
  type: string
  file: string
  stages: number
  withinMs: number
  inputSchema: unknown
}

export type FromChild =
  | {
      kind: 'ready'
      url: string
      store: string
      jobs: JobTypeLine[]
      broken: Failure[]
      facades: readonly string[]
      recovered: number
      folders: string[]
    }
  /** It could not start, and starting it again would not help. */
  | { kind: 'failed'; failure: Failure }
  /** A job changed; as operators see it, without its result. `tries`: as people count them, null at the first attempt. */
  | { kind: 'job'; job: WireJob; tries: number | null }
  /** Too many changes at once to show them all. */
  | { kind: 'skipped'; changes: number }
  | { kind: 'reloaded'; jobs: JobTypeLine[]; broken: Failure[] }
  /** The new job files as a whole cannot be used; the old ones go on. */
  | { kind: 'not-reloaded'; failure: Failure }
  | { kind: 'trouble'; message: string }
  | { kind: 'stopping'; running: number }

export type ToChild = { kind: 'stop' }
