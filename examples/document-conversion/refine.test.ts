// The job `xliff.refine` as a whole, with rules and with a model behind a server of this test: what it changes, what it does
// not believe, what becomes of a busy endpoint, and that it can be interrupted anywhere.
import { readFileSync } from 'node:fs'
import { type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, dryRun, type TestRig } from 'untildone/testing'
import { afterEach, expect, test } from 'vitest'
import { refineHandlerWith, verify } from './jobs/refine.js'
import { ruleRefiner } from './lib/xliff/engine.js'
import { modelRefiner } from './lib/xliff/model-refiner.js'
import { type Bench, bench, type ModelServer, modelServer, stored } from './support.js'

const translation = (name: string) => readFileSync(new URL(`translations/${name}`, import.meta.url))
const rules = refineHandlerWith(ruleRefiner)

let jobs: Bench | undefined
let model: ModelServer | undefined
afterEach(async () => {
  await jobs?.stop()
  model?.close()
  jobs = model = undefined
})

async function refined(name: string | Buffer, handler: JobHandler<any, any>, terms: unknown[] = []) {
  jobs ??= await bench([handler])
  const bytes = typeof name === 'string' ? translation(name) : name
  return jobs.run('xliff.refine', { xliff: await stored(jobs.app, bytes, 'app.xlf'), terms })
}

test('each unit has an end, and only the targets that changed differ', async () => {
  const terms = [{ source: 'cart', target: 'Warenkorb', instead: ['Einkaufswagen'] }]
  const job = await refined('app-2.0.xlf', rules, terms)
  expect(job).toMatchObject({ status: 'completed', warnings: [] })
  const { xliff, changes, ...rest } = job.result
  expect(rest).toEqual({
    version: '2.0',
    units: 8,
    changed: 3,
    unchanged: 2,
    untranslated: 0,
    locked: 3,
    refused: 0,
    engine: 'rules',
  })
  expect(changes[0]).toEqual({ unit: 'f1/u1/s1', by: ['terms', 'spaces'] })
  const lines = (bytes: Buffer) => bytes.toString().split('\n')
  const [before, after] = [lines(translation('app-2.0.xlf')), lines(await jobs!.read(xliff))]
  expect(after.filter((line, i) => line !== before[i])).toHaveLength(3)
})

test('a file in which nothing is to be done comes back byte for byte', async () => {
  const job = await refined('bom-crlf-1.2.xlf', rules)
  expect(job.result).toMatchObject({ units: 2, changed: 1, unchanged: 1 })
  const once = await jobs!.read(job.result.xliff)
  const again = await refined(once, rules)
  expect(again.result).toMatchObject({ units: 2, changed: 0, unchanged: 2 })
  expect((await jobs!.read(again.result.xliff)).equals(once)).toBe(true)
})

test('what is no XLIFF fails at once, in words for its sender', async () => {
  const job = await refined(Buffer.from('<html/>'), rules)
  expect(job).toMatchObject({ status: 'failed', error: { code: 'not-xliff', class: 'permanent', attempts: 1 } })
})

test('a model is asked unit by unit, and what it says is written between the tags', async () => {
  model = await modelServer(({ target }) => ({
    target: target.replace('enthält', 'umfasst'),
    notes: target.includes('voll') ? ['is it full?'] : [],
  }))
  const job = await refined('app-2.0.xlf', refineHandlerWith(modelRefiner(model.settings)))
  expect(job).toMatchObject({ status: 'completed', result: { engine: 'model wordsmith', refused: 0 } })
  expect(job.warnings).toMatchObject([{ code: 'look-at-unit', message: 'f1/u1/s2: is it full?' }])
  expect((await jobs!.read(job.result.xliff)).toString()).toContain(
    'Einkaufswagen</pc> umfasst <ph id="2" dataRef="d3"/>.</target>',
  )
  expect(model.asked).toHaveLength(5)
  expect(model.asked.find(({ material }) => material.source.includes('Your'))).toMatchObject({
    authorization: 'Bearer secret',
    material: {
      source: 'Your <1>cart</1> holds <2/>.',
      target: 'Ihr <1>Einkaufswagen</1>  enthält <2/> .',
      targetLanguage: 'de',
    },
  })
})

/** Ten units, so that one may be refused. */
const ten = Buffer.from(
  `<xliff version="1.2"><file original="f" source-language="en" target-language="de" datatype="x"><body>${Array.from(
    { length: 10 },
    (_, i) =>
      `<trans-unit id="${i}"><source>Number ${i} of %d <x id="a"/></source><target>Nummer ${i} von %d <x id="a"/></target></trans-unit>`,
  ).join('\n')}</body></file></xliff>`,
)

test('an answer that loses something is not taken: the unit stays, with a warning; more than a tenth fail the job', async () => {
  let bad = (n: number): boolean => n === 3
  model = await modelServer(({ target }) => {
    const n = Number(/\d/.exec(target)![0])
    return { target: bad(n) ? target.replace('%d', 'zehn') : target.replace('von', 'aus') }
  })
  const handler = refineHandlerWith(modelRefiner(model.settings))
  const job = await refined(ten, handler)
  expect(job).toMatchObject({ status: 'completed', result: { units: 10, changed: 9, refused: 1 } })
  expect(job.warnings).toMatchObject([{ code: 'refinement-refused', step: 'unit/1:f%2f3' }])
  expect(job.warnings[0].message).toContain('%d is gone')
  expect((await jobs!.read(job.result.xliff)).toString()).toMatch(/Nummer 2 aus %d[\s\S]*Nummer 3 von %d/)
  bad = (n) => n > 7
  const worse = await refined(ten, handler)
  expect(worse).toMatchObject({ status: 'failed', error: { code: 'refinement-refused', class: 'permanent' } })
})

test('a busy endpoint is asked again, only for the units that have no answer yet', async () => {
  let busy = 1
  model = await modelServer(({ target }) => (target.includes('7') && busy-- > 0 ? 503 : { target }))
  const job = await refined(ten, refineHandlerWith(modelRefiner(model.settings)))
  expect(job).toMatchObject({ status: 'completed', ops: { attempt: 2 } })
  expect(model.asked).toHaveLength(11)
  const [first] = await jobs!.app.engine.attempts(LOCAL, job.id)
  expect(first).toMatchObject({ verdict: 'transient', error: { code: 'model-busy' } })
})

test('wherever it is interrupted, it does nothing twice and ends the same', { timeout: 120_000 }, async () => {
  const input = async (rig: TestRig) => ({ xliff: await stored(rig, translation('gettext-1.2.xlf'), 'shop.xlf') })
  await assertReplaySafe(rules, input, { maxCrashes: 30 })
})

test('the committed story tells what the job really does', async () => {
  const example = JSON.parse(readFileSync(new URL('jobs/xliff.refine.example.json', import.meta.url), 'utf8'))
  const told = await dryRun(rules as unknown as JobHandler, example)
  const job = await refined('app-2.0.xlf', rules)
  const real = await jobs!.app.engine.typeStory(LOCAL, 'xliff.refine', job.id)
  expect([told.stoppedBy, told.madeUp, real.findings]).toEqual([null, [], []])
})

test('a unit that is not accounted for is found', () => {
  const whole = {
    xliff: '',
    version: '1.2',
    units: 3,
    changed: 1,
    unchanged: 1,
    untranslated: 0,
    locked: 1,
    refused: 0,
    changes: [{ unit: 'a', by: ['spaces'] }],
    engine: 'rules',
  }
  expect(() => verify(whole)).not.toThrow()
  expect(() => verify({ ...whole, units: 4 })).toThrow(expect.objectContaining({ code: 'units-missing' }))
  expect(() => verify({ ...whole, changes: [] })).toThrow(expect.objectContaining({ code: 'units-missing' }))
})
