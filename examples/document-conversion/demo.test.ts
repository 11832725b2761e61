// The demo as people run it: the program alone, without a terminal, and what it prints. The states must come in order, the
// crash must be the one that was made, and the words must be those of the scan.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectInOrder, runDemo } from '../demo-run.js'
import { letters } from './scans/texts.mjs'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone demo '))
  mkdirSync(join(dir, 'temp folder'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Runs it with all that it writes below a folder with a space in its name. */
async function demo(file: string) {
  const temp = join(dir, 'temp folder')
  const ended = await runDemo(here('demo.mjs'), { cwd: dir, env: { TMPDIR: temp, INIT_CWD: dir }, args: [file] })
  return { ...ended, left: readdirSync(temp) }
}

test('a scan becomes text, with a crash, a fallback and a warning on the way', { timeout: 90_000 }, async () => {
  copyFileSync(here('scans/letters.pdf'), join(dir, 'my scan.pdf'))
  const { code, printed, silentMs, left } = await demo('my scan.pdf')
  expect(code, printed).toBe(0)
  expect(printed).not.toMatch(/\u001b/)
  const pid = /kill -SEGV (\d+)/.exec(printed)?.[1]
  expectInOrder(printed, [
    /upload {2}POST \/v1\/files {2}my scan\.pdf, 204 kB {2}file_/,
    /submit {2}POST \/v1\/jobs {3}ocr\.convert, Idempotency-Key demo-/,
    /accepted {4}stored/,
    /processing {2}try 1\n/,
    /processing {2}Reading 5 pages/,
    /outside {5}kill -SEGV \d+ {2}\(the engine "\w+", at work on page [345]\)/,
    /processing {2}try 1 did not work: page [345]: \w+\.mjs was ended by SIGSEGV/,
    /transient, next try in \d\.\d s/,
    /processing {2}try 2; [2-4] pages remembered/,
    /completed {3}\d+\.\d s, 2 tries/,
    /The text: 5 pages/,
    ...letters.map((page) => new RegExp(page.split(/\s+/).slice(0, 5).join('\\s+'))),
    /Its history\n/,
    /1 {2}[\d:.]+ {2}submitted {2}accepted/,
    /2 {2}[\d:.]+ {2}claimed {4}processing/,
    /3 {2}[\d:.]+ {2}errored {4}processing \(retrying\) {2}engine-crashed: \w+\.mjs was ended by SIGSEGV/,
    /4 {2}[\d:.]+ {2}claimed {4}processing/,
    /5 {2}[\d:.]+ {2}succeeded {2}completed \(withWarnings\)/,
    /Its tries\n/,
    /1 {2}error/,
    /2 {2}ok/,
    /note {2}low-resolution: .*\(page-4\/fast\/recognise\)/,
    new RegExp(`1 crash +\\w+, pid ${pid}, killed by SIGSEGV on page [345]: try 1 says the same`),
    /0 pages repeated/,
    /1 fallback +page 2 by robust, because fast said: cannot take this page apart: it holds 2 pictures, not one/,
    /5 pages in +5 pages out\n$/,
  ])
  expect(silentMs).toBeLessThan(5500)
  expect(left).toEqual([])
})

test('a locked file is an honest failure with exit code 1', async () => {
  const { code, printed, left } = await demo('scans/password.pdf')
  expect(code, printed).toBe(1)
  expectInOrder(printed, [
    /accepted {4}stored/,
    /failed {6}password-required \(permanent\): inspect\.mjs ended with exit code 5: password required/,
    /3 {2}[\d:.]+ {2}errored {4}failed \(permanent\)/,
    /ends with exit code 1\.\nNo page was read, so there was no engine to crash\.\n$/,
  ])
  expect(left).toEqual([])
})

test('a file that is not there is exit code 2, and nothing is started', async () => {
  const { code, printed } = await demo('nowhere.pdf')
  expect({ code, printed }).toEqual({
    code: 2,
    printed: 'There is no file nowhere.pdf. Give the path of a PDF: npm run demo -- path/to/file.pdf\n',
  })
})
