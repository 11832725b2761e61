import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { type Caller, LOCAL, type Scope } from './api.js'

const open = rigs()
const handlers = ['ocr.extract', 'ocr.convert', 'mail', 'ocrx'].map(
  (name) => defineJob(name, { input: z.object({}) }).handler(() => 1 as never) as unknown as JobHandler,
)
const key = (id: string, scopes: Scope[], types: string[] | null = null): Caller => ({
  ...{ tenant: 'default', actor: { kind: 'apiKey', id }, scopes, types },
})
const submit = async (rig: TestRig, caller: Caller, type = 'mail') =>
  (await rig.engine.submit(caller, { type, input: {} }, null)).job.id

/** Everything that reads or changes one job. */
const doors = (rig: TestRig, caller: Caller, id: string) => {
  const { engine } = rig
  return [
    () => engine.get(caller, id),
    () => engine.wait(caller, id, { timeoutMs: 0, until: 'done' }),
    () => engine.result(caller, id),
    () => engine.history(caller, id, {}),
    () => engine.story(caller, id),
    () => engine.steps(caller, id),
    () => engine.events(caller, id, null, 10),
    () => engine.attempts(caller, id),
    () => engine.logs(caller, id, {}),
    () => engine.cancel(caller, id, {}),
    () => engine.retry(caller, id, {}),
  ]
}

describe('what may not be seen does not exist', () => {
  it.each<[string, Caller]>([
    ['another tenant', { ...LOCAL, tenant: 'other' }],
    ['a submit key that did not submit it', key('key_b', ['jobs:submit'])],
    ['a key for other types', key('key_r', ['jobs:read', 'jobs:operate'], ['ocr.*'])],
    ['a key without any scope', key('key_n', [])],
  ])('%s: the same answer as for an id that never was', async (_, caller) => {
    const rig = await open(handlers)
    const id = await submit(rig, key('key_a', ['jobs:submit']))
    await rig.untilDone(id)
    const ghost = '01a00000-0000-7000-8000-000000000000'
    const answers = []
    for (const wanted of [id, ghost]) {
      const errors = await Promise.all(doors(rig, caller, wanted).map((door) => door().catch((error) => error)))
      answers.push(
        errors.map((error) =>
          JSON.stringify([error.code, error.message, error.params, error.fix]).replaceAll(wanted, 'ID'),
        ),
      )
    }
    expect(answers[0]).toEqual(answers[1])
    for (const answer of answers[0]!) expect(answer).toContain('job-not-found')
    expect((await rig.engine.list(caller, {})).items).toEqual([])
  })
})

describe('a submit key', () => {
  it('sees its own jobs, alone and in lists, and nothing else', async () => {
    const rig = await open(handlers)
    const mine = key('key_a', ['jobs:submit'])
    const id = await submit(rig, mine)
    await submit(rig, key('key_ab', ['jobs:submit']))
    await submit(rig, key('key', ['jobs:submit']))
    await submit(rig, LOCAL)
    expect((await rig.engine.get(mine, id)).id).toBe(id)
    expect((await rig.engine.list(mine, {})).items.map((job) => job.id)).toEqual([id])
    expect((await rig.engine.list(key('key_r', ['jobs:read']), {})).items).toHaveLength(4)
    await expect(
      rig.engine.submit(key('key_r', ['jobs:read']), { type: 'mail', input: {} }, null),
    ).rejects.toMatchObject({
      code: 'forbidden',
      params: { requiredScope: 'jobs:submit' },
    })
  })

  it('with types may submit those only', async () => {
    const rig = await open(handlers)
    const mine = key('key_a', ['jobs:submit'], ['ocr.*', 'mail'])
    for (const type of ['ocr.extract', 'ocr.convert', 'mail']) await submit(rig, mine, type)
    await expect(submit(rig, mine, 'ocrx')).rejects.toMatchObject({ code: 'forbidden', params: { type: 'ocrx' } })
    expect((await rig.engine.types(mine)).map(({ type }) => type)).toEqual(['ocr.extract', 'ocr.convert', 'mail'])
    await expect(rig.engine.type(mine, 'ocrx')).rejects.toThrow('There is no job type "ocrx"')
    expect((await rig.engine.type(mine, 'mail')).type).toBe('mail')
  })
})

describe('lists of a key with types', () => {
  const allowed = ['ocr.*', 'mail']
  it.each<[string[] | undefined, string[]]>([
    [undefined, ['mail', 'ocr.convert', 'ocr.extract']],
    [['mail'], ['mail']],
    [['ocr.extract'], ['ocr.extract']],
    [['ocr.*'], ['ocr.convert', 'ocr.extract']],
    [['ocr.e*'], ['ocr.extract']],
    [['ocr*'], ['ocr.convert', 'ocr.extract']],
    [['*'], ['mail', 'ocr.convert', 'ocr.extract']],
    [['m*'], ['mail']],
    [['ocrx'], []],
    [['ocrx', 'mail'], ['mail']],
    [[], ['mail', 'ocr.convert', 'ocr.extract']],
  ])('asked for %j shows %j', async (type, shown) => {
    const rig = await open(handlers, { worker: false })
    for (const name of ['ocr.extract', 'ocr.convert', 'mail', 'ocrx']) await submit(rig, LOCAL, name)
    const { items } = await rig.engine.list(key('key_r', ['jobs:read'], allowed), type ? { type } : {})
    expect(items.map((job) => job.type).sort()).toEqual(shown)
  })

  it('a key with an empty list of types sees nothing', async () => {
    const rig = await open(handlers, { worker: false })
    await submit(rig, LOCAL)
    expect((await rig.engine.list(key('key_r', ['jobs:read'], []), {})).items).toEqual([])
  })
})
