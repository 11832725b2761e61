/** Each hook by itself, and each source of clock and chance. */
import child, { execFile } from 'node:child_process'
import crypto, { getRandomValues, randomBytes, randomInt, randomUUID } from 'node:crypto'
import dgram from 'node:dgram'
import { once } from 'node:events'
import fs from 'node:fs'
import fsp, { mkdir } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../../define/index.js'
import { replayFindings } from '../index.js'

/** Copies made before the check, as modules do. */
const copies = { fetch: globalThis.fetch, request: http.request, run: promisify(execFile) }
const agent = new http.Agent({ keepAlive: true })
const server = http.createServer((request, answer) => {
  request.resume()
  answer.end('ok')
})
let port = 0
let dir = ''
beforeAll(async () => {
  dir = fs.mkdtempSync(join(tmpdir(), 'untildone-effects-'))
  fs.writeFileSync(join(dir, 'there'), '')
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  agent.destroy()
  server.closeAllConnections()
  server.close()
  fs.rmSync(dir, { recursive: true, force: true })
})

const at = (name: string) => join(dir, name)
const url = () => `http://127.0.0.1:${port}/`
const ended = async (child: child.ChildProcess) => void (await once(child, 'exit'))
const answered = async (request: http.ClientRequest) => {
  const [answer] = await once(request, 'response')
  for await (const _ of answer);
}
/** Whether it is refused or not, it has acted. */
const tried = async (socket: net.Socket) => {
  await Promise.race([once(socket, 'close').catch(() => null), once(socket, 'connect').catch(() => null)])
  socket.destroy()
}

const check = (act: () => unknown, where: 'handler' | 'step' | 'read') => {
  const handler = defineJob('acts', { input: z.object({}) }).handler(async (job) => {
    const done = async () => void (await act())
    if (where === 'handler') await done()
    else await job[where]('act', done)
  })
  return replayFindings(handler, {}, { maxCrashes: 1 })
}

type Case = [what: string, act: () => unknown, writes?: boolean]
const ACTS: Case[] = [
  ['fs writeFileSync', () => fs.writeFileSync(at('a'), ''), true],
  ['fs appendFile', () => fsp.appendFile(at('a'), ''), true],
  ['fs mkdir', () => mkdir(at('folder'), { recursive: true }), true],
  ['fs copyFile', () => promisify(fs.copyFile)(at('there'), at('b')), true],
  ['fs rm', () => fsp.rm(at('none'), { force: true }), true],
  ['fs open .* for writing', async () => (await fsp.open(at('c'), 'w')).close(), true],
  [
    'fs openSync .* for writing',
    () => fs.closeSync(fs.openSync(at('c'), fs.constants.O_RDWR | fs.constants.O_CREAT)),
    true,
  ],
  ['fs createWriteStream', () => once(fs.createWriteStream(at('d')).end(), 'close'), true],
  ['child process .*node', () => ended(child.spawn(process.execPath, ['-v']))],
  ['child process .*node', () => child.execFileSync(process.execPath, ['-v'])],
  ['child process .*node', () => copies.run(process.execPath, ['-v'])],
  ['fetch GET http', () => fetch(url())],
  ['fetch PUT http', () => fetch(new Request(url(), { method: 'PUT', body: 'x' })), true],
  ['request POST http', () => copies.fetch(url(), { method: 'POST' }), true],
  ['http GET http', () => answered(http.get(url()))],
  ['http DELETE 127', () => answered(http.request({ host: '127.0.0.1', port, method: 'DELETE' }).end()), true],
  ['connection to 127', () => answered(copies.request({ port, host: '127.0.0.1', agent }).end())],
  ['https GET 127', () => once(https.get({ host: '127.0.0.1', port }), 'error')],
  ['connection to 127', () => tried(net.connect(port, '127.0.0.1'))],
  ['connection to 127', () => tried(new net.Socket().connect({ port, host: '127.0.0.1' }))],
  ['connection to 127', () => tried(tls.connect({ port, host: '127.0.0.1' }).on('error', () => {}))],
  [
    'datagram',
    () =>
      new Promise((resolve) => {
        const socket = dgram.createSocket('udp4')
        socket.send('x', port, '127.0.0.1', () => socket.close(() => resolve(null)))
      }),
  ],
]

describe('what acts', () => {
  it.each(ACTS)('%s is seen outside a step and nowhere else', async (what, act, writes) => {
    const [found, ...more] = await check(act, 'handler')
    expect(found).toMatchObject({ kind: 'effect-outside-step', file: import.meta.filename })
    expect(found!.message).toMatch(new RegExp(`, ${what}.* outside a step`))
    expect(more).toEqual([])
    expect(await check(act, 'step')).toEqual([])
    expect(await check(act, 'read')).toMatchObject(writes ? [{ kind: 'write-in-read' }] : [])
  })

  it('a request of a copy of fetch is one act, over an open connection too', async () => {
    const post = async () => (await copies.fetch(url(), { method: 'POST' })).text()
    await post()
    const found = await check(post, 'handler')
    expect(found.map(({ message }) => message)).toEqual([expect.stringContaining('request POST http')])
  })

  it.each([
    ['reading a file', () => fsp.readFile(at('there'))],
    ['opening one to read', async () => (await fsp.open(at('there'))).close()],
    ['looking into a folder', () => fs.readdirSync(dir)],
    ['printing', () => process.stdout.write('')],
  ])('%s is no effect', async (_, act) => {
    expect(await check(act, 'handler')).toEqual([])
  })
})

describe('clock and chance', () => {
  it.each([
    ['Date.now()', () => Date.now()],
    ['new Date()', () => new Date()],
    ['Date()', () => Date()],
    ['Math.random()', () => Math.random() < 0.5],
    ['crypto.randomUUID()', () => randomUUID()],
    ['crypto.randomUUID()', () => globalThis.crypto.randomUUID()],
    ['crypto.randomBytes()', () => randomBytes(8).toString('hex')],
    ['crypto.randomInt()', () => randomInt(2)],
    ['crypto.getRandomValues()', () => getRandomValues(new Uint32Array(2))[0]],
    ['crypto.getRandomValues()', () => globalThis.crypto.getRandomValues(new Uint8Array(8)).join()],
  ])('%s in the result is named', async (source, value) => {
    const handler = defineJob('now', { input: z.object({}) }).handler(async (job) => {
      const noise = [Math.random(), Date.now()].length
      await job.step('noise', () => noise)
      return { value: value() }
    })
    const [found, ...more] = await replayFindings(handler, {})
    expect(more).toEqual([])
    expect(found).toMatchObject({ kind: 'unstable-value', file: import.meta.filename })
    expect(found!.message).toContain(`, ${source} is used outside a step and reaches the result`)
  })

  it('in a step, or for what does not matter, nothing is said', async () => {
    const handler = defineJob('now', { input: z.object({}) }).handler(async (job) => {
      const began = Date.now()
      const id = await job.step('id', () => [randomUUID(), Math.random(), new Date().toISOString(), randomInt(9)])
      if (Date.now() - began > 1e9) throw new Error('never')
      const later = new Date(0) instanceof Date && new Date(2026, 1).getMonth() === 1
      return { id, later, plain: crypto.randomUUID().length }
    })
    expect(await replayFindings(handler, {})).toEqual([])
  })
})
