// Documentation cut into pieces of bearable size. A chunk is known by the hash of its content, so that a later attempt
// finds what was recorded of it, whatever happened to the documents in between.

import { shortHash } from '../web/fetch-page.js'
import type { Block } from './blocks.js'
import { resolveRefs } from './openapi-refs.js'
import type { Documentation } from './read-document.js'

const CHUNK_CHARS = 6000

export type Chunk = { id: string; url: string; title: string } & (
  | { kind: 'text'; blocks: Block[] }
  /** One path of an OpenAPI document, with all that it refers to. */
  | {
      kind: 'openapi'
      path: string
      item: Record<string, any>
      servers: any[]
      security: any[]
      schemes: Record<string, any>
    }
)

export function chunksOf(documentation: Documentation): Chunk[] {
  const { url, title } = documentation
  const parts = documentation.kind === 'openapi' ? pathsOf(documentation.spec) : sectionsOf(documentation.blocks)
  return parts.map((part) => ({ id: shortHash(JSON.stringify([url, part])), url, title, ...part }) as Chunk)
}

function pathsOf(spec: Record<string, any>) {
  const schemes = resolveRefs(spec, spec.components?.securitySchemes ?? {}) as Record<string, any>
  return Object.entries<any>(spec.paths ?? {}).map(([path, item]) => ({
    kind: 'openapi' as const,
    path,
    item: resolveRefs(spec, item) as Record<string, any>,
    servers: item.servers ?? spec.servers ?? [],
    security: spec.security ?? [],
    schemes,
  }))
}

/** Sections of the second level are kept together as far as they fit; a block is never cut. */
function sectionsOf(blocks: readonly Block[]) {
  const parts: { kind: 'text'; blocks: Block[] }[] = []
  let size = 0
  let section = ''
  for (const block of blocks) {
    const chars = JSON.stringify(block).length
    const here = block.path.slice(0, 2).join('\n')
    const last = parts.at(-1)
    if (last && size + chars <= CHUNK_CHARS && (here === section || size < CHUNK_CHARS / 4)) {
      last.blocks.push(block)
      size += chars
    } else {
      parts.push({ kind: 'text', blocks: [block] })
      size = chars
    }
    section = here
  }
  return parts
}
