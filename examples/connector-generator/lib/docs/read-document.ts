// What a page or an upload is: an OpenAPI document in whichever version and notation, or text in blocks. Decided by the
// content; what the server says of it only helps.
import { normalize, upgrade } from '@scalar/openapi-parser'
import { Permanent } from 'untildone'
import type { Block } from './blocks.js'
import { fromHtml, type HtmlPage } from './from-html.js'
import { fromMarkdown } from './from-markdown.js'

export interface Source {
  url: string
  contentType: string
  body: string
}

export type Documentation = { url: string; title: string } & (
  | { kind: 'openapi'; spec: Record<string, any> }
  | { kind: 'text'; blocks: Block[] }
)

export function readDocument(source: Source): { documentation: Documentation; links: HtmlPage['links'] } {
  const { url, body } = source
  const spec = openApiOf(body)
  if (spec) {
    const title = String(spec.info?.title ?? url)
    return { documentation: { url, title, kind: 'openapi', spec }, links: [] }
  }
  if (looksLikeHtml(source)) {
    const { title, blocks, links } = fromHtml(body, url)
    return { documentation: { url, title, kind: 'text', blocks }, links }
  }
  const blocks = fromMarkdown(body)
  const title = blocks[0]?.path[0] ?? url
  return { documentation: { url, title, kind: 'text', blocks }, links: [] }
}

/**
 * The document as OpenAPI 3.1, or null if it is none.
 * @throws Permanent `openapi-broken` for one that says it is and cannot be read
 */
function openApiOf(body: string): Record<string, any> | null {
  if (!/^\s*(\{|openapi\s*:|swagger\s*:|#|---|info\s*:)/.test(body) || !/["']?(openapi|swagger)["']?\s*:/.test(body))
    return null
  try {
    const parsed = normalize(body) as Record<string, any> | undefined
    if (!parsed || typeof parsed !== 'object' || !(parsed.openapi ?? parsed.swagger)) return null
    return upgrade(parsed).specification as Record<string, any>
  } catch (cause) {
    if (!/^\s*(\{|openapi\s*:|swagger\s*:)/.test(body)) return null
    throw new Permanent(`The OpenAPI document cannot be read: ${cause instanceof Error ? cause.message : cause}`, {
      code: 'openapi-broken',
      cause,
    })
  }
}

function looksLikeHtml({ contentType, body }: Source): boolean {
  return /\bhtml\b/.test(contentType) || /^\s*(<!doctype html|<html)/i.test(body)
}
