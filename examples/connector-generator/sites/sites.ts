// The three documentation sites of this example, each with a running API of its own way: Harbor (an OpenAPI document,
// API key, numbered pages), Ledger (HTML prose only, bearer token, cursors) and Opal (names its objects, not their fields).
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Field } from './record-api.js'
import type { Site, SitePage } from './serve.js'

const TYPES: Record<string, string> = { html: 'text/html; charset=utf-8', yaml: 'application/yaml', txt: 'text/plain' }

export const HARBOR_KEY = 'harbor-demo-key'
export const LEDGER_TOKEN = 'ledger-demo-token'

const fixed = (type: Field['type']): Field => ({ type, readonly: true })
const text: Field = { type: 'string' }

export function harbor(): Site {
  return {
    name: 'Harbor Desk',
    pages: pagesOf('harbor'),
    api: {
      base: '/api/v1',
      auth: { kind: 'header', name: 'X-Harbor-Key', value: HARBOR_KEY },
      paging: { kind: 'page', page: 'page', size: 'per_page', first: 1 },
      answer: { items: ['data'], total: ['meta', 'total'], pages: ['meta', 'pages'] },
      update: 'PATCH',
      maxSize: 10,
      collections: {
        accounts: {
          id: 'id',
          fields: {
            id: fixed('string'),
            name: { type: 'string', required: true },
            email: { type: 'string', required: true },
            tier: { type: 'string', values: ['basic', 'plus', 'premium'] },
            seats: { type: 'integer' },
            active: { type: 'boolean' },
            tags: { type: 'array' },
            created_at: fixed('string'),
          },
          records: Array.from({ length: 27 }, (_, i) => ({
            id: `acc-${i + 1}`,
            name: `Harbor account ${i + 1}`,
            email: `owner${i + 1}@harbor.example`,
            tier: ['basic', 'plus', 'premium'][i % 3],
            seats: i + 1,
            active: i % 4 !== 0,
            tags: i % 2 === 0 ? ['eu'] : [],
            created_at: `2026-01-${String(i + 1).padStart(2, '0')}T08:00:00Z`,
          })),
        },
        tickets: {
          id: 'id',
          fields: {
            id: fixed('integer'),
            account_id: { type: 'string', required: true },
            subject: { type: 'string', required: true },
            priority: { type: 'string', values: ['low', 'normal', 'urgent'] },
            opened_on: fixed('string'),
          },
          records: Array.from({ length: 4 }, (_, i) => ({
            id: i + 1,
            account_id: `acc-${i + 1}`,
            subject: `Question ${i + 1}`,
            priority: 'normal',
            opened_on: '2026-02-01',
          })),
        },
      },
    },
  }
}

export function ledger(): Site {
  return {
    name: 'Ledger',
    pages: pagesOf('ledger'),
    api: {
      base: '/v2',
      auth: { kind: 'bearer', value: LEDGER_TOKEN },
      paging: { kind: 'cursor', cursor: 'cursor', size: 'limit' },
      answer: { items: ['customers'], next: ['paging', 'next_cursor'] },
      update: 'PUT',
      maxSize: 8,
      collections: {
        customers: {
          id: 'customer_id',
          fields: {
            customer_id: fixed('string'),
            company: { type: 'string', required: true },
            vat_number: text,
            currency: { type: 'string', required: true, values: ['EUR', 'USD', 'CHF'] },
            credit_limit: { type: 'number' },
            blocked: { type: 'boolean' },
            balance: fixed('number'),
            opened: fixed('string'),
          },
          records: Array.from({ length: 19 }, (_, i) => ({
            customer_id: `C-${1000 + i}`,
            company: `Ledger customer ${i + 1}`,
            vat_number: `DE${100000 + i}`,
            currency: ['EUR', 'USD', 'CHF'][i % 3],
            credit_limit: 500.5 + i,
            blocked: false,
            balance: 12.25 * i,
            opened: '2025-11-03',
          })),
        },
      },
    },
  }
}

export function opal(): Site {
  return {
    name: 'Opal CRM',
    pages: pagesOf('opal'),
    api: {
      base: '/rest',
      auth: { kind: 'basic', user: 'opal', password: 'opal' },
      paging: { kind: 'none' },
      answer: { items: ['accounts'] },
      update: 'PUT',
      maxSize: 10,
      collections: { accounts: { id: 'id', fields: { id: fixed('string') }, records: [] } },
    },
  }
}

/** The files of a folder by their path; `index.html` stands for its folder. */
function pagesOf(folder: string): Record<string, SitePage> {
  const root = fileURLToPath(new URL(folder, import.meta.url))
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(
    files.map((entry) => {
      const file = join(entry.parentPath, entry.name)
      const path = file.slice(root.length).replace(/(index)?\.html$/, '')
      const extension = entry.name.split('.').at(-1) ?? ''
      return [
        path === '/' ? '/' : path.replace(/\/$/, ''),
        { type: TYPES[extension] ?? 'text/plain', body: readFileSync(file, 'utf8') },
      ]
    }),
  )
}
