/** The written pages: generated parts and snippets are those of the present code, links lead somewhere. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

it('the pages are what scripts/docs.mjs makes of them', async () => {
  const script = join(import.meta.dirname, '../../scripts/docs.mjs')
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--check']).catch((error) => error)
  expect(stdout).toMatch(/, 0 problems\n$/)
}, 120_000)
