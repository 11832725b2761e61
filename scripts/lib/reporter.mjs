// A vitest reporter beside the default one: writes counts and every skipped test with its reason to the file named by
// UNTILDONE_TEST_REPORT. The JSON reporter that vitest has leaves the reasons out.
import { writeFileSync } from 'node:fs'

export default class CountsReporter {
  onTestRunEnd(modules, errors) {
    const report = { passed: 0, failed: errors.length, skipped: [] }
    for (const module of modules) {
      let ran = 0
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed') report.passed++
        else if (result.state === 'failed') report.failed++
        else report.skipped.push(skipped(test.fullName, result.note))
        ran++
      }
      // A file that did not load, or whose setup failed, has errors of its own.
      const own = module.errors().length
      if (own > 0) report.failed += own
      else if (ran === 0) report.failed++
    }
    writeFileSync(process.env.UNTILDONE_TEST_REPORT, JSON.stringify(report))
  }
}

/** The reason is the note of context.skip(), or stands at the end of the name: `… (skipped: reason)`. */
function skipped(name, note) {
  const [, test, reason] = /^(.*?)(?: \(skipped: (.+)\))?$/s.exec(name)
  return { test, reason: note ?? reason ?? null }
}
