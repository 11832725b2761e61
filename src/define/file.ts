/**
 * Files in inputs and results: a field marked `file()` holds the id that POST /v1/files answered with.
 * Submit refuses unknown, foreign and expired ids and keeps the file as long as the job.
 */
import { z } from 'zod'
import { FILE_ID, isFileId } from '../core/file-id.js'

/** JSON Schema `format` that marks a file id; use it in raw JSON Schemas. */
export const FILE_FORMAT = 'untildone-file'

/** A field that refers to an uploaded file: `z.object({ pdf: file() })`. Its value is the file's id. */
export function file() {
  return z
    .string()
    .regex(FILE_ID, 'must be the id of an uploaded file, like file_…; upload it with POST /v1/files')
    .meta({ format: FILE_FORMAT })
}

/** Ids in all places of `value` that the JSON Schema marks as a file. Follows properties, items and combined schemas. */
export function filesIn(schema: unknown, value: unknown, root: unknown = schema, depth = 0): string[] {
  if (typeof schema !== 'object' || schema === null || depth > 64) return []
  const node = schema as Record<string, any>
  const found: string[] = []
  if (typeof node.$ref === 'string' && node.$ref.startsWith('#/')) {
    const target = node.$ref
      .slice(2)
      .split('/')
      .reduce((at: any, key: string) => at?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], root)
    found.push(...filesIn(target, value, root, depth + 1))
  }
  if (node.format === FILE_FORMAT && isFileId(value)) found.push(value)
  for (const combined of [node.anyOf, node.oneOf, node.allOf]) {
    if (Array.isArray(combined)) for (const part of combined) found.push(...filesIn(part, value, root, depth + 1))
  }
  if (Array.isArray(value)) {
    value.forEach((item, i) => {
      found.push(...filesIn(node.prefixItems?.[i] ?? node.items, item, root, depth + 1))
    })
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      found.push(...filesIn(node.properties?.[key] ?? node.additionalProperties, item, root, depth + 1))
    }
  }
  return [...new Set(found)]
}
