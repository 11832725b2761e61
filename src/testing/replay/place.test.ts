import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { placeIn, placeOf, textOf } from './place.js'

const OURS = fileURLToPath(new URL('./watch.ts', import.meta.url))

it.each([
  ['a function', 'at charge (/app/jobs/pay.ts:14:9)', '/app/jobs/pay.ts', 14],
  ['the top of a module', 'at /app/jobs/pay.ts:3:1', '/app/jobs/pay.ts', 3],
  ['an address', 'at file:///app/my%20jobs/pay.mjs:5:2', '/app/my jobs/pay.mjs', 5],
  ['after an await', 'at async charge (/app/jobs/pay.ts:14:9)', '/app/jobs/pay.ts', 14],
  ['a method by another name', 'at Bank.pay [as charge] (/app/jobs (old)/pay.ts:7:1)', '/app/jobs (old)/pay.ts', 7],
  ['Windows', 'at charge (C:\\app\\jobs\\pay.ts:14:9)', 'C:\\app\\jobs\\pay.ts', 14],
])('reads the frame of %s', (_, frame, file, line) => {
  expect(placeIn(`Error\n    ${frame}`)).toEqual({ file, line })
})

it("passes over Node's frames, packages and ours", () => {
  const stack = [
    'Error: at (/nowhere)',
    '    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)',
    '    at async Promise.all (index 0)',
    '    at query (/app/node_modules/pg/lib/client.js:5:1)',
    `    at ask (${OURS}:100:3)`,
    '    at async charge (/app/jobs/pay.ts:14:9)',
    '    at other (/app/jobs/other.ts:1:1)',
  ]
  expect(placeIn(stack.join('\n'))).toEqual({ file: '/app/jobs/pay.ts', line: 14 })
  expect(placeIn(stack.slice(0, 5).join('\n'))).toBeNull()
})

it('is given from the working directory when it is below', () => {
  expect(textOf(placeOf())).toMatch(/^src\/testing\/replay\/place\.test\.ts:\d+$/)
  expect(textOf({ file: '/elsewhere/a.ts', line: 1 })).toBe('/elsewhere/a.ts:1')
  expect(textOf(null)).toBe('an unknown place')
})
