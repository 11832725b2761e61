// The short form of long.mjs: a scan of 10 pages, killed and cancelled half-way. With fewer, two engines at once would leave
// too little to be begun again or not to be read.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test(
  'a long scan (short form: 10 pages) survives kill -9, can be cancelled, and nothing is read twice or left over',
  { timeout: 280_000 },
  async () => {
    const program = fileURLToPath(new URL('long.mjs', import.meta.url))
    const started = spawn(process.execPath, [program, '--pages', '10'])
    let printed = ''
    for (const stream of [started.stdout, started.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        printed += text
      })
    const code = await new Promise((resolve) => started.on('close', resolve))
    expect(code, printed).toBe(0)
    expect(printed).toMatch(/\d+ passed, 0 failed, \d skipped\n$/)
    expect(printed).toContain('the job is completed')
    expect(printed).toContain('cancelled at page 5: cancelled')
  },
)
