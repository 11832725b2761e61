// A vitest reporter beside the default one: writes counts, every failure with its error and every skipped test with its
// reason to the file named by UNTILDONE_TEST_REPORT. The JSON reporter that vitest has leaves the reasons out.
import { writeFileSync } from 'node:fs'
import { stripVTControlCharacters } from 'node:util'

export default class CountsReporter {
  onTestRunEnd(modules, errors) {
    const report = {
      passed: 0,
      failures: errors.map((error) => failure('outside of every test', [error])),
      skipped: [],
    }
    for (const module of modules) {
      let tests = 0
      const unfinished = []
      for (const test of module.children.allTests()) {
        const { state, note, errors } = test.result()
        if (state === 'passed') report.passed++
        else if (state === 'failed') report.failures.push(failure(test.fullName, errors))
        else if (state === 'pending') unfinished.push(test.fullName)
        else report.skipped.push({ test: test.fullName, reason: note ?? null })
        tests++
      }
      // A file that did not load, or whose setup failed, has errors of its own.
      const own = module.errors()
      if (own.length > 0) report.failures.push(failure(module.relativeModuleId, own))
      else if (tests === 0) report.failures.push(failure(module.relativeModuleId, [{ message: 'holds no test' }]))
      for (const name of unfinished) {
        const message = `did not end: the process of ${module.relativeModuleId} died, or the run was broken off`
        report.failures.push(failure(name, [{ message }]))
      }
    }
    writeFileSync(process.env.UNTILDONE_TEST_REPORT, JSON.stringify({ ...report, failed: report.failures.length }))
  }
}

/** @param {string} test @param {readonly { name?: string, message?: string, stack?: string, diff?: string, cause?: any }[]} errors */
function failure(test, errors) {
  const told = errors.map(({ name, message, stack, diff, cause }) => {
    const ours = stack?.split('\n').filter((line) => /^\s*at /.test(line) && !/node_modules|\bnode:/.test(line))
    return [
      `${name ? `${name}: ` : ''}${message}`,
      cause && `because: ${cause.message ?? cause}`,
      diff,
      ...(ours ?? []).slice(0, 3),
    ]
      .filter(Boolean)
      .join('\n')
  })
  return { test, error: stripVTControlCharacters(told.join('\n')) }
}
