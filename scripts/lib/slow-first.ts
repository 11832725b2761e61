// The order of test files: the slow ones of a suite first, so that none of them is begun when all others are done and the
// other cores have nothing left. vitest knows durations only after a first run; a fresh clone and CI have none.
import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const root = resolve(import.meta.dirname, '../..')
/** What takes more than ten seconds alone, longest first. */
const SLOW = [
  'test/services/gateway.test.ts',
  'test/services/fleet.test.ts',
  'test/services/conformance.test.ts',
  'test/services/processes.test.ts',
  'test/services/bullmq-faults.test.ts',
  'test/services/bullmq-trouble.test.ts',
  'test/services/scale.test.ts',
  'test/services/driver.test.ts',
  'test/services/lines.test.ts',
  'test/services/bullmq.test.ts',
  'test/readme.test.ts',
  'test/isolated/isolated.test.ts',
  'test/package.test.ts',
  'test/retention/retention.test.ts',
  'test/approvals/decisions.test.ts',
  'examples/document-conversion/engines.test.ts',
  'examples/document-conversion/long.test.ts',
  'examples/document-conversion/convert.test.ts',
  'examples/document-conversion/ocr.test.ts',
  'examples/analysis-gateway/roles.test.ts',
  'examples/connector-generator/replay.test.ts',
  'examples/guide/replay.test.ts',
  'examples/guide/calls/waiting.test.ts',
  'examples/guide/pages.test.ts',
  'examples/document-conversion/demo.test.ts',
  'examples/connector-generator/contract.test.ts',
  'src/cli/dev.test.ts',
  'src/process/planted.test.ts',
  'src/worker/everywhere.test.ts',
  'src/testing/replay-safe.test.ts',
  'src/testing/replay/effects.test.ts',
  'src/stores/sqlite/sqlite.test.ts',
  'src/process/catalogue.test.ts',
].map((file) => {
  if (!existsSync(join(root, file))) throw new Error(`${file} is not there any more: see scripts/lib/slow-first.ts`)
  return file
})

export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const suites = [...new Set(sorted.map((file) => file.project))]
    return suites.flatMap((suite) => sorted.filter((file) => file.project === suite).sort((a, b) => rank(a) - rank(b)))
  }
}

function rank(file: TestSpecification): number {
  const at = SLOW.indexOf(relative(root, file.moduleId))
  return at === -1 ? SLOW.length : at
}
