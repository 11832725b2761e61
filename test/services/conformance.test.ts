import { describe, inject, it } from 'vitest'
import { storeConformance } from '../../src/testing/store-conformance/index.js'
import { freshStores } from './fresh.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')

if (url)
  storeConformance('PostgreSQL', freshStores(url), {
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
