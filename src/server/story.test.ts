import { describe, expect, test } from 'vitest'
import { harness } from './fakes/harness.js'

test('the story of a type is JSON, or a page', async () => {
  const { get } = harness()
  expect(await (await get('/v1/job-types/greet/story?from=job-1')).json()).toMatchObject({ source: { jobId: 'job-1' } })
  const page = await get('/v1/job-types/greet/story', { accept: 'text/markdown' })
  expect(page.headers.get('content-type')).toBe('text/markdown; charset=utf-8')
  expect(await page.text()).toMatch(
    /^# Greeting\n[\s\S]*```mermaid[\s\S]*## To mend\n\n- It has no target\. Give it one\.\n$/,
  )
  expect((await get('/v1/job-types/none/story')).status).toBe(404)
})

describe('GET /v1/jobs/{id}/story', () => {
  test('is JSON unless a text is asked for', async () => {
    const { get, job } = harness()
    const id = await job()
    const answer = await get(`/v1/jobs/${id}/story`)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(answer.headers.get('vary')).toBe('Authorization, Accept')
    expect(await answer.json()).toMatchObject({ jobId: id, voice: 'caller', happened: [{ text: 'Accepted.' }] })
    const plain = await get(`/v1/jobs/${id}/story`, { accept: 'text/plain' })
    expect(plain.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(await plain.text()).toMatch(/^Waiting for its turn\ngreet .+\n\nWhat happened\n {2}\S+ {2}Accepted\.\n/)
    const markdown = await get(`/v1/jobs/${id}/story`, { accept: 'text/markdown, text/plain;q=0.5' })
    expect(markdown.headers.get('content-type')).toBe('text/markdown; charset=utf-8')
    expect(await markdown.text()).toMatch(/^# Waiting for its turn\n/)
    expect((await get(`/v1/jobs/${id}/story`, { accept: '*/*' })).headers.get('content-type')).toBe('application/json')
  })

  test('takes a voice, and no other', async () => {
    const { get, job } = harness()
    const id = await job()
    expect(await (await get(`/v1/jobs/${id}/story?voice=operator`)).json()).toMatchObject({ voice: 'operator' })
    const wrong = await get(`/v1/jobs/${id}/story?voice=boss`)
    expect([wrong.status, await wrong.json()]).toMatchObject([400, { code: 'malformed-request' }])
  })

  test('links under the mount prefix', async () => {
    const { get, job } = harness({ basePath: '/background' })
    const id = await job()
    const { act } = await (await get(`/background/v1/jobs/${id}/story`)).json()
    expect(act.href).toBe(`/background/v1/jobs/${id}`)
  })

  test('hides what the key may not see', async () => {
    const { get, job, engine } = harness()
    engine.addKey('a', ['jobs:submit'])
    engine.addKey('b', ['jobs:submit'])
    const id = await job({ authorization: 'Bearer a' })
    expect((await get(`/v1/jobs/${id}/story`, { authorization: 'Bearer a' })).status).toBe(200)
    expect((await get(`/v1/jobs/${id}/story`, { authorization: 'Bearer b' })).status).toBe(404)
    expect((await get(`/v1/jobs/${id}/story?voice=operator`, { authorization: 'Bearer a' })).status).toBe(403)
  })
})
