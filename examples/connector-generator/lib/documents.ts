// Documents of a session: how one is kept, and which ones a session has. Contents are kept by their hash, and belong to a
// session only once a job has put them there.
import { createHash } from 'node:crypto'
import { Permanent } from 'untildone'
import { z } from 'zod'
import { chunksOf } from './docs/chunks.js'
import { readDocument, type Source } from './docs/read-document.js'
import { factsOf } from './extract/extractor.js'
import { countFacts } from './extract/facts.js'
import type { Parts } from './parts.js'

export const documentSchema = z.object({
  url: z.string(),
  title: z.string(),
  kind: z.enum(['openapi', 'text']),
  chunks: z.int(),
  /** What was learned from it at first sight. */
  facts: z.int(),
  sha256: z.string(),
})
export type KeptDocument = z.output<typeof documentSchema>

/** @throws Permanent `not-relevant`, `openapi-broken` */
export function keepDocument(source: Source, { sessions }: Parts): KeptDocument {
  const { documentation } = readDocument(source)
  const chunks = chunksOf(documentation)
  const facts = chunks.reduce((sum, chunk) => sum + countFacts(factsOf(chunk)), 0)
  if (facts === 0) throw new Permanent('It says nothing about an API.', { code: 'not-relevant' })
  const sha256 = createHash('sha256').update(JSON.stringify(documentation)).digest('hex')
  sessions.keep(sha256, documentation)
  const { url, title, kind } = documentation
  return { url, title, kind, chunks: chunks.length, facts, sha256 }
}

/** All documents of a session; of an address that was read twice the later one. */
export function documentsOf(sessionId: string, { sessions }: Parts): KeptDocument[] {
  const parts = sessions.parts<{ documents: KeptDocument[] }>(sessionId, 'documentation')
  const all = parts.flatMap(({ value }) => value.documents)
  return [...new Map(all.map((document) => [document.url, document])).values()]
}
