/** The programs of the guide: embedding, mounting, following a job, files. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createUntildone, sqlite } from 'untildone'
import { createClient } from 'untildone/client'
import { createServer, listen } from 'untildone/server'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { embed } from './embed.js'
import { HttpError } from './far-side.js'
import { stamp, stampHandler } from './files.js'
import { greeting } from './follow.js'
import { greetHandler } from './greet.js'
import { helloHandler } from './hello.js'
import { mounted } from './mounted.mjs'
import { rig } from './support.js'
import { vendor } from './vendor.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'untildone-guide-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('the job of the README: what is converted is not converted again', async () => {
  const jobs = await rig([helloHandler])
  vendor.trouble.publish = [new HttpError(503), new HttpError(503)]
  const job = await jobs.run('hello', { name: 'Ada' })
  expect(job).toMatchObject({ status: 'completed', result: { text: 'Hello Ada' } })
  expect(vendor.calls).toEqual({ convert: 1, publish: 3 })
  expect([...vendor.published.values()]).toEqual(['Hello Ada'])
  await jobs.app.stop()
})

it('embeds: the same key is the same job, over HTTP and in the process', async () => {
  expect(await embed(folder)).toBe('Hello Ada Hello Ada true')
})

it('follows a job by its handle, and hands files in and out', async () => {
  const app = await createUntildone({ store: sqlite(join(folder, 'files.db')), handlers: [stampHandler, greetHandler] })
  const listening = await listen(createServer(app.engine), { port: 0 })
  await app.start()
  const client = createClient({ url: listening.url })
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  expect(await greeting(client, 'Ada')).toBe('Hello Ada')
  expect(log.mock.calls.at(-1)).toEqual(['completed', 'Completed.'])
  log.mockRestore()

  // #region upload
  const { file } = await client.uploadFile('Invoice 9917\n', { name: 'invoice.txt' })
  const { stamped } = await (await client.submit(stamp, { document: file })).result()
  const answer = await client.files.get(stamped)
  // #endregion
  expect(await answer.text()).toBe('Invoice 9917\nRECEIVED\n')
  expect(answer.headers.get('content-disposition')).toContain('filename="stamped-invoice.txt"')
  await listening.close()
  await app.stop()
})

it('mounts under a prefix of Express', async () => {
  const app = await createUntildone({ store: sqlite(':memory:'), handlers: [greetHandler] })
  const http = mounted(app).listen(0, '127.0.0.1')
  await once(http, 'listening')
  await app.start()
  const base = `http://127.0.0.1:${(http.address() as AddressInfo).port}/background`
  const handle = await createClient({ url: base }).submit('greet', { name: 'Ada' })
  expect(handle.job.links.self).toBe(`/background/v1/jobs/${handle.id}`)
  expect(await handle.result()).toEqual({ text: 'Hello Ada' })
  await new Promise((resolve) => http.close(resolve))
  await app.stop()
})
