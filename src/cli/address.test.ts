import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { addressOf, readNote, removeNote, writeNote } from './address.js'

let cwd: string
let data: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-address-'))
  data = join(cwd, '.untildone')
})
afterEach(() => rmSync(cwd, { recursive: true }))
const note = { url: 'http://localhost:4999', pid: process.pid, kind: 'dev' as const, startedAt: '' }

it('flag, then environment, then the server that runs here, then the default', () => {
  const env = { UNTILDONE_URL: 'http://env', UNTILDONE_KEY: 'from-env' }
  expect(addressOf({}, {}, cwd)).toEqual({ url: 'http://localhost:4884', key: undefined, from: 'default' })
  writeNote(data, note)
  expect(addressOf({}, {}, cwd)).toEqual({ url: note.url, key: undefined, from: 'note' })
  expect(addressOf({}, env, cwd)).toEqual({ url: 'http://env', key: 'from-env', from: 'environment' })
  expect(addressOf({ url: 'http://flag', apiKey: 'k' }, env, cwd)).toEqual({
    url: 'http://flag',
    key: 'k',
    from: 'flag',
  })
})

it('does not believe a note of a process that is gone, or one that leads elsewhere', () => {
  // The largest pid of Linux is 2^22; nothing runs there.
  writeNote(data, { ...note, pid: 4_194_305 })
  expect(readNote(data)).toBeNull()
  for (const url of ['http://evil.example', 'https://localhost', 'file:///etc/passwd', 'nonsense']) {
    writeNote(data, { ...note, url })
    expect(readNote(data), url).toBeNull()
  }
  writeFileSync(join(data, 'server.json'), '{')
  expect(readNote(data)).toBeNull()
})

it('removes only its own note', () => {
  writeNote(data, note)
  removeNote(data, process.pid + 1)
  expect(readNote(data)).toEqual(note)
  removeNote(data, process.pid)
  expect(readNote(data)).toBeNull()
})
