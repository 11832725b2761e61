// The record of a session: what its jobs have found so far, part by part, each with the job that it is from. Every write
// brings the key of its step and is durable when it returns; the same key again changes nothing.
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from '@photostructure/sqlite'
import type { Documentation } from './docs/read-document.js'

export interface Part<T = any> {
  /** What it is: `candidateLinks`, `documentation`, `objectClass:Account`, `connector`. */
  part: string
  jobId: string
  jobType: string
  at: string
  value: T
}

export interface Session {
  sessionId: string
  createdAt: string
  updatedAt: string
  /** The latest of each kind; of `documentation` all that are still part of it. */
  parts: Part[]
}

interface Write {
  sessionId: string
  part: string
  jobId: string
  jobType: string
  /** Of the step that writes. */
  key: string
  value: unknown
}

const SCHEMA = `
  create table if not exists parts (
    seq integer primary key, session text not null, part text not null, job text not null, type text not null,
    key text not null unique, at text not null, value text not null
  );
  create index if not exists parts_of_session on parts (session, part, seq);
  create table if not exists documents (sha256 text primary key, content text not null);
`

/** Parts of which a session may hold several at once, by what makes two of them the same. */
const MANY = new Set(['documentation'])

export class Sessions {
  private readonly database: InstanceType<typeof DatabaseSync>

  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true })
    this.database = new DatabaseSync(path)
    this.database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma busy_timeout = 5000')
    this.database.exec(SCHEMA)
  }

  put({ sessionId, part, jobId, jobType, key, value }: Write): void {
    this.database
      .prepare(
        `insert into parts (session, part, job, type, key, at, value) values (?, ?, ?, ?, ?, ?, ?)
         on conflict (key) do nothing`,
      )
      .run(sessionId, part, jobId, jobType, key, new Date().toISOString(), JSON.stringify(value))
  }

  read(sessionId: string): Session | null {
    const rows = this.database.prepare('select * from parts where session = ? order by seq').all(sessionId) as any[]
    if (rows.length === 0) return null
    const latest = new Map<string, Part>()
    for (const { seq, part, job, type, at, value } of rows)
      latest.set(MANY.has(part) ? `${part} ${seq}` : part, {
        part,
        jobId: job,
        jobType: type,
        at,
        value: JSON.parse(value),
      })
    return { sessionId, createdAt: rows[0].at, updatedAt: rows.at(-1).at, parts: [...latest.values()] }
  }

  parts<T>(sessionId: string, part: string): Part<T>[] {
    return this.read(sessionId)?.parts.filter((one) => one.part === part) ?? []
  }

  /** Contents are kept by their hash: nothing refers to one before a job has put it into its session. */
  keep(sha256: string, documentation: Documentation): void {
    this.database
      .prepare('insert into documents (sha256, content) values (?, ?) on conflict (sha256) do nothing')
      .run(sha256, JSON.stringify(documentation))
  }

  document(sha256: string): Documentation | null {
    const row = this.database.prepare('select content from documents where sha256 = ?').get(sha256) as any
    return row ? JSON.parse(row.content) : null
  }

  close(): void {
    this.database.close()
  }
}
