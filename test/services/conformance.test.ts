import { describe, inject, it } from 'vitest'
import { postgres } from '../../src/stores/postgres/index.js'
import { storeConformance } from '../../src/testing/store-conformance/index.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')
let schemas = 0

if (url)
  storeConformance('PostgreSQL', () => postgres(url, { schema: `conformance_${process.pid}_${++schemas}` }), {
    skip: [
      {
        reason: 'several processes share it, so an opening says nothing of the others; their leases run out',
        tests: ['workers › after a restart of the one owner every former lease is void at once'],
      },
    ],
  })
else
  describe('PostgreSQL', () => {
    it('keeps the contract of a store', (context) => context.skip(POSTGRES_NEEDS))
  })
