import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { type Caller, LOCAL } from './api.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ model: z.string().default('m-1') }) })
const handler = work.handler(async (job) => {
  job.decision({ model: job.input.model, version: '2026-01', tools: ['crm.lookup'], path: 'propose/check', score: 0.9 })
}) as unknown as JobHandler
const EVE: Caller = { ...LOCAL, actor: { kind: 'user', id: 'oidc:42', name: 'Eve' } }

/** A trail of cancels: two by the process, one by Eve. */
async function trail() {
  const rig = await open(handler)
  const runAt = new Date(rig.clock.now() + 9_000_000)
  const ids: string[] = []
  for (const who of [LOCAL, EVE, LOCAL]) {
    const { id } = await rig.submit(work, {}, { runAt })
    await rig.engine.cancel(who, id, { reason: `by ${who.actor.id}` })
    await rig.advance('1m')
    ids.push(id)
  }
  await rig.engine.createKey(EVE, { name: 'crm', scopes: ['jobs:submit'] })
  return { rig, engine: rig.engine, ids }
}

describe('the audit trail', () => {
  it('is read by who, what, on what and when, in either order and in pages', async () => {
    const { engine, ids, rig } = await trail()
    const seqs = async (query: Parameters<typeof engine.audit>[1]) =>
      (await engine.audit(LOCAL, query)).items.map(({ seq }) => seq)
    expect(await seqs({})).toEqual([1, 2, 3, 4])
    expect(await seqs({ order: 'newest' })).toEqual([4, 3, 2, 1])
    expect(await seqs({ actor: 'user:oidc:42' })).toEqual([2, 4])
    expect(await seqs({ actor: 'oidc:42' })).toEqual([2, 4])
    expect(await seqs({ actor: 'oidc' })).toEqual([])
    expect(await seqs({ action: 'job.*' })).toEqual([1, 2, 3])
    expect(await seqs({ action: 'key.create' })).toEqual([4])
    expect(await seqs({ target: `job/${ids[2]}` })).toEqual([3])
    expect(await seqs({ since: rig.clock.now() - 125_000, until: rig.clock.now() })).toEqual([2, 3])
    const first = await engine.audit(LOCAL, { limit: 3 })
    expect(first.nextCursor).toBe('3')
    expect(await engine.audit(LOCAL, { limit: 3, after: 3 })).toMatchObject({ items: [{ seq: 4 }], nextCursor: null })
    expect(await seqs({ order: 'newest', after: 3 })).toEqual([2, 1])
    expect(first.items[1]).toMatchObject({ at: expect.stringMatching(/Z$/), actor: EVE.actor, reason: 'by oidc:42' })
  })

  it('holds, and says where it does not', async () => {
    const { engine, rig } = await trail()
    const head = (await rig.store.audit('default', 3, 1))[0]!
    expect(await engine.verifyAudit(LOCAL)).toEqual({
      intact: true,
      entries: 4,
      head: { seq: 4, hash: head.hash },
      firstBreak: null,
    })
    const honest = rig.store.audit.bind(rig.store)
    rig.store.audit = async (...args) =>
      (await honest(...args)).map((entry) => (entry.seq === 2 ? { ...entry, reason: 'forged' } : entry))
    expect(await engine.verifyAudit(LOCAL)).toMatchObject({ intact: false, firstBreak: { seq: 2, reason: 'forged' } })
    rig.store.audit = async (...args) => (await honest(...args)).filter(({ seq }) => seq !== 3)
    expect(await engine.verifyAudit(LOCAL)).toMatchObject({ intact: false, firstBreak: { seq: 4 } })
  })

  it('is for admins', async () => {
    const { engine } = await trail()
    const operator: Caller = { ...EVE, scopes: ['jobs:operate', 'jobs:read', 'jobs:override'] }
    await expect(engine.audit(operator, {})).rejects.toMatchObject({ params: { requiredScope: 'admin' } })
    await expect(engine.verifyAudit(operator)).rejects.toMatchObject({ code: 'forbidden' })
  })
})

describe('the decision log', () => {
  it('is read per job, and jobs are found by it', async () => {
    const rig = await open(handler)
    const [a, b] = [await rig.submit(work, { model: 'm-1' }), await rig.submit(work, { model: 'm-2' })]
    await rig.untilIdle()
    expect(await rig.engine.decisions(LOCAL, a.id)).toEqual([
      {
        ...{ at: expect.any(String), attempt: 1, model: 'm-1', modelVersion: '2026-01' },
        ...{ tools: ['crm.lookup'], path: 'propose/check', fields: { score: 0.9 } },
      },
    ])
    const found = async (query: Parameters<typeof rig.engine.list>[1]) =>
      (await rig.engine.list(LOCAL, query)).items.map(({ id }) => id)
    expect(await found({ model: 'm-2' })).toEqual([b.id])
    expect(await found({ model: 'm-2', modelVersion: '2025-12' })).toEqual([])
    expect(await found({ tool: 'crm.lookup' })).toHaveLength(2)
    expect(await found({ tool: 'crm' })).toEqual([])
    expect(await found({ origin: 'model' })).toEqual([])
    await expect(rig.engine.decisions({ ...LOCAL, tenant: 'other' }, a.id)).rejects.toMatchObject({
      code: 'job-not-found',
    })
  })
})
