/** One vocabulary: no text of the API says a status in other words than the six. */
import { expect, test } from 'vitest'
import { PROBLEMS, STATUSES } from '../core/index.js'
import { FORBIDDEN } from '../engine/story/fixtures/forbidden.js'
import { buildOpenapi } from './openapi.js'
import { routes } from './routes/index.js'

const document = buildOpenapi(routes, { base: '', version: '1.2.3' }) as any

/** Texts for people; names and values in code are those of the wire. */
function textsIn(value: unknown, path = ''): [string, string][] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]): [string, string][] => {
    const here = `${path}/${name}`
    if (typeof member === 'string' && /^(summary|description|title|detail|fix)$/.test(name))
      return [[here, member.replace(/```[\s\S]*?```|`[^`]*`/g, '')]]
    return textsIn(member, here)
  })
}

test('the OpenAPI document and the problems speak of jobs in the six words', () => {
  const texts = [...textsIn(document), ...textsIn(PROBLEMS, 'problems')]
  expect(texts.length).toBeGreaterThan(300)
  expect(texts.filter(([, text]) => FORBIDDEN.test(text))).toEqual([])
  expect(document.components.schemas.Status.enum).toEqual([...STATUSES])
})

test('would find another one', () => {
  expect(textsIn({ a: [{ description: 'The job succeeded.' }] }).filter(([, text]) => FORBIDDEN.test(text))).toEqual([
    ['/a/0/description', 'The job succeeded.'],
  ])
})
